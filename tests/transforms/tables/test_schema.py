"""The schemas, and that the README shows them as they are."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from hierprob3d.transforms.tables.schema import (
    PeopleLayout,
    errors_schema,
    frames_schema,
    markdown,
    people_schema,
    std_name,
    type_name,
)

README = Path(__file__).resolve().parents[3] / "README.md"
BEGIN, END = "<!-- schema:begin -->", "<!-- schema:end -->"


def test_readme_shows_the_schema() -> None:
    if not README.is_file():
        pytest.skip("no README beside the code")
    text = README.read_text(encoding="utf-8")
    shown = text.split(BEGIN)[1].split(END)[0].strip()
    assert shown == markdown(), "update it: python -m hierprob3d.transforms.tables.schema"


def test_every_field_says_what_it_means() -> None:
    layout = PeopleLayout(num_vertices=6, save=frozenset({"samples", "vertices"}))
    for schema in (people_schema(layout), frames_schema(), errors_schema()):
        for field in schema:
            assert field.metadata[b"meaning"], field.name
            if pa.types.is_fixed_size_list(field.type):
                assert field.metadata[b"axes"], field.name


def test_layout_decides_columns_and_widths() -> None:
    plain = people_schema(PeopleLayout(num_vertices=6, uncertainty=False))
    assert "vertex_spread_m" not in plain.names
    full = people_schema(
        PeopleLayout(num_vertices=6, num_samples=3, save=frozenset({"samples", "vertices"}))
    )
    assert full.field("vertex_spread_m").type == pa.list_(pa.float16(), 6)
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
              "pose_spread_deg": 23, "joints3d": 72, "joints2d": 34}  # fmt: skip
    schema = people_schema(PeopleLayout(num_vertices=6880))
    for name, width in widths.items():
        assert schema.field(name).type == pa.list_(pa.float32(), width), name
    assert schema.names[:6] == [
        "item_id", "uri", "frame_index", "time_s", "person_index", "track_id"
    ]  # fmt: skip
    assert frames_schema().names == [
        "item_id", "uri", "frame_index", "time_s", "width", "height", "status", "num_people",
        "run_id", "seconds",
    ]  # fmt: skip
    assert errors_schema().names == [
        "item_id", "uri", "frame_index", "person_index", "stage", "error", "message", "run_id"
    ]  # fmt: skip


def test_names() -> None:
    assert std_name("height_m") == "height_std_m"
    assert type_name(pa.list_(pa.float16(), 5)) == "float16 x 5"
