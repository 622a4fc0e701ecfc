"""What was begun and has not been published: how a run knows who took its workers down.

A shard leaves one small file in runs/marks/ when it is begun. The mark of a shard whose frames part
is there says nothing any more; any other was left by a worker that died, or by a run that was
stopped. It names the item that ran out of time, where that is what ended the worker.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from hierprob3d.transforms.inputs.items import Shard

from .output_folder import OutputFolder, part_name
from .parallel_requests import in_parallel
from .part_runs import series_of
from .plan import ShardRef, read_shard


@dataclass(frozen=True)
class Mark:
    """A shard that was begun."""

    run_id: str
    shard: str
    items: tuple[str, ...]
    """Ids of all its items."""

    overdue: str | None = None
    """Id of the item that ran past its time, which ended the worker."""

    @property
    def key(self) -> str:
        """Its name in the output folder."""
        return f"{self.run_id}-{self.shard}"


def begin_shard(store: OutputFolder, ref: ShardRef, run_id: str) -> Shard:
    """The shard behind a reference, marked as begun."""
    shard = read_shard(store, ref)
    write_mark(store, Mark(run_id, shard.name, tuple(item.item_id for item in shard.items)))
    return shard


def write_mark(store: OutputFolder, mark: Mark) -> None:
    """Publishes a mark, in place of an older one of the same shard."""
    store.write_mark(mark.key, asdict(mark))


def unpublished_marks(
    store: OutputFolder, run_id: str | None = None, series: str = ""
) -> list[Mark]:
    """Marks of shards whose frames part is missing, of one run, of a series' runs or of all."""
    found = []
    for content in store.read_marks(series or series_of(run_id or "")).values():
        try:
            mark = Mark(**{**content, "items": tuple(content["items"])})
        except (KeyError, TypeError):  # not written by this version, or not whole
            continue
        if run_id in (None, mark.run_id):
            found.append(mark)
    published = {name for run in {m.run_id for m in found} for name in store.parts("frames", run)}
    return [m for m in found if part_name("frames", m.run_id, m.shard) not in published]


def remove_marks(store: OutputFolder, marks: Iterable[str] | None = None, series: str = "") -> None:
    """Removes the marks of these keys, or all of a series."""
    keys = store.mark_keys(series) if marks is None else marks
    for _ in in_parallel(store.remove_mark, keys):
        pass
