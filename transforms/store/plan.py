"""The plan of a run: its shards as rows of one Parquet file in the output folder.

The job graph holds the plan's name alone and workers read the rows of their own shards, so that
neither the graph nor any process grows with the number of inputs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hierprob3d.transforms.inputs.items import Item, Shard, shard_name

from .output_folder import PLAN_SUFFIX, RUNS, OutputFolder
from .parquet_files import parquet_writer

ROWS_PER_GROUP = 4096
"""Rows that are read together: more make shards slower to begin, fewer the file larger."""

_ITEM_FIELDS = (
    pa.field("shard", pa.int32()),
    pa.field("item_id", pa.string()),
    pa.field("uri", pa.binary()),  # names of files may hold bytes that are no text
    pa.field("frame_index", pa.int32()),
    pa.field("time_s", pa.float64()),
    pa.field("source_version", pa.string()),
    pa.field("attempts", pa.int32()),
    pa.field("refusal", pa.string()),
    pa.field("given", pa.string()),
)

SOURCE_DETAILS = pa.schema([("start_pts", pa.int64()), ("end_pts", pa.int64()),
                            ("by_time", pa.bool_()), ("tar_offset", pa.int64())])  # fmt: skip
"""Details of shards of pictures (all null), of video ranges and of pictures in one archive."""


@dataclass(frozen=True)
class Plan:
    """A published plan."""

    output: str
    """The output folder that it lies in."""

    name: str
    num_items: int
    num_shards: int
    first_index: int = 0
    """Number of its first shard: shards of all plans of a run have names of their own."""


@dataclass(frozen=True)
class ShardRef:
    """Where a shard's rows lie in a plan: what the runner hands to workers."""

    name: str
    """Of the plan."""

    index: int
    row_group: int
    start: int
    count: int


class PlanWriter:
    """Writes the shards of a run as they are found; memory holds one row group.

    Args:
        store: The output folder.
        name: File name of the plan, without its folder and extension.
        details: Fields of `Shard.details`.
        first_index: See `Plan`.
        folder: That it lies in.
    """

    def __init__(
        self,
        store: OutputFolder,
        name: str,
        details: pa.Schema | None = None,
        first_index: int = 0,
        folder: str = RUNS,
    ) -> None:
        self._store = store
        self._name = f"{folder}/{name}{PLAN_SUFFIX}"
        self._schema = pa.schema([*_ITEM_FIELDS, *(details or ())])
        self._rows: dict[str, list[Any]] = {field.name: [] for field in self._schema}
        self._tables: list[pa.Table] = []
        self._num_waiting = 0
        """In both, which are not mixed."""
        self._details = list(details.names) if details else []
        assert len(set(self._schema.names)) == len(self._schema), "details have names of their own"
        self._first_index = first_index
        self.num_items = 0
        self.num_shards = 0
        self.num_groups = 0
        """Row groups that are complete."""

    def __enter__(self) -> PlanWriter:
        self._path = self._store.temporary_file(self._name)
        self._file = parquet_writer(self._path, self._schema)
        return self

    def add(self, items: Iterable[Item], details: Mapping[str, Any] | None = None) -> None:
        """Adds a shard."""
        before = len(self._rows["shard"])
        for item in items:
            self._rows["shard"].append(self.num_shards)
            self._rows["item_id"].append(item.item_id)
            self._rows["uri"].append(os.fsencode(item.uri))
            self._rows["frame_index"].append(item.frame_index)
            self._rows["time_s"].append(item.time_s)
            self._rows["source_version"].append(item.source_version)
            self._rows["attempts"].append(item.attempts)
            self._rows["refusal"].append(item.refusal)
            self._rows["given"].append(item.given)
        count = len(self._rows["shard"]) - before
        for name in self._details:
            self._rows[name] += [(details or {}).get(name)] * count
        self._note(count)

    def add_rows(self, rows: pa.Table) -> None:
        """Adds a shard as the rows of another plan with the same details."""
        numbers = pa.array(np.full(len(rows), self.num_shards, np.int32))
        self._tables.append(rows.set_column(0, self._schema.field(0), numbers))
        self._note(len(rows))

    def _note(self, count: int) -> None:
        self.num_items += count
        self.num_shards += 1
        self._num_waiting += count
        if self._num_waiting >= ROWS_PER_GROUP:
            self.end_group()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end_group()
        self._file.close()
        if error is None:
            self._store.publish_file(self._name, self._path)
        else:
            os.remove(self._path)

    def plan(self) -> Plan:
        """The plan that was published."""
        return Plan(
            self._store.root, self._name, self.num_items, self.num_shards, self._first_index
        )

    def end_group(self) -> None:
        """Writes what was added; the next shard begins another row group."""
        if not self._num_waiting:
            return
        tables = [*self._tables, pa.table(self._rows, schema=self._schema)]
        table = pa.concat_tables(table for table in tables if len(table))
        self._file.write_table(table, row_group_size=len(table))
        self._rows = {name: [] for name in self._rows}
        self._tables, self._num_waiting = [], 0
        self.num_groups += 1


def shard_refs(
    store: OutputFolder, plan: Plan, first_group: int = 0, group_step: int = 1
) -> Iterator[ShardRef]:
    """Shards of a plan in their order; a shard lies in one row group.

    Args:
        store: The output folder.
        plan: In it.
        first_group: First row group that is read.
        group_step: From one row group that is read to the next.
    """
    for group, table in store.row_groups(plan.name, ["shard"], first_group, group_step):
        ends = pc.run_end_encode(table["shard"].combine_chunks())
        start = 0
        for number, end in zip(ends.values.to_pylist(), ends.run_ends.to_pylist(), strict=True):
            yield ShardRef(plan.name, plan.first_index + number, group, start, end - start)
            start = end


def shard_rows(store: OutputFolder, plan: Plan) -> Iterator[pa.Table]:
    """The rows of each shard of a plan, for `PlanWriter.add_rows`."""
    for _, table in store.row_groups(plan.name):
        ends = pc.run_end_encode(table["shard"].combine_chunks()).run_ends.to_pylist()
        for start, end in pairwise([0, *ends]):
            yield table.slice(start, end - start)


def read_shard(store: OutputFolder, ref: ShardRef) -> Shard:
    """The shard's items and details."""
    rows = _row_group(store.root, ref.name, ref.row_group).slice(ref.start, ref.count)
    columns = rows.to_pydict()
    items = map(
        Item,
        columns["item_id"],
        map(os.fsdecode, columns["uri"]),
        columns["frame_index"],
        columns["time_s"],
        columns["source_version"],
        columns["attempts"],
        columns["refusal"],
        columns["given"],
    )
    known = {field.name for field in _ITEM_FIELDS}
    details = {name: values[0] for name, values in columns.items() if name not in known}
    return Shard(ref.index, tuple(items), details)


@lru_cache(maxsize=2)
def _row_group(root: str, name: str, group: int) -> pa.Table:
    """Shards that follow each other mostly lie in one row group."""
    return OutputFolder(root).row_group(name, group)


def planned_shards(store: OutputFolder, plan: Plan) -> Iterator[Shard]:
    """All shards of a plan, read one after the other."""
    return (read_shard(store, ref) for ref in shard_refs(store, plan))


def shard_sizes(store: OutputFolder, plan: Plan) -> dict[str, int]:
    """Number of items of each shard, by its name."""
    return {shard_name(ref.index): ref.count for ref in shard_refs(store, plan)}
