"""The schemas, and that the documentation shows them as they are."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from hierprob3d.configs.prediction import SAVES
from hierprob3d.transforms.tables.schema import (
    PeopleLayout,
    columns_markdown,
    errors_schema,
    frames_schema,
    people_schema,
    std_name,
    type_name,
)

RESULTS = Path(__file__).resolve().parents[3] / "docs" / "results.md"
BEGIN, END = "<!-- schema:begin -->", "<!-- schema:end -->"


def test_the_documentation_shows_the_schema() -> None:
    if not RESULTS.is_file():
        pytest.skip("no documentation beside the code")
    text = RESULTS.read_text(encoding="utf-8")
    shown = text.split(BEGIN)[1].split(END)[0].strip()
    assert shown == columns_markdown(), "update it: python -m hierprob3d.transforms.tables.schema"


def test_every_field_says_what_it_means() -> None:
    layout = PeopleLayout(num_vertices=6, save=frozenset(SAVES))
    for schema in (people_schema(layout), frames_schema(), errors_schema()):
        for field in schema:
            assert field.metadata[b"meaning"], field.name
            if pa.types.is_fixed_size_list(field.type):
                assert field.metadata[b"axes"], field.name


def test_layout_decides_columns_and_widths() -> None:
    plain = people_schema(PeopleLayout(num_vertices=6, uncertainty=False))
    assert not {"joint_spread_m", "vertex_spread_m"} & set(plain.names)
    told = PeopleLayout(num_vertices=6, uncertainty=False, save=frozenset({"intersections"}))
    assert {"self_intersection_m", "intersecting_share"} & set(people_schema(told).names) == {
        "self_intersection_m"
    }
    full = people_schema(PeopleLayout(num_vertices=6, num_samples=3, save=frozenset(SAVES)))
    assert full.field("vertex_spread_m").type == pa.list_(pa.float32(), 6)
    assert full.field("samples_pose").type.list_size == 3 * 23 * 9
    assert full.field("vertices").type.list_size == 6 * 3
    assert not {"global_F", "samples_global_rotmat"} & set(full.names)
    turning = people_schema(
        PeopleLayout(num_vertices=6, num_samples=3, save=frozenset({"samples"}), global_spread=True)
    )
    assert turning.field("global_F").type.list_size == 9
    assert turning.field("samples_global_rotmat").type.list_size == 3 * 9


def test_contract_columns_have_their_sizes() -> None:
    # The widths of the design's output table.
    widths = {"bbox": 4, "keypoints": 51, "crop": 3, "pose_F": 207, "pose_mode": 207,
              "shape_mean": 10, "shape_std": 10, "global_rotmat": 9, "camera": 3,
              "pose_spread_deg": 23, "joints3d": 72, "pelvis": 3, "joints2d": 34,
              "joint_spread_m": 24}  # fmt: skip
    schema = people_schema(PeopleLayout(num_vertices=6880))
    for name, width in widths.items():
        assert schema.field(name).type == pa.list_(pa.float32(), width), name
    assert schema.names[:5] == ["item_id", "uri", "frame_index", "time_s", "person_index"]
    assert not {"track_id", "vertex_spread_m"} & set(schema.names)
    assert frames_schema().names == [
        "item_id", "uri", "frame_index", "time_s", "width", "height", "status", "num_people",
        "run_id", "seconds", "source_version", "warning",
    ]  # fmt: skip
    assert errors_schema().names == [
        "item_id", "uri", "frame_index", "person_index", "stage", "error", "message", "traceback",
        "attempts", "run_id",
    ]  # fmt: skip


def test_names() -> None:
    assert std_name("height_m") == "height_std_m"
    assert type_name(pa.list_(pa.float32(), 5)) == "float32 x 5"


def test_only_types_that_every_reader_has() -> None:
    layout = PeopleLayout(num_vertices=6, save=frozenset(SAVES), global_spread=True, refined=True)
    allowed = {pa.bool_(), pa.string(), pa.int32(), pa.int64(), pa.float32(), pa.float64()}
    for schema in (people_schema(layout), frames_schema(), errors_schema()):
        for field in schema:
            is_list = pa.types.is_fixed_size_list(field.type)
            assert (field.type.value_type if is_list else field.type) in allowed, field.name
