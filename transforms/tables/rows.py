"""Results become Arrow tables, as `transforms.tables.schema` defines them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
from torch import Tensor

from hierprob3d.transforms.batch.isolation import Failure, People
from hierprob3d.transforms.inputs.items import Frame, Item

from .schema import STATUS_FAILED, STATUS_NO_PERSON, STATUS_OK

_MAX_MESSAGE = 500
"""Characters of an error message that are kept; some libraries' fill pages."""


def people_table(people: People, schema: pa.Schema, seed: int, run_id: str) -> pa.Table:
    """One row per person; NaN of a scalar column becomes null."""
    count = len(people)
    if not count:
        return schema.empty_table()
    given = {
        **_item_columns(people.items),
        "person_index": people.person_indices,
        "track_id": [None] * count,
        "seed": [seed] * count,
        "run_id": [run_id] * count,
    }
    arrays = [
        pa.array(given[field.name], field.type)
        if field.name in given
        else _to_arrow(people.columns[field.name], field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


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
        **_item_columns([frame.item for frame in frames]),
        "width": [None if f.image is None else f.image.shape[1] for f in frames],
        "height": [None if f.image is None else f.image.shape[0] for f in frames],
        "status": [_status(num_people[item_id], item_id in failed) for item_id in ids],
        "num_people": [num_people[item_id] for item_id in ids],
        "run_id": [run_id] * len(frames),
        "seconds": [seconds / max(1, len(frames))] * len(frames),
    }
    return pa.table(columns, schema=schema)


def errors_table(failures: Sequence[Failure], schema: pa.Schema, run_id: str) -> pa.Table:
    """One row per failure."""
    columns = {
        **_item_columns([failure.item for failure in failures]),
        "person_index": [failure.person_index for failure in failures],
        "stage": [failure.stage for failure in failures],
        "error": [type(failure.error).__name__ for failure in failures],
        "message": [_message(failure.error) for failure in failures],
        "run_id": [run_id] * len(failures),
    }
    return pa.table(columns, schema=schema)


def concatenate(tables: Iterable[pa.Table], schema: pa.Schema) -> pa.Table:
    """All rows in one table with the metadata of `schema`."""
    return pa.concat_tables([schema.empty_table(), *tables]).replace_schema_metadata(
        schema.metadata
    )


def _item_columns(items: Sequence[Item]) -> dict[str, list]:
    return {
        "item_id": [item.item_id for item in items],
        "uri": [item.name for item in items],
        "frame_index": [item.frame_index for item in items],
        "time_s": [item.time_s for item in items],
    }


def _to_arrow(column: Tensor, kind: pa.DataType) -> pa.Array:
    """A column of P values, or of P rows of numbers, in the type of the schema."""
    values = column.detach().cpu().numpy()
    if not isinstance(kind, pa.FixedSizeListType):
        return pa.array(values, kind, from_pandas=True)
    flat = np.ascontiguousarray(values).reshape(-1).astype(kind.value_type.to_pandas_dtype())
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), type=kind)


def _status(num_people: int, any_failed: bool) -> str:
    if num_people:
        return STATUS_OK
    return STATUS_FAILED if any_failed else STATUS_NO_PERSON


def _message(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    # Names of files may hold bytes that are no text.
    return text.encode("utf-8", errors="replace").decode()[:_MAX_MESSAGE]
