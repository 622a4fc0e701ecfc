"""What `read_run` hands out: tables, rows that know their body, and refusals in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pytest
import torch
from example_run import KILLED_RUN, NUM_SAMPLES, RUN, write_example_run, write_manifest

import hierprob3d
from hierprob3d.model.estimate.uncertainty import sample_spread
from hierprob3d.pipelines.results.run_folder import read_run


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A run's folder and its people."""
    folder = tmp_path_factory.mktemp("run")
    rows = write_example_run(folder)
    write_manifest(folder, {"run_id": RUN, "status": "finished"})
    return folder, rows


def test_tables_hold_what_is_finished(example: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, rows = example
    run = hierprob3d.read_run(folder)
    people = run.people()
    assert people.num_rows == len(rows) and KILLED_RUN not in people["run_id"].to_pylist()
    assert run.people(["uri", "crop"]).column_names == ["uri", "crop"]
    assert people.schema.metadata[b"num_samples"] == str(NUM_SAMPLES).encode()
    assert people.schema.field("crop").metadata[b"unit"] == b"px"
    assert run.frames().num_rows == 5 and run.errors()["stage"].to_pylist() == ["decode"]
    assert run.frames().filter(pa.compute.field("status") == "failed").num_rows == 1
    assert [manifest["run_id"] for manifest in run.manifests()] == [RUN]


def test_rows_are_the_people_and_rebuild_themselves(
    example: tuple[Path, list[dict[str, Any]]],
) -> None:
    folder, rows = example
    for row, written in zip(read_run(folder).rows(), rows, strict=True):
        assert set(row) == set(written) and row.metadata["body_family"] == "openbody"
        assert row["pose_F"].dtype == np.float32 and row["uri"] == written["uri"]
        np.testing.assert_array_equal(row["crop"], np.float32(written["crop"]))
        vertices, joints = hierprob3d.rebuild_samples(row)
        assert vertices.shape[0] == NUM_SAMPLES
        spread = sample_spread(vertices[None])[0]
        torch.testing.assert_close(
            spread, torch.tensor(written["vertex_spread_m"]), atol=1e-5, rtol=0
        )
        from_pelvis = joints - joints[:, :1]
        spread = sample_spread(from_pelvis[None])[0]
        torch.testing.assert_close(
            spread, torch.tensor(written["joint_spread_m"]), atol=1e-5, rtol=0
        )


def test_rows_of_some_columns(example: tuple[Path, list[dict[str, Any]]]) -> None:
    rows = list(read_run(example[0]).rows(["item_id", "bbox_score"]))
    assert len(rows) == 4 and all(set(row) == {"item_id", "bbox_score"} for row in rows)


@pytest.mark.parametrize("what", ["people", "rows"])
def test_a_column_that_no_run_has_is_refused(
    what: str, example: tuple[Path, list[dict[str, Any]]]
) -> None:
    with pytest.raises(ValueError, match=r"no run has .* 'pose_f'\. Did you mean pose_F\?"):
        list(getattr(read_run(example[0]), what)(["pose_f"]))


def test_a_run_without_people_has_the_columns_of_every_run(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    run = read_run(tmp_path)
    assert not run.people().num_rows and not list(run.rows())
    assert {"pose_F", "height_m", "run_id"} <= set(run.people().column_names)
    assert run.people(["uri", "vertices"]).column_names == ["uri"]


def test_runs_on_other_stores(example: tuple[Path, list[dict[str, Any]]]) -> None:
    store = fsspec.filesystem("memory")
    store.put(str(example[0]), "/read_run", recursive=True)
    try:
        run = read_run("memory://read_run")
        assert run.people().equals(read_run(example[0]).people())
        assert len(list(run.rows(["item_id"]))) == 4
    finally:
        store.rm("/read_run", recursive=True)


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no folder"):
        read_run(tmp_path / "gone")
    with pytest.raises(ValueError, match="is not the output of a prediction run"):
        read_run(tmp_path)


def test_reading_loads_no_beam(example: tuple[Path, list[dict[str, Any]]]) -> None:
    code = (
        "import sys, hierprob3d\n"
        f"row = next(hierprob3d.read_run({str(example[0])!r}).rows())\n"
        "hierprob3d.rebuild_mode(row)\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'apache_beam'])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
