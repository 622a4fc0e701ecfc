"""Results become Arrow tables, as a schema defines them: `table_of`, and the tables of a run."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from torch import Tensor

from hierprob3d.transforms.batch.isolation import Failure, People
from hierprob3d.transforms.inputs.given_people import given_to
from hierprob3d.transforms.inputs.items import Frame, Item

from .null_columns import no_values
from .schema import OPTIONAL_COLUMNS, STATUS_FAILED, STATUS_NO_PERSON, STATUS_OK

_MAX_MESSAGE = 500
"""Characters of an error message that are kept; some libraries' fill pages."""

_MAX_TRACEBACK = 2000
"""Characters of a traceback that are kept, the last ones: they say where it happened."""

Values: TypeAlias = "Tensor | np.ndarray | pa.Array | Sequence[object]"
"""A column of P values, or of P rows of numbers."""


def table_of(
    columns: Mapping[str, Values],
    schema: pa.Schema,
    nulls_for: int | None = None,
    may_lack: Collection[str] | None = None,
) -> pa.Table:
    """The table of a schema, from columns by name.

    Args:
        columns: NaN becomes null, of a column of lists where a whole list is NaN. Those that the
            schema lacks are left out.
        schema: Columns, their types and the metadata.
        nulls_for: Number of rows P; missing columns are nulls. Without it they are a defect.
        may_lack: Of which columns that holds; None: of all.

    Raises:
        KeyError: A column is missing.
    """

    def is_null(name: str) -> bool:
        return name not in columns and (may_lack is None or name in may_lack)

    arrays = [
        no_values(nulls_for, field.type)
        if nulls_for is not None and is_null(field.name)
        else to_arrow(columns[field.name], field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def to_arrow(values: Values, kind: pa.DataType) -> pa.Array:
    """A column in a type of the schemas."""
    if isinstance(values, pa.Array):
        return values
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(_elements(values, kind), type=kind)
    if isinstance(values, np.ndarray):
        return pa.array(values, kind, from_pandas=True)
    return pa.array(values, kind)


def _elements(values: Values, kind: pa.DataType) -> pa.Array:
    """The numbers of a column of lists, one after the other."""
    numbers = np.asarray(values, dtype=_numpy_type(kind.value_type)).reshape(-1, kind.list_size)
    nothing = np.isnan(numbers).all(1)
    # Without a mask nothing is copied.
    mask = np.repeat(nothing, kind.list_size) if nothing.any() else None
    return pa.array(numbers.reshape(-1), mask=mask)


def _numpy_type(kind: pa.DataType) -> np.dtype[Any]:
    """The type of numbers in numpy; pyarrow's own function for it needs pandas."""
    name = str(kind)
    return np.dtype({"float": "float32", "double": "float64"}.get(name, name))


def people_table(people: People, schema: pa.Schema, seed: int, run_id: str) -> pa.Table:
    """One row per person."""
    count = len(people)
    if not count:
        return schema.empty_table()
    columns: dict[str, Values] = {
        **people.columns,
        **item_columns(people.items),
        "person_index": people.person_indices,
        "given": given_names(people.items, people.person_indices),
        "seed": [seed] * count,
        "run_id": [run_id] * count,
    }
    return table_of(columns, schema, nulls_for=count, may_lack=OPTIONAL_COLUMNS)


def frames_table(
    frames: Sequence[Frame],
    people: People,
    failures: Sequence[Failure],
    seconds: float,
    schema: pa.Schema,
    run_id: str,
) -> pa.Table:
    """One row per frame, with its status.

    A frame has failed if it failed as a whole, or if people were found and all of them failed.
    """
    num_people = Counter(item.item_id for item in people.items)
    failed = {failure.item.item_id for failure in failures}
    ids = [frame.item.item_id for frame in frames]
    columns = {
        **item_columns([frame.item for frame in frames]),
        "width": [None if f.image is None else f.image.shape[1] for f in frames],
        "height": [None if f.image is None else f.image.shape[0] for f in frames],
        "status": [_status(num_people[item_id], item_id in failed) for item_id in ids],
        "num_people": [num_people[item_id] for item_id in ids],
        "run_id": [run_id] * len(frames),
        "seconds": [seconds / max(1, len(frames))] * len(frames),
        "source_version": [frame.item.source_version for frame in frames],
        "warning": [frame.warning for frame in frames],
    }
    return table_of(columns, schema)


def errors_table(failures: Sequence[Failure], schema: pa.Schema, run_id: str) -> pa.Table:
    """One row per failure."""
    columns = {
        **item_columns([failure.item for failure in failures]),
        "person_index": [failure.person_index for failure in failures],
        "stage": [failure.stage for failure in failures],
        "error": [type(failure.error).__name__ for failure in failures],
        "message": [_message(failure.error) for failure in failures],
        "traceback": [last_lines(failure.error) for failure in failures],
        "attempts": [failure.item.attempts for failure in failures],
        "run_id": [run_id] * len(failures),
    }
    return table_of(columns, schema)


def given_names(items: Sequence[Item], person_indices: Sequence[int]) -> list[str | None]:
    """What lists gave of each person, as the column `given` says it."""
    people = (given_to(i.given, index) for i, index in zip(items, person_indices, strict=True))
    return [None if person is None else ",".join(person.names) for person in people]


def item_columns(items: Sequence[Item]) -> dict[str, list]:
    """The columns that say which picture or frame a row is about."""
    return {
        "item_id": [item.item_id for item in items],
        "uri": [item.name for item in items],
        "frame_index": [item.frame_index for item in items],
        "time_s": [item.time_s for item in items],
    }


def concatenate(tables: Iterable[pa.Table], schema: pa.Schema) -> pa.Table:
    """All rows in one table with the metadata of `schema`."""
    return pa.concat_tables([schema.empty_table(), *tables]).replace_schema_metadata(
        schema.metadata
    )


def last_lines(error: BaseException) -> str | None:
    """The end of an error's traceback, at most 2,000 characters; None if it was never raised."""
    if error.__traceback__ is None:
        return None
    text = _printable("".join(_without_carets(error).format()).rstrip())
    if len(text) <= _MAX_TRACEBACK:
        return text
    _, _, whole_lines = text[-_MAX_TRACEBACK:].partition("\n")
    return whole_lines or text[-_MAX_TRACEBACK:]


def _without_carets(error: BaseException) -> traceback.TracebackException:
    """An error's traceback; to point into its lines, Python would compile each of them anew."""
    whole = traceback.TracebackException.from_exception(error, compact=True)
    part: traceback.TracebackException | None = whole
    while part is not None:
        for frame in part.stack:
            frame.colno = None
        part = part.__cause__ or part.__context__
    return whole


def _status(num_people: int, any_failed: bool) -> str:
    if num_people:
        return STATUS_OK
    return STATUS_FAILED if any_failed else STATUS_NO_PERSON


def _message(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return _printable(text)[:_MAX_MESSAGE]


def _printable(text: str) -> str:
    """The text as Arrow takes it: names of files may hold bytes that are no text."""
    return text.encode("utf-8", errors="replace").decode()
