"""Results opened without us: README's table of readers holds for DuckDB, polars and pandas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from example_run import KILLED_RUN, write_example_run

NUMBERS = ("pose_F", "global_rotmat", "keypoints", "vertex_spread_m")


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A run's folder and its people in the order of their keys."""
    folder = tmp_path_factory.mktemp("run")
    rows = write_example_run(folder)
    return folder, sorted(rows, key=lambda row: (row["item_id"], row["person_index"]))


def expected(rows: list[dict[str, Any]], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows], np.float32)


def test_polars_has_arrays_of_fixed_width(example: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, rows = example
    people = pl.read_parquet(folder / "people" / "*.parquet").filter(pl.col("run_id") != KILLED_RUN)
    people = people.sort("item_id", "person_index")
    assert people.schema["pose_F"] == pl.Array(pl.Float32, 207)
    for name in NUMBERS:
        np.testing.assert_array_equal(people[name].to_numpy(), expected(rows, name))
    frames = pl.read_parquet(folder / "frames" / "*.parquet")
    assert frames["warning"].null_count() == 4 and len(frames) == 5


def test_duckdb_has_lists_that_begin_at_one(example: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, rows = example
    query = (
        f"SELECT {', '.join(NUMBERS)}, pose_F[1], list_max(joint_spread_m) "
        f"FROM '{folder}/people/*.parquet' WHERE run_id <> '{KILLED_RUN}' "
        "ORDER BY item_id, person_index"
    )
    found = duckdb.sql(query).fetchall()
    for place, name in enumerate(NUMBERS):
        np.testing.assert_array_equal(
            np.array([row[place] for row in found], np.float32), expected(rows, name)
        )
    first, widest = (np.array([row[-2 + k] for row in found], np.float32) for k in (0, 1))
    np.testing.assert_array_equal(first, expected(rows, "pose_F")[:, 0])
    np.testing.assert_array_equal(widest, expected(rows, "joint_spread_m").max(1))
    status = f"SELECT status, count(*) FROM '{folder}/frames/*.parquet' GROUP BY status"
    assert dict(duckdb.sql(status).fetchall()) == {"ok": 3, "no_person": 1, "failed": 1}


def test_pandas_has_an_array_per_row(example: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, rows = example
    people = pd.read_parquet(folder / "people")
    people = people[people["run_id"] != KILLED_RUN].sort_values(["item_id", "person_index"])
    for name in NUMBERS:
        np.testing.assert_array_equal(np.stack(people[name].tolist()), expected(rows, name))


def test_spark_has_lists_that_begin_at_zero(example: tuple[Path, list[dict[str, Any]]]) -> None:
    sql = pytest.importorskip("pyspark.sql", reason="pyspark, half a GB with a JVM beside it")
    folder, rows = example
    spark = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    session = spark.getOrCreate()
    try:
        people = session.read.parquet(str(folder / "people"))
        assert dict(people.dtypes)["pose_F"] == "array<float>"
        chosen = people.where(people["run_id"] != KILLED_RUN).orderBy("item_id", "person_index")
        found = chosen.selectExpr(*NUMBERS, "pose_F[0]", "array_max(joint_spread_m)").collect()
    finally:
        session.stop()
    for place, name in enumerate(NUMBERS):
        np.testing.assert_array_equal(
            np.array([row[place] for row in found], np.float32), expected(rows, name)
        )
    first, widest = (np.array([row[-2 + k] for row in found], np.float32) for k in (0, 1))
    np.testing.assert_array_equal(first, expected(rows, "pose_F")[:, 0])
    np.testing.assert_array_equal(widest, expected(rows, "joint_spread_m").max(1))
