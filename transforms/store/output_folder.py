"""The folder of results: parts published whole, finished items known, leftovers swept.

An item is finished when a row of frames/ names it. A shard publishes people/, errors/ and, last,
frames/: parts without their frames/ part are leftovers of a run that was stopped, and are removed
when the next one begins. Local files are written under another name and renamed, object stores
get one put.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from hierprob3d.transforms.inputs.sources import in_groups
from hierprob3d.transforms.tables.schema import STATUS_FAILED
from hierprob3d.transforms.tables.upgrade import is_current, upgrade_schema, upgrade_table

from .file_names import ids_in_names, is_picture_of
from .id_sets import IdSet
from .locking import (
    FileLock,
    RunLock,
    is_at_work,
    is_locked_by,
    lock_for_run,
    lock_for_worker,
    wait_for_workers,
)
from .object_lock import ObjectLock, holds_lock
from .outages import is_outage
from .parallel_requests import in_parallel
from .parquet_files import (
    DamagedParquet,
    FileMetaData,
    ParquetFile,
    file_at,
    file_of,
    open_parquet,
    read_columns,
    table_bytes,
)
from .part_counts import COUNTED_COLUMNS, PartCounts, count_rows, noted_counts, with_counts
from .part_runs import belongs_to, is_run_id, series_of
from .remote_parquet import fetch_row_group, read_footer
from .store_files import TEMPORARY_PREFIX, StoreFiles

TABLES = ("people", "errors", "frames")
"""In the order in which a shard publishes them."""

TRACKS = "tracks"
"""Who is who in the videos, added by `track`."""

RUNS = "runs"
PICTURES = "pictures"
MARKS = f"{RUNS}/marks"
COMPACTING = f"{RUNS}/.compacting"
"""In a store, where no folder can be renamed, as long as `hierprob3d compact` writes it."""

PLAN_SUFFIX = ".plan.parquet"
"""Of the plans in runs/, which are there as long as their run works."""
_DROP_JOURNAL = f"{RUNS}/.dropping.json"
_PART_NAME = re.compile(r"part-(?P<run>.+)-(?P<shard>\d+)\.parquet")
_MARK_KEY = re.compile(r"\w[\w.-]*")
_LOCAL_PARTS = 16
_LOCAL_THREADS = 4
_Found = TypeVar("_Found")
_ID = "item_id"
_RUN = "run_id"
"""Columns of all our tables."""


@dataclass(frozen=True, slots=True)
class FinishedItem:
    """A row of the frames table, as far as later runs need it."""

    item_id: str
    name: str
    """The URI, as `Item.name` writes it."""

    status: str

    source_version: str | None = None
    """Of the file when it was read; None where the run did not note it."""


class DamagedPart(ValueError):
    """A file of the results that cannot be read; the message names it."""


class OutputFolder(StoreFiles):
    """Reads and writes one folder of results, by paths relative to it.

    Args:
        root: Local path or fsspec URI.
    """

    def create(self, run_id: str = "") -> float:
        """Makes the folder; by how many seconds this machine's clock is ahead of the folder's.

        Args:
            run_id: Of the run that does; parts of a plan may do so at the same time.

        Raises:
            OSError: It may not be written to.
        """
        name = f"{RUNS}/.writable-{run_id}"
        with self._told_if_not_writable():
            for table in (*TABLES, RUNS):
                self._fs.makedirs(self._full(table), exist_ok=True)
            now = time.time()
            self.write(name, b"")
        written = self.written_at(name)
        self.remove(name)
        return 0.0 if written is None else now - written

    def try_writing(self) -> None:
        """Makes the folder and tries to write into it; OSError where that is not allowed."""
        with self._told_if_not_writable():
            self._fs.makedirs(self._full(""), exist_ok=True)
            self.write(".writable", b"")
        self.remove(".writable")

    @contextmanager
    def _told_if_not_writable(self) -> Iterator[None]:
        """Says of an OSError within it which folder it is, and what is to be done."""
        try:
            yield
        except OSError as error:
            if error.errno is None or is_outage(error):
                raise
            raise OSError(
                error.errno,
                f"the output folder cannot be written to ({error.strerror}): it must be on every "
                "machine that works on it; mend that, or choose another --output",
                self.root,
            ) from error

    def lock_for_run(self, run_id: str = "") -> RunLock:
        """This folder for one run alone, see `store.locking` and `store.object_lock`.

        Args:
            run_id: Of the run, for `is_current_run` and for the message to another.

        Raises:
            FolderInUse: Another run is writing into it.
        """
        if self.is_local:
            return lock_for_run(Path(self._full(RUNS)), run_id)
        return ObjectLock(self._fs, self._lock_folder(run_id), run_id)

    def is_current_run(self, run_id: str) -> bool:
        """Whether the folder is locked for this run still.

        A worker asks before it publishes: its run may have been given up, and another begun. Costs
        the reading of one small file, and of a store's listing.
        """
        if self.is_local:
            return is_locked_by(Path(self._full(RUNS)), run_id)
        return holds_lock(self._fs, self._lock_folder(run_id), run_id)

    def is_at_work(self, run_id: str) -> bool | None:
        """Whether a run, or another of its part, works now; None where that cannot be known."""
        return is_at_work(Path(self._full(RUNS)), run_id) if self.is_local else None

    def lock_for_worker(self, run_id: str = "") -> FileLock | None:
        """Notes that this process may publish for a run; None if the folder is not local."""
        return lock_for_worker(Path(self._full(RUNS)), run_id) if self.is_local else None

    def _lock_folder(self, run_id: str) -> str:
        """Where the locks of an object store lie: a part of a plan has a folder of its own."""
        series = series_of(run_id)
        return self._full(f"{RUNS}/{series}" if series else RUNS)

    def wait_for_workers(self, run_id: str = "") -> None:
        """Returns once no worker of a run may publish into a local folder, or FolderInUse."""
        if self.is_local:
            wait_for_workers(Path(self._full(RUNS)), run_id)

    def write_table(self, name: str, table: pa.Table) -> None:
        """Publishes a table as Parquet; an empty one is not written, and removes an older one."""
        if table.num_rows == 0:
            self.remove(name)
            return
        self.write(name, table_bytes(with_counts(table)))

    def read_part(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """A part's table, or some of its columns, one of an earlier schema as one of this.

        Raises:
            DamagedPart: It is not whole, or somebody else's.
            LaterSchema: A later version of this package wrote it.
        """
        with self._open_part(name) as file:
            found = file.schema_arrow
            if _ID not in found.names:
                raise DamagedPart(
                    f"{self.root}/{name} is no table of a run, it has no column {_ID}: move it to "
                    "another folder"
                )
            if is_current(found):
                return read_columns(file, columns)
            schema = upgrade_schema(found, f"{self.root}/{name}")
            table = read_columns(file, columns)
        return upgrade_table(table, schema, columns)

    def read_parts(
        self, names: Iterable[str], columns: list[str] | None = None
    ) -> Iterator[tuple[str, pa.Table]]:
        """Names of parts and what `read_part` gives, several read at the same time."""

        def read(some: list[str]) -> list[tuple[str, pa.Table]]:
            return [(name, self.read_part(name, columns)) for name in some]

        return self._several(read, names)

    def read_counts(self, names: Iterable[str]) -> Iterator[tuple[str, PartCounts]]:
        """Names of parts of frames or errors and what they count, by their footers alone.

        Those whose footers do not say it are read; errors as of `read_part`.
        """

        def read(some: list[str]) -> list[tuple[str, PartCounts]]:
            return [(name, self._counts(name)) for name in some]

        return self._several(read, names)

    def _counts(self, name: str) -> PartCounts:
        with self._open_part(name) as file:
            footer = file.metadata
            counts = noted_counts(footer.metadata or {}, footer.num_rows)
        if counts is not None:
            return counts
        return count_rows(self.read_part(name, list(COUNTED_COLUMNS[name.partition("/")[0]])))

    def _several(
        self, read: Callable[[list[str]], list[_Found]], names: Iterable[str]
    ) -> Iterator[_Found]:
        """What is read of parts, several at the same time, in their order."""
        if self.is_local:  # little to wait for: threads are handed several
            groups = in_parallel(read, in_groups(names, _LOCAL_PARTS), _LOCAL_THREADS)
        else:
            groups = in_parallel(read, in_groups(names, 1))
        return chain.from_iterable(groups)

    def read_schema(self, name: str) -> pa.Schema:
        """Schema of the part as `read_part` reads it, with its file metadata; errors as there."""
        with self._open_part(name) as file:
            return upgrade_schema(file.schema_arrow, f"{self.root}/{name}")

    def upgrade_parts(self) -> int:
        """Writes parts of earlier schemas anew, so that all can be read as one; how many.

        A run's parts are of one schema and are taken in the order of their names: where the last
        one is of this schema, all are, also after an upgrade that was stopped midway.
        """
        num_upgraded = 0
        for table in TABLES:
            runs: dict[str, list[str]] = {}
            for name in self.parts(table):
                runs.setdefault(run_of(name), []).append(name)
            for names in runs.values():
                if not self._is_current(names[-1]):
                    for name in names:
                        self.write_table(name, self.read_part(name))
                    num_upgraded += len(names)
        return num_upgraded

    def _is_current(self, name: str) -> bool:
        with self._open_part(name) as file:
            return is_current(file.schema_arrow)

    def row_groups(
        self, name: str, columns: list[str] | None = None, first: int = 0, step: int = 1
    ) -> Iterator[tuple[int, pa.Table]]:
        """Row groups of a plan, all or every step-th, with their numbers; some columns."""
        if self.is_local:
            with self._open_part(name) as file:
                for group in range(first, file.num_row_groups, step):
                    yield group, file.read_row_group(group, columns=columns, use_threads=False)
            return
        footer = _footer(self.root, name)
        groups = range(first, footer.num_row_groups, step)
        fetched = in_parallel(lambda group: self._fetch(name, group, columns), groups)
        yield from zip(groups, fetched, strict=True)

    def row_group(self, name: str, group: int) -> pa.Table:
        """One row group of a plan."""
        if not self.is_local:
            return self._fetch(name, group)
        with self._open_part(name) as file:
            return file.read_row_group(group, use_threads=False)

    def _fetch(self, name: str, group: int, columns: list[str] | None = None) -> pa.Table:
        footer = _footer(self.root, name)
        return fetch_row_group(self._fs, self._full(name), footer, group, columns)

    def footer(self, name: str) -> FileMetaData:
        """What a Parquet file in a store says of itself."""
        return read_footer(self._fs, self._full(name))

    def num_rows(self, name: str) -> int:
        """Rows of a part, as its footer says."""
        with self._open_part(name) as file:
            return int(file.metadata.num_rows)

    def first_text(self, name: str, column: str) -> str:
        """The smallest value of a part's text column, by its statistics where it has them."""
        with self._open_part(name) as file:
            place = file.schema_arrow.names.index(column)
            groups = [file.metadata.row_group(i).column(place) for i in range(file.num_row_groups)]
            known = [
                g.statistics.min for g in groups if g.is_stats_set and g.statistics.has_min_max
            ]
            if len(known) == len(groups) and known:
                return str(min(known))
            return str(pc.min(read_columns(file, [column])[column]).as_py())

    @contextmanager
    def _open_part(self, name: str) -> Iterator[ParquetFile]:
        path = self._full(name)
        source = file_at(path) if self.is_local else file_of(self._fs.cat_file(path))
        try:
            with open_parquet(source) as file:
                yield file
        except DamagedParquet as error:
            raise DamagedPart(
                f"{self.root}/{name} is no whole Parquet file ({error}); remove it, and the "
                "same predict command makes its rows again"
            ) from error

    def parts(self, table: str, run_id: str | None = None, series: str = "") -> list[str]:
        """Names `table/part-<run>-<shard>.parquet`, sorted; of one run, of a series or of all."""
        whose = run_id or series
        prefix = f"part-{whose}-" if whose else "part-"
        found = [name for name in self.names(table, prefix)
                 if (match := _PART_NAME.fullmatch(name)) and run_id in (None, match["run"])
                 and belongs_to(match["run"], series)]  # fmt: skip
        return [f"{table}/{name}" for name in found]

    def finished_items(self) -> Iterator[FinishedItem]:
        """Every item that a row of frames/ names."""
        names = ["item_id", "uri", "status", "source_version"]
        for _, rows in self.read_parts(self.parts("frames"), names):
            columns = rows.to_pydict()
            nulls = [None] * len(columns["item_id"])  # an evaluation's rows have no version
            yield from map(FinishedItem, *(columns.get(column, nulls) for column in names))

    def finished_ids(self, series: str = "") -> IdSet:
        """Ids of the same, for many millions of them: 40 bytes each; of a series' runs or all."""
        parts = self.read_parts(self.parts("frames", series=series), ["item_id"])
        return IdSet(rows["item_id"] for _, rows in parts)

    def failed_items(self) -> set[str]:
        """Ids of items of which anything failed, the whole or a single person."""
        failed = set[str]()
        for _, rows in self.read_parts(self.parts("frames"), ["item_id", "status"]):
            failed.update(
                rows.filter(pc.equal(rows["status"], STATUS_FAILED))["item_id"].to_pylist()
            )
        for _, rows in self.read_parts(self.parts("errors"), ["item_id"]):
            failed.update(rows["item_id"].to_pylist())
        return failed

    def sweep(self, series: str = "") -> int:
        """Removes what a stopped run left behind; how many files that were.

        Args:
            series: Only what runs of this series left: others may be at work.
        """
        if not series:
            self._finish_dropping()
        finished = {os.path.basename(name) for name in self.parts("frames", series=series)}
        leftovers = [
            name
            for table in ("people", "errors")
            for name in self.parts(table, series=series)
            if os.path.basename(name) not in finished and self._is_of_a_run(name)
        ]
        prefixes = (TEMPORARY_PREFIX, f"{series}-") if series else ()
        leftovers += [
            f"{table}/{name}"
            for table in (*TABLES, TRACKS, RUNS, MARKS, PICTURES)
            for name in self.names(table, *prefixes)
            if (name.startswith(TEMPORARY_PREFIX) and series in name)
            or (name.endswith(PLAN_SUFFIX) and belongs_to(name, series))
        ]
        leftovers += [  # of shards that were published, which say nothing any more
            _mark_name(key) for key in self.mark_keys(series) if f"part-{key}.parquet" in finished
        ]
        for name in leftovers:
            self.remove(name)
        return len(leftovers)

    def _is_of_a_run(self, name: str) -> bool:
        """Whether a run wrote a part, not somebody whose file has such a name by chance."""
        try:
            with self._open_part(name) as file:
                if not {_ID, _RUN} <= set(file.schema_arrow.names):
                    return False
                first = next(file.iter_batches(1, columns=[_RUN], use_threads=False), None)
        except DamagedPart:  # cut off by a loss of power, say
            return is_run_id(run_of(name))
        return first is not None and first[_RUN].to_pylist() == [run_of(name)]

    def drop_items(self, item_ids: Collection[str]) -> None:
        """Removes all rows and pictures of some items, so that they count as never done.

        What is to be dropped is noted first: if this is stopped midway, `sweep` completes it.
        """
        if item_ids:
            self.write(_DROP_JOURNAL, json.dumps(list(item_ids)).encode())
            self._finish_dropping()

    def _finish_dropping(self) -> None:
        try:
            item_ids = json.loads(self.read(_DROP_JOURNAL))
        except FileNotFoundError:
            return
        dropped = IdSet([pa.chunked_array([item_ids], pa.string())])
        for name in [part for table in (*TABLES, TRACKS) for part in self.parts(table)]:
            gone = dropped.mask(self.read_part(name, ["item_id"])["item_id"])
            if gone.all():
                self.remove(name)
            elif gone.any():
                with self._open_part(name) as file:  # as it is: see `upgrade_parts`
                    table = read_columns(file)
                self.write_table(name, table.filter(pa.array(~gone)))
        pictures = self.names(PICTURES)
        ids = ids_in_names(item_ids) if pictures else set()
        for name in pictures:
            if is_picture_of(name, ids):
                self.remove(f"{PICTURES}/{name}")
        self.remove(_DROP_JOURNAL)

    def write_mark(self, key: str, content: Mapping[str, Any]) -> None:
        """Leaves a note that something was begun; an older one of that key is replaced.

        Args:
            key: Of a shard or an item: letters, digits, `_`, `.` and `-`.
            content: Plain values.
        """
        self.write(_mark_name(key), json.dumps(content).encode(), durable=False)

    def read_marks(self, series: str = "") -> dict[str, dict[str, Any]]:
        """Contents of the marks of a series or of all by their keys.

        Empty where a loss of power left a mark empty.
        """
        keys = self.mark_keys(series)
        pairs = zip(keys, in_parallel(self._read_mark, keys), strict=True)
        return {key: content for key, content in pairs if content is not None}

    def mark_keys(self, series: str = "") -> list[str]:
        """Keys of the marks of a series or of all."""
        prefixes = (f"{series}-",) if series else ()
        keys = filter(None, map(_key_of_mark, self.names(MARKS, *prefixes)))
        return [key for key in keys if belongs_to(key, series)]

    def _read_mark(self, key: str) -> dict[str, Any] | None:
        """What a mark holds; None if it was removed meanwhile."""
        try:
            content = json.loads(self.read(_mark_name(key)))
        except FileNotFoundError:
            return None
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}

    def remove_mark(self, key: str) -> None:
        """Removes a mark if it is there."""
        self.remove(_mark_name(key))


@lru_cache(maxsize=4)
def _footer(root: str, name: str) -> FileMetaData:
    """Of a plan, which is written once."""
    return OutputFolder(root).footer(name)


def _mark_name(key: str) -> str:
    if not _MARK_KEY.fullmatch(key):
        raise ValueError(f"{key!r} cannot be the key of a mark: it is no plain file name")
    return f"{MARKS}/{key}.json"


def _key_of_mark(name: str) -> str | None:
    """Key of the mark in a file of that name; None where it is none of ours, such as .DS_Store."""
    key, extension = os.path.splitext(name)
    return key if extension == ".json" and _MARK_KEY.fullmatch(key) else None


def run_of(part: str) -> str:
    """Id of the run that wrote a part."""
    match = _PART_NAME.fullmatch(part.rsplit("/", 1)[-1])
    assert match is not None, f"{part} is no name of a part"
    return match["run"]


def part_name(table: str, run_id: str, shard_name: str) -> str:
    """Where a shard publishes its rows of a table."""
    return f"{table}/part-{run_id}-{shard_name}.parquet"
