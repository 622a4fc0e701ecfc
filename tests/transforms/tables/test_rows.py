"""Columns of any kind become tables of a schema; failures tell where they happened."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from hierprob3d.transforms.batch.isolation import Failure, People
from hierprob3d.transforms.inputs.items import Frame, Item, picture_item
from hierprob3d.transforms.tables.rows import (
    errors_table,
    frames_table,
    last_lines,
    people_table,
    table_of,
)
from hierprob3d.transforms.tables.schema import (
    PeopleLayout,
    errors_schema,
    frames_schema,
    people_schema,
)

SCHEMA = pa.schema(
    {
        "name": pa.string(),
        "count": pa.int32(),
        "score": pa.float32(),
        "point": pa.list_(pa.float32(), 2),
        "seen": pa.list_(pa.bool_(), 2),
    },
    metadata={"schema_version": "x"},
)


@pytest.mark.parametrize("kind", [torch.tensor, np.array, list])
def test_tensors_arrays_and_lists_give_the_same_table(kind: type) -> None:
    columns = {
        "name": ["a", None],
        "count": kind([1, 2]),
        "score": kind([0.5, 1.5]),
        "point": kind([[1.0, 2.0], [3.0, 4.0]]),
        "seen": kind([[True, False], [False, True]]),
        "of no column": kind([0, 0]),
    }
    table = table_of(columns, SCHEMA)
    assert table.schema.equals(SCHEMA, check_metadata=True)
    assert table.to_pylist() == [
        {"name": "a", "count": 1, "score": 0.5, "point": [1, 2], "seen": [True, False]},
        {"name": None, "count": 2, "score": 1.5, "point": [3, 4], "seen": [False, True]},
    ]


def test_double_numbers_and_matrices_take_the_schemas_type_and_width() -> None:
    schema = pa.schema({"matrix": pa.list_(pa.float32(), 4), "score": pa.float32()})
    columns = {"matrix": [np.eye(2), np.ones((2, 2))], "score": np.array([0.1, np.nan])}
    table = table_of(columns, schema)
    assert table["matrix"].to_pylist() == [[1, 0, 0, 1], [1, 1, 1, 1]]
    assert table["score"].to_pylist() == [pytest.approx(0.1), None]  # NaN of a scalar is null


def test_lists_of_nothing_but_nan_are_nulls_and_others_keep_theirs() -> None:
    schema = pa.schema({"landmarks": pa.list_(pa.float32(), 2)})
    values = torch.tensor([[1, 2], [torch.nan, torch.nan], [3, torch.nan]])
    known, nobody, part = table_of({"landmarks": values}, schema)["landmarks"].to_pylist()
    assert (known, nobody, part[0]) == ([1, 2], [None, None], 3) and np.isnan(part[1])


def test_missing_columns_are_nulls_that_parquet_gives_back(tmp_path: Path) -> None:
    table = table_of({"name": ["a", "b"]}, SCHEMA, nulls_for=2)
    pq.write_table(table, tmp_path / "t.parquet")
    back = pq.read_table(tmp_path / "t.parquet")
    assert back["count"].null_count == back["score"].null_count == 2
    assert back["point"].to_pylist() == [[None, None], [None, None]]
    assert not table_of({}, SCHEMA, nulls_for=0).num_rows


def test_a_column_that_no_stage_made_is_a_defect() -> None:
    people = People([picture_item("/a.png")], [0], {"bbox": torch.zeros(1, 4)})
    with pytest.raises(KeyError, match="bbox_score"):
        people_table(people, people_schema(PeopleLayout(num_vertices=6)), 0, "run")


def test_only_what_not_every_model_finds_may_be_lacking() -> None:
    schema = people_schema(PeopleLayout(num_vertices=6, uncertainty=False))
    given = set(schema.names) - {"landmarks", "item_id", "uri", "frame_index", "time_s"}
    kinds = {name: schema.field(name).type for name in given}
    columns = {
        name: torch.zeros(1, kind.list_size if pa.types.is_fixed_size_list(kind) else 1)
        for name, kind in kinds.items()
    }
    columns = {name: c if c.shape[1] > 1 else c[:, 0] for name, c in columns.items()}
    columns["whole_picture"] = torch.zeros(1, dtype=torch.bool)
    people = People([picture_item("/a.png")], [0], columns)
    (row,) = people_table(people, schema, 0, "run").to_pylist()
    assert row["landmarks"] == 165 * [None] and row["keypoints"] == 51 * [0]


def test_frames_say_which_source_was_read_and_what_was_odd() -> None:
    item = Item("id", "/a.jpg", source_version="12 bytes")
    picture = np.zeros((2, 3, 3), np.uint8)
    frames = [Frame(item, picture, warning="its end is missing"), Frame(picture_item("b"), None)]
    rows = frames_table(frames, People(), [], 4.0, frames_schema(), "run").to_pylist()
    assert [row["source_version"] for row in rows] == ["12 bytes", None]
    assert [row["warning"] for row in rows] == ["its end is missing", None]
    assert [(row["width"], row["seconds"]) for row in rows] == [(3, 2.0), (None, 2.0)]


def raised(text: str = "wrong") -> Exception:
    """An error that was raised."""

    def fail() -> None:
        raise ValueError(text)

    try:
        fail()
    except ValueError as error:
        return error
    raise AssertionError


def test_errors_carry_traceback_and_attempts() -> None:
    item = picture_item("/a.png")
    failures = [Failure(replace(item, attempts=2), None, "decode", raised()),
                Failure(item, 3, "body", ValueError("never raised"))]  # fmt: skip
    first, second = errors_table(failures, errors_schema(), "run").to_pylist()
    assert first["attempts"] == 2 and second["attempts"] == 1
    assert first["traceback"].endswith("ValueError: wrong")
    assert "in fail" in first["traceback"] and second["traceback"] is None


def test_of_long_tracebacks_the_last_whole_lines_stay() -> None:
    lines = last_lines(raised(text="\n".join(f"line {number}" for number in range(999))))
    assert lines is not None and 1900 < len(lines) <= 2000
    assert lines.startswith("line ") and lines.endswith("line 997\nline 998")
    endless = last_lines(raised(text="y" * 5000))
    assert endless == 2000 * "y"


def test_tracebacks_of_names_that_are_no_text_can_be_written() -> None:
    failure = Failure(picture_item("/a.png"), None, "decode", raised(text="bad \udcff name"))
    (row,) = errors_table([failure], errors_schema(), "run").to_pylist()
    assert row["message"] == "bad ? name" and row["traceback"].endswith("bad ? name")
