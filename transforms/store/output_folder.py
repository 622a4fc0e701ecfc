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
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hierprob3d.transforms.inputs.uris import absolute, filesystem, is_remote
from hierprob3d.transforms.tables.schema import STATUS_FAILED

from .file_names import is_picture_of, short_id
from .locking import FileLock, lock_for_run, lock_for_worker

TABLES = ("people", "errors", "frames")
"""In the order in which a shard publishes them."""

RUNS = "runs"
PICTURES = "pictures"
_DROP_JOURNAL = f"{RUNS}/.dropping.json"
_PART_NAME = re.compile(r"part-(?P<run>.+)-(?P<shard>\d+)\.parquet")
_TEMPORARY_PREFIX = ".tmp-"


@dataclass(frozen=True)
class FinishedItem:
    """A row of the frames table, as far as later runs need it."""

    item_id: str
    name: str
    """The URI, as `Item.name` writes it."""

    status: str


class DamagedPart(ValueError):
    """A file of the results that cannot be read; the message names it."""


class OutputFolder:
    """Reads and writes one folder of results, by paths relative to it.

    Args:
        root: Local path or fsspec URI.
    """

    def __init__(self, root: str) -> None:
        self.root = absolute(root)
        self.is_local = not is_remote(self.root)
        self._fs, path = filesystem(self.root)
        self._path = path.rstrip("/")

    def create(self) -> None:
        """Makes the folder and tries to write into it; OSError where that is not allowed."""
        for table in (*TABLES, RUNS):
            self._fs.makedirs(self._full(table), exist_ok=True)
        self.write(f"{RUNS}/.writable", b"")
        self.remove(f"{RUNS}/.writable")

    def lock_for_run(self) -> FileLock | None:
        """This folder for one run alone, see `store.locking`; None if it is not local."""
        return lock_for_run(Path(self._full(RUNS))) if self.is_local else None

    def lock_for_worker(self) -> FileLock | None:
        """Notes that this process may publish; None if the folder is not local."""
        return lock_for_worker(Path(self._full(RUNS))) if self.is_local else None

    def has_folder(self, name: str = "") -> bool:
        """Whether there is such a sub-folder, or this folder itself."""
        return self._fs.isdir(self._full(name) if name else self._path)

    def write(self, name: str, data: bytes) -> None:
        """Publishes a file whole: a reader sees the old one, none, or all of the new one."""
        path = self._full(name)
        if not self.is_local:
            self._fs.pipe_file(path, data)
            return
        folder, base = os.path.split(path)
        os.makedirs(folder, exist_ok=True)
        temporary = os.path.join(folder, f"{_TEMPORARY_PREFIX}{os.getpid()}-{base}")
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)

    def read(self, name: str) -> bytes:
        """Contents of a file."""
        return self._fs.cat_file(self._full(name))

    def remove(self, name: str) -> None:
        """Removes a file if it is there."""
        try:
            self._fs.rm_file(self._full(name))
        except FileNotFoundError:
            pass

    def write_table(self, name: str, table: pa.Table) -> None:
        """Publishes a table as Parquet; an empty one is not written, and removes an older one."""
        if table.num_rows == 0:
            self.remove(name)
            return
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        self.write(name, sink.getvalue().to_pybytes())

    def read_part(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """A part's table, or some of its columns; DamagedPart if it is not whole."""
        with self._open_part(name) as file:
            # Threads of Arrow that still end when a short command does may abort its process.
            return file.read(columns=columns, use_threads=False)

    def read_schema(self, name: str) -> pa.Schema:
        """Schema of a part with its file metadata; DamagedPart if it is not whole."""
        with self._open_part(name) as file:
            return file.schema_arrow

    @contextmanager
    def _open_part(self, name: str) -> Iterator[pq.ParquetFile]:
        with self._fs.open(self._full(name), "rb") as file:
            try:
                yield pq.ParquetFile(file)
            except (pa.ArrowException, OSError) as error:
                raise DamagedPart(
                    f"{self.root}/{name} is no whole Parquet file ({error}); remove it, and the "
                    "same predict command makes its rows again"
                ) from error

    def parts(self, table: str, run_id: str | None = None) -> list[str]:
        """Names `table/part-<run>-<shard>.parquet`, sorted; of one run or of all."""
        found = [name for name in self.names(table) if (match := _PART_NAME.fullmatch(name))
                 and run_id in (None, match["run"])]  # fmt: skip
        return [f"{table}/{name}" for name in found]

    def finished_items(self) -> Iterator[FinishedItem]:
        """Every item that a row of frames/ names."""
        for name in self.parts("frames"):
            columns = self.read_part(name, ["item_id", "uri", "status"]).to_pydict()
            yield from map(FinishedItem, columns["item_id"], columns["uri"], columns["status"])

    def failed_items(self) -> set[str]:
        """Ids of items of which anything failed, the whole or a single person."""
        failed = {item.item_id for item in self.finished_items() if item.status == STATUS_FAILED}
        for name in self.parts("errors"):
            failed.update(self.read_part(name, ["item_id"])["item_id"].to_pylist())
        return failed

    def sweep(self) -> int:
        """Removes what a stopped run left behind; how many files that were."""
        self._finish_dropping()
        finished = {os.path.basename(name) for name in self.parts("frames")}
        leftovers = [
            name
            for table in ("people", "errors")
            for name in self.parts(table)
            if os.path.basename(name) not in finished
        ]
        leftovers += [
            f"{table}/{name}"
            for table in (*TABLES, RUNS, PICTURES)
            for name in self.names(table)
            if name.startswith(_TEMPORARY_PREFIX)
        ]
        for name in leftovers:
            self.remove(name)
        return len(leftovers)

    def drop_items(self, item_ids: Collection[str]) -> None:
        """Removes all rows and pictures of some items, so that they count as never done.

        What is to be dropped is noted first: if this is stopped midway, `sweep` completes it.
        """
        if item_ids:
            self.write(_DROP_JOURNAL, json.dumps(sorted(item_ids)).encode())
            self._finish_dropping()

    def _finish_dropping(self) -> None:
        try:
            item_ids = json.loads(self.read(_DROP_JOURNAL))
        except FileNotFoundError:
            return
        dropped = pa.array(item_ids, pa.string())
        for name in [part for table in TABLES for part in self.parts(table)]:
            gone = pc.is_in(self.read_part(name, ["item_id"])["item_id"], value_set=dropped)
            if pc.any(gone).as_py():
                self.write_table(name, self.read_part(name).filter(pc.invert(gone)))
        short_ids = {short_id(item_id) for item_id in item_ids}
        for name in self.names(PICTURES):
            if is_picture_of(name, short_ids):
                self.remove(f"{PICTURES}/{name}")
        self.remove(_DROP_JOURNAL)

    def names(self, folder: str) -> list[str]:
        """Base names in a sub-folder, sorted."""
        try:
            found = self._fs.ls(self._full(folder), detail=False, refresh=True)
        except FileNotFoundError:
            return []
        return sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in found)

    def _full(self, name: str) -> str:
        return f"{self._path}/{name}"


def part_name(table: str, run_id: str, shard_name: str) -> str:
    """Where a shard publishes its rows of a table."""
    return f"{table}/part-{run_id}-{shard_name}.parquet"
