"""Schema 1 becomes schema 2: types cast, columns added in their place, others as they were."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from hierprob3d.transforms.tables.schema import (
    SCHEMA_VERSION,
    PeopleLayout,
    errors_schema,
    frames_schema,
    people_schema,
)
from hierprob3d.transforms.tables.upgrade import (
    LaterSchema,
    is_current,
    upgrade_schema,
    upgrade_table,
)

LATER = (
    "whole_picture", "landmarks", "translation", "focal_px", "focal_assumed", "truncation",
    "visibility", "quality", "colours", "shape_from_silhouette", "weight_kg", "weight_std_kg",
)  # fmt: skip
"""Columns of people that the first tables of schema 2 lack."""

VERSION_1 = {b"schema_version": b"1", b"body_family": b"openbody"}


def schema_1(now: pa.Schema, missing: tuple[str, ...]) -> pa.Schema:
    """What schema 1 had in place of a schema."""
    fields = [field for field in now if field.name not in missing]
    return pa.schema(fields, metadata=VERSION_1)


@pytest.mark.parametrize(
    ("now", "missing"),
    [
        (frames_schema(), ("source_version", "warning")),
        (errors_schema(), ("traceback", "attempts")),
        (people_schema(PeopleLayout(num_vertices=6, uncertainty=False)), LATER),
    ],
)
def test_columns_stand_where_schema_2_has_them(now: pa.Schema, missing: tuple[str, ...]) -> None:
    upgraded = upgrade_schema(schema_1(now, missing), "part")
    assert upgraded.equals(now) and upgraded.names == now.names
    assert all(upgraded.field(name).metadata[b"meaning"] for name in missing)
    assert upgraded.metadata == {**VERSION_1, b"schema_version": SCHEMA_VERSION.encode()}


def test_people_of_schema_1() -> None:
    layout = PeopleLayout(
        num_vertices=2, num_samples=3, save=frozenset({"samples", "vertex_spread"})
    )
    now = people_schema(layout)
    fields = [f for f in now if f.name not in ("joint_spread_m", *LATER)]
    place = now.names.index("person_index") + 1
    fields.insert(place, pa.field("track_id", pa.int32()))
    half = pa.list_(pa.float16(), 2)
    fields = [f.with_type(half) if f.name == "vertex_spread_m" else f for f in fields]
    old = pa.schema(fields, metadata=VERSION_1)
    upgraded = upgrade_schema(old, "part")
    assert upgraded.equals(now) and upgraded.names == now.names


def table_1() -> pa.Table:
    spread = pa.FixedSizeListArray.from_arrays(pa.array(np.array([1, 2, 3, 4], np.float16)), 2)
    columns = {"item_id": ["a", "b"], "track_id": [None, None], "vertex_spread_m": spread}
    return pa.table(columns).replace_schema_metadata(VERSION_1)


def test_numbers_stay_and_what_is_missing_is_null() -> None:
    table = table_1()
    upgraded = upgrade_table(table, upgrade_schema(table.schema, "part"), None)
    assert upgraded.column_names == ["item_id", "joint_spread_m", "vertex_spread_m"]
    assert upgraded["vertex_spread_m"].to_pylist() == [[1, 2], [3, 4]]
    assert upgraded["joint_spread_m"].to_pylist() == [24 * [None]] * 2
    assert is_current(upgraded.schema) and not is_current(table.schema)


def test_the_first_tables_of_schema_2_get_the_columns_that_came_later() -> None:
    now = people_schema(PeopleLayout(num_vertices=2, refined=True))
    later = (*LATER, "refined_translation")
    first = pa.schema([f for f in now if f.name not in later], metadata=now.metadata)
    assert not is_current(first) and is_current(now)
    upgraded = upgrade_schema(first, "part")
    assert upgraded.equals(now) and upgraded.names == now.names
    table = upgrade_table(first.empty_table(), upgraded, ["item_id", "whole_picture"])
    assert table.schema.types == [pa.string(), pa.bool_()]


@pytest.mark.parametrize("missing", ["colours", "given", "focal_px", "weight_std_kg"])
def test_a_column_that_came_later_than_its_neighbours_stands_where_new_tables_have_it(
    missing: str,
) -> None:
    now = people_schema(PeopleLayout(num_vertices=2, refined=True))
    some = pa.schema([f for f in now if f.name != missing], metadata=now.metadata)
    assert upgrade_schema(some, "part").names == now.names


def test_some_columns_alone() -> None:
    table = table_1()
    schema = upgrade_schema(table.schema, "part")
    some = upgrade_table(table.select(["item_id"]), schema, ["joint_spread_m", "item_id"])
    assert some.column_names == ["item_id", "joint_spread_m"] and some.num_rows == 2


def test_tables_of_this_schema_and_without_one_are_as_they_are() -> None:
    for schema in (frames_schema(), pa.schema({"track_id": pa.int32(), "half": pa.float16()})):
        assert upgrade_schema(schema, "part") is schema


def test_a_later_schema_is_refused_by_name() -> None:
    schema = pa.schema({"a": pa.int32()}, metadata={"schema_version": "3"})
    with pytest.raises(LaterSchema, match="^out/x.parquet has schema 3, .*: install a newer one"):
        upgrade_schema(schema, "out/x.parquet")
