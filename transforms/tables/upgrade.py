"""Tables of earlier schemas read as ones of this: types cast, missing columns null.

Schema 1, until November 2026, had the spread of the vertices in float16 and always, a `track_id`
that was always null, and neither `joint_spread_m`, `source_version`, `warning`, `traceback` nor
`attempts`. The first tables of schema 2 lack `whole_picture`, `given`, `landmarks`, `translation`,
what says how much of a person is in view, colours, what the shape was read off and the weight.
"""

from __future__ import annotations

from typing import TypeAlias

import pyarrow as pa

from .null_columns import no_values
from .schema import (
    ATTEMPTS,
    COLOURS,
    GIVEN,
    IN_VIEW,
    JOINT_SPREAD,
    LANDMARKS,
    SCHEMA_VERSION,
    SHAPE_FROM_SILHOUETTE,
    SOURCE_VERSION,
    TRACEBACK,
    TRANSLATION,
    WARNING,
    WEIGHT,
    WHOLE_PICTURE,
    Column,
    refined_columns,
    refined_name,
)

_VERSION = b"schema_version"
_Additions: TypeAlias = dict[str, tuple[Column, ...]]

_ADDED_BEFORE: _Additions = {"vertex_spread_m": (JOINT_SPREAD,)}
_ADDED_AFTER: _Additions = {"seconds": (SOURCE_VERSION, WARNING), "message": (TRACEBACK, ATTEMPTS)}
"""What schema 2 has besides, by a neighbour that schema 1 has wherever it belongs."""

_LATER_BEFORE: _Additions = {"pose_F": (LANDMARKS,)}
_LATER_AFTER: _Additions = {
    "bbox_score": (WHOLE_PICTURE, GIVEN),
    "shape_std": (SHAPE_FROM_SILHOUETTE,),
    "hip_girth_std_m": WEIGHT,
    "reprojection_px": (TRANSLATION, *IN_VIEW, COLOURS),
    refined_name("reprojection_px"): tuple(
        column for column in refined_columns() if column.name == refined_name(TRANSLATION.name)
    ),
}
"""What the first tables of schema 2 lack as well, likewise."""

_DROPPED = ("track_id",)
"""What schema 2 has no more."""


class LaterSchema(ValueError):
    """A table that a later version of this package wrote."""


def is_current(schema: pa.Schema) -> bool:
    """Whether a table with this schema is read as it is; also one without any version is."""
    metadata, names = schema.metadata or {}, frozenset(schema.names)
    lacking = (
        neighbour in names and not names.issuperset(column.name for column in added)
        for additions in (_LATER_BEFORE, _LATER_AFTER)
        for neighbour, added in additions.items()
    )
    known = metadata.get(_VERSION)
    return known is None or (known == SCHEMA_VERSION.encode() and not any(lacking))


def upgrade_schema(schema: pa.Schema, name: str) -> pa.Schema:
    """The schema under which a table is read.

    Args:
        schema: Of the file.
        name: Of the file, for the message.

    Raises:
        LaterSchema: There is no reading it.
    """
    version = _version(schema)
    if version > int(SCHEMA_VERSION):
        raise LaterSchema(
            f"{name} has schema {version}, and this version of hierprob3d reads schemas up to "
            f"{SCHEMA_VERSION}: install a newer one (pip install -U hierprob3d)."
        )
    if is_current(schema):
        return schema
    is_first = version == 1
    before = _LATER_BEFORE | (_ADDED_BEFORE if is_first else {})
    after = _LATER_AFTER | (_ADDED_AFTER if is_first else {})
    fields: dict[str, pa.Field] = {}
    for old in schema:
        _put(fields, before, old.name, schema)
        if old.name not in _DROPPED:
            fields.setdefault(old.name, _readable_field(old))
        _put(fields, after, old.name, schema)
    metadata = {**(schema.metadata or {}), _VERSION: SCHEMA_VERSION.encode()}
    return pa.schema(list(fields.values()), metadata=metadata)


def upgrade_table(table: pa.Table, schema: pa.Schema, columns: list[str] | None) -> pa.Table:
    """A table under the schema that `upgrade_schema` gave for it.

    Args:
        table: As it was read.
        schema: What it becomes.
        columns: Only these are wanted; None: all.
    """
    fields = [field for field in schema if columns is None or field.name in columns]
    arrays = [
        table[field.name].cast(field.type)
        if field.name in table.column_names
        else no_values(table.num_rows, field.type)
        for field in fields
    ]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=schema.metadata))


def _put(
    fields: dict[str, pa.Field],
    added: _Additions,
    neighbour: str,
    schema: pa.Schema,
) -> None:
    """Adds the columns that belong beside one, in their order, whichever of them the table has."""
    for column in added.get(neighbour, ()):
        is_there = column.name in schema.names
        field = _readable_field(schema.field(column.name)) if is_there else column.field()
        fields.setdefault(column.name, field)


def _version(schema: pa.Schema) -> int:
    return int((schema.metadata or {}).get(_VERSION, SCHEMA_VERSION))


def _readable_field(field: pa.Field) -> pa.Field:
    return field.with_type(_readable(field.type))


def _readable(kind: pa.DataType) -> pa.DataType:
    """The type that every reader has: float32 in place of float16."""
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_readable(kind.value_type), kind.list_size)
    return pa.float32() if pa.types.is_float16(kind) else kind
