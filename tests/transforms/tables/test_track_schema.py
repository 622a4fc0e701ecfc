from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from hierprob3d.transforms.tables.schema import markdown_table
from hierprob3d.transforms.tables.track_schema import TRACK_COLUMNS, track_schema

PAGE = Path(__file__).resolve().parents[3] / "docs" / "tracks.md"


def test_the_documentation_shows_the_columns() -> None:
    if not PAGE.is_file():
        pytest.skip("no documentation beside the code")
    shown = PAGE.read_text(encoding="utf-8").split("<!-- tracks:begin -->")[1]
    shown = shown.split("<!-- tracks:end -->")[0].strip()
    expected = markdown_table(TRACK_COLUMNS)
    assert shown == expected, "update it: python -m hierprob3d.transforms.tables.track_schema"


def test_contract_columns_come_first_and_every_field_says_what_it_means() -> None:
    schema = track_schema()
    assert {"item_id", "person_index", "track_id", "track_confidence"} <= set(schema.names)
    assert schema.field("smoothed_pose").type == pa.list_(pa.float32(), 207)
    for field in schema:
        assert field.metadata[b"meaning"], field.name
        if pa.types.is_fixed_size_list(field.type):
            assert field.metadata[b"axes"], field.name
