"""Filters of people by what their rows say: `uri=*beach.jpg`, `quality>0.6`, `height_m<=1.7`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import pyarrow as pa

from hierprob3d.configs.checks import nearest
from hierprob3d.pipelines.command.usage import UsageError
from hierprob3d.transforms.tables.schema import every_people_column
from hierprob3d.transforms.tables.track_schema import TRACK_COLUMNS

from .tracked_rows import TOLD_OF_TRACKS

_TERM = re.compile(r"(?P<column>\w+)(?P<operator>>=|<=|>|<|=)(?P<value>.*)", re.DOTALL)
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip


@dataclass(frozen=True)
class RowFilter:
    """One condition on a row."""

    column: str
    matches_value: Callable[[Any], bool]
    """Whether a value that is not null fulfils it."""

    @property
    def is_of_tracks(self) -> bool:
        """Whether the column is one of tracks/."""
        return self.column in TOLD_OF_TRACKS

    def matches(self, row: Mapping[str, Any]) -> bool:
        """Whether a row fulfils it; null fulfils nothing."""
        value = row[self.column]
        return value is not None and self.matches_value(value)


def parse_filters(words: Sequence[str]) -> list[RowFilter]:
    """The conditions of `--filter`.

    Raises:
        UsageError: one is none, compares text, or names a column that no run has.
    """
    return [_parse(word) for word in words]


def _parse(text: str) -> RowFilter:
    found = _TERM.fullmatch(text)
    if found is None:
        raise UsageError(
            f"--filter {text!r} is neither COLUMN=PATTERN nor a comparison such as quality>0.6."
        )
    column, kind = found["column"], _type_of(found["column"], text)
    if found["operator"] == "=":
        return RowFilter(column, _pattern(found["value"], kind))
    return RowFilter(column, _comparison(found["operator"], found["value"], kind, text))


def _type_of(name: str, text: str) -> pa.DataType:
    of_tracks = (column for column in TRACK_COLUMNS if column.name in TOLD_OF_TRACKS)
    columns = {column.name: column for column in (*every_people_column(), *of_tracks)}
    known = {n: c.type for n, c in columns.items() if not pa.types.is_fixed_size_list(c.type)}
    if name in known:
        return known[name]
    if name in columns:
        raise UsageError(f"--filter {text!r}: {name} holds several numbers; filter by one alone.")
    hint = nearest(name, known, cutoff=0.5)
    raise UsageError(f"--filter {text!r}: no run has people with a column {name!r}.{hint}")


def _pattern(pattern: str, kind: pa.DataType) -> Callable[[Any], bool]:
    """Equality of numbers and of true and false, where it is one, and wildcards otherwise."""
    if pa.types.is_boolean(kind) and pattern.lower() in ("true", "false"):
        return lambda value: value == (pattern.lower() == "true")
    number = None if pa.types.is_string(kind) else _number(pattern)
    if number is not None:
        return lambda value: float(value) == number
    return lambda value: fnmatch(str(value), pattern)


def _comparison(sign: str, bound: str, kind: pa.DataType, text: str) -> Callable[[Any], bool]:
    number = _number(bound)
    if pa.types.is_string(kind) or number is None:
        what = "the column is text" if pa.types.is_string(kind) else f"{bound!r} is no number"
        raise UsageError(f"--filter {text!r}: {what}, so there is nothing to compare by {sign}.")
    compare = _COMPARISONS[sign]
    return lambda value: compare(value, number)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
