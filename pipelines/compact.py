"""`hierprob3d compact`: a run's many small files as few large ones, in a folder of their own."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator

import pyarrow as pa

from hierprob3d.configs.run_results import CompactConfig
from hierprob3d.pipelines.command.usage import EXIT_DONE, UsageError
from hierprob3d.pipelines.results.run_folder import RunFolder
from hierprob3d.transforms.store.joined_parts import PartJoiner, SmallPart
from hierprob3d.transforms.store.output_folder import (
    COMPACTING,
    RUNS,
    TABLES,
    TRACKS,
    OutputFolder,
    run_of,
)
from hierprob3d.transforms.store.part_plan import check_no_open_plan
from hierprob3d.transforms.store.part_runs import part_run_id, plan_and_part
from hierprob3d.transforms.store.store_files import TEMPORARY_PREFIX

_JOINED = "joined-all"
"""Beginning, in ids of runs, of those that hold the rows of all parts of a plan."""


def run(config: CompactConfig) -> int:
    """Writes the joined run; the exit code.

    Raises:
        UsageError: There is no run in DIR, its plan is not finished, or NEW is there already.
    """
    folder = RunFolder(config.folder)
    check_no_open_plan(folder.store)
    target = OutputFolder(config.output)
    _check_target(folder.store, target)
    if not target.is_local:
        target.write(COMPACTING, b"")
        num_files = _compact(folder, target)
        target.remove(COMPACTING)
        print(f"{config.output}: {num_files} parts")
        return EXIT_DONE
    place, name = os.path.split(target.root)
    os.makedirs(place, exist_ok=True)
    temporary = os.path.join(place, f"{TEMPORARY_PREFIX}{secrets.token_hex(4)}-{name}")
    try:
        num_files = _compact(folder, OutputFolder(temporary))
        if os.path.isdir(target.root):
            os.rmdir(target.root)
        os.rename(temporary, target.root)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    print(f"{target.root}: {num_files} parts in place of {len(folder.finished_parts())}")
    return EXIT_DONE


def _check_target(source: OutputFolder, target: OutputFolder) -> None:
    if f"{target.root}/".startswith(f"{source.root}/"):
        raise UsageError(f"--output {target.root} lies in {source.root}, which stays as it is.")
    if target.has_folder() and target.names(""):
        raise UsageError(
            f"{target.root} is there already, and not empty: choose another --output, or remove it."
        )


def _compact(folder: RunFolder, target: OutputFolder) -> int:
    """Writes all of a run into an empty folder; the number of its parts."""
    store = folder.store
    tables = {table: frozenset(map(_base, store.parts(table))) for table in TABLES}
    next_index: dict[str, int] = defaultdict(int)
    for run_id, names in _groups(folder, tables["people"]):
        joiner = PartJoiner(store, target, run_id, next_index[run_id])
        parts = [SmallPart(name, store.first_text(f"frames/{name}", "uri")) for name in names]
        joiner.join(parts, tables)
        next_index[run_id] = joiner.num_parts
        print(f"{run_id}: {len(names)} parts joined", file=sys.stderr)
    _check_rows(folder, tables, target)
    _copy_manifests(store, target)
    for name in store.names(TRACKS):
        if not name.startswith("."):
            target.write(f"{TRACKS}/{name}", store.read(f"{TRACKS}/{name}"))
    return sum(next_index.values())


def _groups(folder: RunFolder, with_people: frozenset[str]) -> Iterator[tuple[str, list[str]]]:
    """Run and base names of the parts that may be joined: of one run, with the same columns."""
    groups: dict[str, dict[pa.Schema | None, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name in folder.finished_parts():
        schema = folder.store.read_schema(f"people/{name}") if name in with_people else None
        of_run = groups[_joined_run(run_of(name))]
        key = next((k for k in of_run if k is schema or _is_same(k, schema)), schema)
        of_run[key].append(name)
    for run_id, of_run in groups.items():
        nobody = of_run.pop(None, [])
        lists = [*of_run.values()] or [[]]
        lists[0] += nobody  # parts without people fit to any
        yield from ((run_id, names) for names in lists)


def _is_same(one: pa.Schema | None, other: pa.Schema | None) -> bool:
    return one is not None and other is not None and one.equals(other, check_metadata=True)


def _joined_run(run_id: str) -> str:
    """The run of a joined part: that of its rows, or for a plan's parts one for all of them."""
    known = plan_and_part(run_id)
    return run_id if known is None else part_run_id(known[0], 0, _JOINED)


def _check_rows(folder: RunFolder, tables: dict[str, frozenset[str]], target: OutputFolder) -> None:
    """Raise RuntimeError should a row be missing in the joined run, or one be there twice."""
    for table in TABLES:
        names = sorted(tables[table].intersection(folder.finished_parts()))
        before = sum(folder.store.num_rows(f"{table}/{name}") for name in names)
        after = sum(map(target.num_rows, target.parts(table)))
        if before != after:
            raise RuntimeError(f"{table}: {before} rows became {after}; nothing was kept of it")


def _copy_manifests(store: OutputFolder, target: OutputFolder) -> None:
    """Copies the records of runs; of a finished plan's parts their sum is enough."""
    names = [name for name in store.names(RUNS) if name.endswith(".json") and name[0] != "."]
    for name in names:
        known = plan_and_part(name.removesuffix(".json"))
        if known is None or f"{known[0]}.json" not in names:
            target.write(f"{RUNS}/{name}", store.read(f"{RUNS}/{name}"))


def _base(name: str) -> str:
    return name.rpartition("/")[2]
