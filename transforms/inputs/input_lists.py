"""What a list of inputs holds: names, and perhaps what is known of the people in each."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from hierprob3d.transforms.store.parquet_files import (
    DamagedParquet,
    file_of,
    open_parquet,
    read_columns,
)

from .given_people import GIVEN_COLUMNS, GivenPerson, given_person

LIST_SUFFIXES = (".txt", ".csv", ".parquet")
URI_COLUMN = "uri"


@dataclass(frozen=True)
class ListedInput:
    """A row of a list."""

    name: str
    """As it is written there."""

    person: GivenPerson | None = None
    """What the row says besides."""


def inputs_in_list(data: bytes, kind: str, uri: str) -> Iterator[ListedInput]:
    """The rows of a list, those without a name left out.

    Args:
        data: The list file: .txt has one name a line, .csv and .parquet a column `uri`, and perhaps
            some of GIVEN_COLUMNS.
        kind: Member of LIST_SUFFIXES.
        uri: Of the list, for messages.

    Raises:
        ValueError: Damaged, not UTF-8 text, without a text column `uri`, or a value that cannot be
            used.
    """
    return {".txt": _lines, ".csv": _csv_rows, ".parquet": _parquet_rows}[kind](data, uri)


def _lines(data: bytes, uri: str) -> Iterator[ListedInput]:
    for line in _text(data, uri).split("\n"):
        name = line.strip(" \t\r")
        if name and not name.startswith("#"):
            yield ListedInput(name)


def _csv_rows(data: bytes, uri: str) -> Iterator[ListedInput]:
    rows = csv.reader(io.StringIO(_text(data, uri), newline=""))
    try:
        header = [cell.strip() for cell in next(rows, [])]
        _require_column(header, uri)
        wanted = [name for name in (URI_COLUMN, *GIVEN_COLUMNS) if name in header]
        places = [header.index(name) for name in wanted]
        for row in rows:
            cells = [row[place].strip() if place < len(row) else "" for place in places]
            if cells[0]:
                yield _listed(cells, wanted, f"line {rows.line_num} of the list {uri}")
    except csv.Error as error:
        raise ValueError(f"line {rows.line_num} of the list {uri} is no CSV: {error}") from error


def _parquet_rows(data: bytes, uri: str) -> Iterator[ListedInput]:
    try:
        with open_parquet(file_of(data)) as file:
            names = file.schema_arrow.names
            _require_column(names, uri)
            wanted = [name for name in (URI_COLUMN, *GIVEN_COLUMNS) if name in names]
            table = read_columns(file, wanted).select(wanted)
    except DamagedParquet as error:
        raise ValueError(f"the list {uri} is not a whole Parquet file: {error}") from error
    kind = table.schema.field(URI_COLUMN).type
    if not _is_text(kind):
        raise ValueError(f"the column '{URI_COLUMN}' of the list {uri} is {kind}, not text")
    columns = [column.to_pylist() for column in table.columns]
    for number, row in enumerate(zip(*columns, strict=True)):
        if row[0]:
            yield _listed(row, wanted, f"row {number} of the list {uri}")


def _listed(values: Sequence[Any], columns: Sequence[str], where: str) -> ListedInput:
    """A row with its name first."""
    name: str = values[0]
    if len(values) == 1:
        return ListedInput(name)
    try:
        return ListedInput(name, given_person(dict(zip(columns, values, strict=True))))
    except ValueError as error:
        raise ValueError(f"{where} ({name}): {error}") from error


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
