"""What a list of inputs holds: names, and perhaps what is known of the people in each."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa

from hierprob3d.transforms.store.parquet_files import (
    DamagedParquet,
    file_at,
    file_of,
    open_parquet,
)

from .given_people import GIVEN_COLUMNS, GivenPerson, given_person
from .uris import is_remote, open_uri, suffix

LIST_SUFFIXES = (".txt", ".csv", ".parquet")
URI_COLUMN = "uri"
_BATCH_ROWS = 8192


@dataclass(frozen=True)
class ListedInput:
    """A row of a list."""

    name: str
    """As it is written there."""

    person: GivenPerson | None = None
    """What the row says besides."""


@contextmanager
def inputs_in_list(uri: str) -> Iterator[Iterator[ListedInput]]:
    """The rows of a list as they are read, those without a name left out.

    Args:
        uri: Of the list file, by whose extension, one of LIST_SUFFIXES, it is read: .txt has one
            name a line, .csv and .parquet a column `uri`, and perhaps some of GIVEN_COLUMNS.

    Raises:
        ValueError: Damaged, not UTF-8 text, without a text column `uri`, or a value that cannot be
            used.
    """
    with open_uri(uri) as file:
        kind = suffix(uri)
        if kind == ".parquet":
            yield _parquet_rows(file, uri)
        else:
            newline = "\n" if kind == ".txt" else ""
            text = io.TextIOWrapper(file, encoding="utf-8-sig", newline=newline)
            yield _checked(_lines(text) if kind == ".txt" else _csv_rows(text, uri), uri)


def _checked(rows: Iterator[ListedInput], uri: str) -> Iterator[ListedInput]:
    """The rows; ValueError where they turn out not to be UTF-8."""
    try:
        yield from rows
    except UnicodeDecodeError as error:
        raise ValueError(f"the list {uri} is not UTF-8 text: {error}") from error


def _lines(text: io.TextIOBase) -> Iterator[ListedInput]:
    for line in text:
        name = line.strip(" \t\r\n")
        if name and not name.startswith("#"):
            yield ListedInput(name)


def _csv_rows(text: io.TextIOBase, uri: str) -> Iterator[ListedInput]:
    rows = csv.reader(text)
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


def _parquet_rows(file: BinaryIO, uri: str) -> Iterator[ListedInput]:
    source = file_of(file.read()) if is_remote(uri) else file_at(uri)
    number = 0
    try:
        with open_parquet(source) as parquet:
            names = parquet.schema_arrow.names
            _require_column(names, uri)
            kind = parquet.schema_arrow.field(URI_COLUMN).type
            if not _is_text(kind):
                raise ValueError(f"the column '{URI_COLUMN}' of the list {uri} is {kind}, not text")
            wanted = [name for name in (URI_COLUMN, *GIVEN_COLUMNS) if name in names]
            for batch in parquet.iter_batches(_BATCH_ROWS, columns=wanted, use_threads=False):
                columns = [column.to_pylist() for column in batch.select(wanted).columns]
                for row in zip(*columns, strict=True):
                    if row[0]:
                        yield _listed(row, wanted, f"row {number} of the list {uri}")
                    number += 1
    except DamagedParquet as error:
        raise ValueError(f"the list {uri} is not a whole Parquet file: {error}") from error


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


def _require_column(columns: Sequence[str], uri: str) -> None:
    if URI_COLUMN not in columns:
        raise ValueError(f"the list {uri} has no column '{URI_COLUMN}', only {list(columns)}")
