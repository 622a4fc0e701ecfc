"""Parquet read and written with no Python object inside Arrow.

Arrow's threads may let go of a file that was read a moment after the read has returned. Were it a
Python object, they would ask for the interpreter's lock, and if the process ends just then it is
aborted. So local files are opened by Arrow itself, and the bytes of others are copied into Arrow's
own memory: at no time does a thread of Arrow need Python.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow.parquet import FileMetaData, ParquetFile, ParquetWriter, write_table

__all__ = [
    "DamagedParquet", "FileMetaData", "ParquetFile", "ParquetWriter", "file_at", "file_of",
    "open_parquet", "parquet_writer", "read_columns", "table_bytes",
]  # fmt: skip


class DamagedParquet(ValueError):
    """What was read is no whole Parquet file; the message says what Arrow thinks of it."""


def file_at(path: str) -> pa.NativeFile:
    """The file at a local path, opened by Arrow; OSError where it cannot be."""
    return pa.OSFile(os.fsencode(path))


def file_of(data: bytes) -> pa.NativeFile:
    """A file that was fetched already."""
    buffer = pa.allocate_buffer(len(data))
    np.frombuffer(buffer, np.uint8)[:] = np.frombuffer(data, np.uint8)
    return pa.BufferReader(buffer)


@contextmanager
def open_parquet(file: pa.NativeFile) -> Iterator[ParquetFile]:
    """The Parquet file for the time of a block, in which DamagedParquet is raised for errors."""
    try:
        with file, ParquetFile(file) as parquet:
            yield parquet
    except (pa.ArrowException, OSError) as error:
        raise DamagedParquet(" ".join(str(error).split())) from error


def read_columns(file: ParquetFile, columns: list[str] | None = None) -> pa.Table:
    """The table, or some of its columns.

    In this thread alone: the files of a run are small, and starting threads costs more than they
    save.
    """
    return file.read(columns=columns, use_threads=False)


def table_bytes(table: pa.Table) -> bytes:
    """The whole file that holds a table."""
    sink = pa.BufferOutputStream()
    write_table(table, sink, **_encoding(table.schema))
    return sink.getvalue().to_pybytes()


def parquet_writer(path: str, schema: pa.Schema) -> ParquetWriter:
    """A writer of row groups into a local file."""
    return ParquetWriter(pa.OSFile(os.fsencode(path), "wb"), schema, **_encoding(schema))


def _encoding(schema: pa.Schema) -> dict[str, Any]:
    """How columns are packed.

    Measured numbers hardly repeat: looked for in a dictionary, as Arrow does unless told otherwise,
    they take a quarter more room and four times as long to write.
    """
    others = [
        field.name for field in schema
        if not (pa.types.is_fixed_size_list(field.type) or pa.types.is_floating(field.type))
    ]  # fmt: skip
    return {"compression": "zstd", "use_dictionary": others}
