"""Many small parts joined into few large ones, sorted by the items' names.

Readers that look for some pictures can then pass over files and row groups by their statistics.
Memory holds what cannot be written yet, because parts to come may hold rows that go before.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from hierprob3d.transforms.inputs.items import shard_name
from hierprob3d.transforms.tables.schema import STAGE_SECONDS

from .output_folder import TABLES, OutputFolder, part_name
from .parquet_files import ParquetWriter, parquet_writer
from .part_counts import COUNTS, PartCounts, count_rows, counts_note

FILE_BYTES = 160 << 20
"""A part's files are closed when they have so many bytes together: with what follows in the same
write they stay below 256 MB."""

_CHUNK_BYTES = 48 << 20
_MOST_BYTES = 512 << 20
"""In memory; with more waiting, all of it is written, and files are sorted in themselves only."""

_ROWS_PER_GROUP = 8192
_KEY = ("uri", "frame_index", "person_index")
"""Columns that rows are sorted by, those that a table has."""


@dataclass(frozen=True)
class SmallPart:
    """A finished shard's files."""

    name: str
    """Base name in all tables."""

    first_uri: str
    """Smallest of its items'."""


class PartJoiner:
    """Joins parts of one run that have the same columns and metadata.

    Args:
        source: Folder of the parts.
        target: Folder of the joined ones.
        run_id: In the names of these.
        first_index: Number of the first of them.
        file_bytes: See FILE_BYTES.
    """

    def __init__(
        self,
        source: OutputFolder,
        target: OutputFolder,
        run_id: str,
        first_index: int = 0,
        file_bytes: int = FILE_BYTES,
    ) -> None:
        self._source = source
        self._target = target
        self._run_id = run_id
        self._file_bytes = file_bytes
        self._waiting: dict[str, list[pa.Table]] = {table: [] for table in TABLES}
        self._seconds: Counter[str] = Counter()
        self._files: _PartFiles | None = None
        self.num_parts = first_index
        """Number of the next joined part."""
        self.num_rows: Counter[str] = Counter()
        """Written so far, by table."""

    def join(self, parts: Sequence[SmallPart], tables: Mapping[str, frozenset[str]]) -> None:
        """Writes all rows of some parts.

        Args:
            parts: In any order.
            tables: Base names that each table has.
        """
        ordered = sorted(parts, key=lambda part: part.first_uri)
        for place, part in enumerate(ordered):
            for table in TABLES:
                if part.name in tables[table]:
                    self._take(table, self._source.read_part(f"{table}/{part.name}"))
            if self._num_waiting_bytes() > _CHUNK_BYTES and place + 1 < len(ordered):
                all_of_it = self._num_waiting_bytes() > _MOST_BYTES
                self._write(None if all_of_it else ordered[place + 1].first_uri)
        self._write(None)
        self._close()

    def _take(self, table: str, rows: pa.Table) -> None:
        notes = rows.schema.metadata or {}
        self._seconds.update(json.loads(notes.get(STAGE_SECONDS.encode(), b"{}")))
        self._waiting[table].append(rows)

    def _num_waiting_bytes(self) -> int:
        return sum(rows.nbytes for parts in self._waiting.values() for rows in parts)

    def _write(self, before: str | None) -> None:
        """Writes the rows of items whose names come before that one, or all."""
        ready: dict[str, pa.Table] = {}
        for table, parts in self._waiting.items():
            if not parts:
                continue
            rows = pa.concat_tables(parts)
            if before is None:
                ready[table], rest = rows, []
            else:
                comes_first = pc.less(rows["uri"], before)
                ready[table], rest = rows.filter(comes_first), [rows.filter(pc.invert(comes_first))]
            self._waiting[table] = rest
        if not any(len(rows) for rows in ready.values()):
            return
        if self._files is None:
            self._files = _PartFiles(self._target, self._run_id, shard_name(self.num_parts))
            self.num_parts += 1
        for table, rows in ready.items():
            self._files.write(table, _sorted(rows))
            self.num_rows[table] += len(rows)
        if self._files.num_bytes() >= self._file_bytes:
            self._close()

    def _close(self) -> None:
        if self._files is not None:
            self._files.close({STAGE_SECONDS: json.dumps(self._seconds)})
            self._files, self._seconds = None, Counter()


class _PartFiles:
    """The files of one joined part, people and errors published before frames."""

    def __init__(self, store: OutputFolder, run_id: str, shard: str) -> None:
        self._store = store
        self._names = {table: part_name(table, run_id, shard) for table in TABLES}
        self._paths: dict[str, str] = {}
        self._counts: dict[str, PartCounts] = {}
        self._writers: dict[str, ParquetWriter] = {}

    def write(self, table: str, rows: pa.Table) -> None:
        """Appends rows."""
        if not len(rows):
            return
        if table not in self._writers:
            self._paths[table] = self._store.temporary_file(self._names[table])
            self._writers[table] = parquet_writer(self._paths[table], _without_notes(rows.schema))
        bare = rows.replace_schema_metadata(self._writers[table].schema.metadata)
        self._writers[table].write_table(bare, row_group_size=_ROWS_PER_GROUP)
        self._counts.setdefault(table, PartCounts()).add(count_rows(rows))

    def num_bytes(self) -> int:
        """Written so far, in all files."""
        return sum(os.path.getsize(path) for path in self._paths.values())

    def close(self, frames_metadata: Mapping[str, str]) -> None:
        """Publishes the files."""
        for table, writer in self._writers.items():
            of_frames = frames_metadata if table == "frames" else {}
            writer.add_key_value_metadata({**counts_note(self._counts[table]), **of_frames})
        with ExitStack() as writers:
            for writer in self._writers.values():
                writers.callback(writer.close)
        for table in TABLES:
            if table in self._paths:
                self._store.publish_file(self._names[table], self._paths[table])


def _sorted(rows: pa.Table) -> pa.Table:
    keys = [(name, "ascending") for name in _KEY if name in rows.column_names]
    return rows.take(pc.sort_indices(rows.select([name for name, _ in keys]), sort_keys=keys))


def _without_notes(schema: pa.Schema) -> pa.Schema:
    """The schema without what is said of one shard only."""
    of_shards = (STAGE_SECONDS.encode(), COUNTS.encode())
    kept = {k: v for k, v in (schema.metadata or {}).items() if k not in of_shards}
    return schema.with_metadata(kept)
