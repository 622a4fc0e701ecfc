"""Names that a list of inputs holds: .txt, .csv or .parquet, by their bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import pyarrow as pa

from hierprob3d.transforms.store.parquet_files import (
    DamagedParquet,
    file_of,
    open_parquet,
    read_columns,
)

LIST_SUFFIXES = (".txt", ".csv", ".parquet")
URI_COLUMN = "uri"


def names_in_list(data: bytes, kind: str, uri: str) -> list[str]:
    """The names of a list as they are written there, empty ones left out.

    Args:
        data: The list file: .txt has one name a line, .csv and .parquet a column `uri`.
        kind: Member of LIST_SUFFIXES.
        uri: Of the list, for messages.

    Raises:
        ValueError: Damaged, not UTF-8 text, or without a text column `uri`.
    """
    return {".txt": _lines, ".csv": _csv_column, ".parquet": _parquet_column}[kind](data, uri)


def _lines(data: bytes, uri: str) -> list[str]:
    lines = [line.strip(" \t\r") for line in _text(data, uri).split("\n")]
    return [line for line in lines if line and not line.startswith("#")]


def _csv_column(data: bytes, uri: str) -> list[str]:
    rows = csv.reader(io.StringIO(_text(data, uri), newline=""))
    try:
        header = [cell.strip() for cell in next(rows, [])]
        _require_column(header, uri)
        place = header.index(URI_COLUMN)
        cells = [row[place].strip() for row in rows if len(row) > place]
    except csv.Error as error:
        raise ValueError(f"line {rows.line_num} of the list {uri} is no CSV: {error}") from error
    return [cell for cell in cells if cell]


def _parquet_column(data: bytes, uri: str) -> list[str]:
    try:
        with open_parquet(file_of(data)) as file:
            _require_column(file.schema_arrow.names, uri)
            column = read_columns(file, [URI_COLUMN]).column(URI_COLUMN)
    except DamagedParquet as error:
        raise ValueError(f"the list {uri} is not a whole Parquet file: {error}") from error
    if not _is_text(column.type):
        raise ValueError(f"the column '{URI_COLUMN}' of the list {uri} is {column.type}, not text")
    return [name for name in column.to_pylist() if name]


def _is_text(kind: pa.DataType) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    checks = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(check(value) for check in checks)


def _text(data: bytes, uri: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"the list {uri} is not UTF-8 text: {error}") from error


def _require_column(columns: Sequence[str], uri: str) -> None:
    if URI_COLUMN not in columns:
        raise ValueError(f"the list {uri} has no column '{URI_COLUMN}', only {list(columns)}")
