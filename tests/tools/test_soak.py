"""A quick run of `make soak`, and that it would notice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tools.soak.damaged_files import _read_all, content_of
from tools.soak.figures import Figure, as_table, measured, problem_lines
from tools.soak.mutations import mutated
from tools.soak.results import differences, leftovers, lost_or_doubled
from tools.soak.samples import lists, model_files

REPOSITORY = Path(__file__).resolve().parents[2]
QUICK = ("--scale", "0.02")


@pytest.mark.parametrize("part", ["kills", "store", "files"])
def test_a_quick_run(part: str) -> None:
    path = os.pathsep.join([str(REPOSITORY / "src"), str(REPOSITORY)])
    done = subprocess.run(
        [sys.executable, "-m", "tools.soak", *QUICK, "--only", part],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "| kind | tries | outcome | seconds |" in done.stdout and "problem" not in done.stdout


def rows(output: Path, table: str, values: list[float], shard: int = 0) -> None:
    (output / table).mkdir(parents=True, exist_ok=True)
    ids = [f"item{number}" for number in range(len(values))]
    columns = {"item_id": ids, "score": pa.array(values, pa.float32()), "seconds": values}
    pq.write_table(pa.table(columns), output / table / f"part-run-{shard:05d}.parquet")


def test_what_would_be_noticed(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        rows(folder, "frames", [1.0, float("nan")])
    assert not differences(ours, theirs) and not leftovers(ours) and not lost_or_doubled(ours, 2)
    assert lost_or_doubled(ours, 3) == ["2 items, not 3"]
    rows(theirs, "frames", [float(np.nextafter(np.float32(1), np.float32(2))), float("nan")])
    assert differences(ours, theirs) == ["frames: score differs"]
    rows(ours, "frames", [1.0], shard=1)
    assert lost_or_doubled(ours, 2) == ["1 items twice"]
    rows(ours, "people", [1.0], shard=2)
    (ours / "runs" / "marks").mkdir(parents=True)
    for name in ("runs/marks/run-00001.json", "frames/.tmp-1", "runs/run.plan.parquet"):
        (ours / name).touch()
    assert [line.removeprefix("left over: ") for line in leftovers(ours)] == [
        "frames/.tmp-1", "people/part-run-00002.parquet", "runs/marks/run-00001.json",
        "runs/run.plan.parquet",
    ]  # fmt: skip


def test_a_file_of_a_number_is_the_same_again() -> None:
    whole = lists()
    made = [content_of(whole, 3, number) for number in range(9)]
    assert made == [content_of(whole, 3, number) for number in range(9)]
    assert any(content != whole[name] for name, content in made)
    random = np.random.default_rng(0)
    assert all(mutated(b"ab", b"c", random) for _ in range(50))


def test_readers_are_asked_for_whole_files_too() -> None:
    names = {name.split(".")[0] for name in model_files()}
    assert {"body", "sequence2", "labels", "keypoints", "weights", "legacy"} <= names
    (reading,) = _read_all(0, [("lists", 0)])
    assert reading.is_good and reading.task == ("lists", 0)


def test_what_did_not_hold_is_told() -> None:
    def trial() -> Iterator[Figure]:
        yield Figure("cuts", 3, "all healed")
        raise RuntimeError("out of plasters")

    figures = measured("cuts", trial)
    assert [figure.problems for figure in figures] == [(), ("RuntimeError: out of plasters",)]
    assert "| cuts | 3 | all healed | 0 |" in as_table(figures)
    assert problem_lines(figures) == ["cuts: RuntimeError: out of plasters"]
