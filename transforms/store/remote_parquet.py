"""Row groups of a large Parquet file in a store, each by a request for its own bytes."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pyarrow as pa
from fsspec import AbstractFileSystem

from .parquet_files import FileMetaData, ParquetFile, file_of

_FOOTER_BYTES = 1 << 16
"""Asked for first; more where a file's footer is longer."""

_MARK_BYTES = 8


def read_footer(fs: AbstractFileSystem, path: str) -> FileMetaData:
    """What a Parquet file says of itself, without the rest of it."""
    size = fs.info(path)["size"]  # places counted from the end are not for all stores: Azure's not
    tail = fs.cat_file(path, start=max(0, size - _FOOTER_BYTES), end=size)
    num_bytes = int.from_bytes(tail[-_MARK_BYTES : -_MARK_BYTES // 2], "little") + _MARK_BYTES
    if num_bytes > len(tail):
        tail = fs.cat_file(path, start=size - num_bytes, end=size)
    with file_of(tail) as source, ParquetFile(source) as file:
        return file.metadata


def fetch_row_group(
    fs: AbstractFileSystem,
    path: str,
    footer: FileMetaData,
    group: int,
    columns: Collection[str] | None,
) -> pa.Table:
    """One row group of a Parquet file, or some of its columns."""
    described = footer.row_group(group)
    chunks = [described.column(place) for place in range(described.num_columns)]
    chunks = [c for c in chunks if columns is None or c.path_in_schema in columns]
    starts = [min(filter(None, (c.dictionary_page_offset, c.data_page_offset))) for c in chunks]
    start = min(starts)
    end = max(at + c.total_compressed_size for at, c in zip(starts, chunks, strict=True))
    # As large as the file up to there; what is not written takes no memory.
    buffer = pa.allocate_buffer(end)
    np.frombuffer(buffer, np.uint8)[start:] = np.frombuffer(
        fs.cat_file(path, start=start, end=end), np.uint8
    )
    with pa.BufferReader(buffer) as source, ParquetFile(source, metadata=footer) as file:
        return file.read_row_group(group, columns=columns, use_threads=False)
