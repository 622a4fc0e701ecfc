"""The tracks of a run's folder: which parts are in force, and what they were made of.

tracks/_tracks.json names the run of `track` whose parts are; it is written when they are complete,
and parts of others are removed after it. A folder without it may have parts of somebody else.
Readers of tables pass over names that begin with _.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hierprob3d.transforms.store.output_folder import TRACKS, OutputFolder, run_of

_RECORD = f"{TRACKS}/_tracks.json"


def people_parts(store: OutputFolder) -> list[str]:
    """Names of the people parts of finished shards."""
    finished = {_base(name) for name in store.parts("frames")}
    return [name for name in store.parts("people") if _base(name) in finished]


def people_state(store: OutputFolder) -> str:
    """A hash of which people parts there are."""
    names = "\n".join(people_parts(store))
    return hashlib.sha1(names.encode(), usedforsecurity=False).hexdigest()


def track_parts(store: OutputFolder) -> list[str]:
    """Names of the track parts that are in force."""
    record = read_record(store)
    if record is None:
        names = [name for name in store.names(TRACKS) if name.endswith(".parquet")]
        return [f"{TRACKS}/{name}" for name in names if not name.startswith(".")]
    return store.parts(TRACKS, record["run_id"])


def read_record(store: OutputFolder) -> dict[str, Any] | None:
    """What tracks/_tracks.json says; None where there is none.

    Raises:
        ValueError: it is damaged.
    """
    try:
        record = json.loads(store.read(_RECORD))
    except FileNotFoundError:
        return None
    except ValueError:
        record = None
    if not isinstance(record, dict) or not isinstance(record.get("run_id"), str):
        raise ValueError(f"{store.root}/{_RECORD} is damaged: run `hierprob3d track` again.")
    return record


def put_in_force(store: OutputFolder, record: dict[str, Any]) -> None:
    """Publishes the record of a run of `track` whose parts are complete, and removes all others."""
    text = json.dumps(record, indent=2, ensure_ascii=False)
    store.write(_RECORD, text.encode("utf-8", errors="replace"))
    remove_others(store, record["run_id"])


def remove_others(store: OutputFolder, run_id: str | None) -> None:
    """Removes the parts of all other runs of `track`."""
    for name in store.parts(TRACKS):
        if run_of(name) != run_id:
            store.remove(name)


def _base(name: str) -> str:
    return name.rsplit("/", 1)[-1]
