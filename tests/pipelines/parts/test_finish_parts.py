"""What needs all parts: totals, tables and label files exactly as one process makes them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hierprob3d.pipelines.command.cli import main
from hierprob3d.training.assessment.evaluation_set import make_evaluation_set

NUM_ROWS = 6


def in_parts(num_parts: int, words: list[str], output: Path) -> int:
    """Plans, works and finishes a command in this process; the exit code of finishing."""
    assert main(["plan", "--parts", str(num_parts), "--", *words, "--output", str(output)]) == 0
    for part in range(num_parts):
        assert main(["work", str(output), "--part", str(part)]) == 0
    return main(["finish", str(output)])


def test_totals_of_an_evaluation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_evaluation_set(tmp_path / "data", NUM_ROWS)
    words = ["evaluate", "--dataset", "synthetic", "--data", str(data), "--num-samples", "3",
             "--batch-size", "2", "--device", "cpu"]  # fmt: skip
    output, whole = tmp_path / "out", tmp_path / "whole"
    assert in_parts(3, words, output) == 0
    assert "MPJPE" in capsys.readouterr().out
    assert main([*words, "--output", str(whole)]) == 0
    found, expected = (json.loads((f / "metrics.json").read_text()) for f in (output, whole))
    run = found.pop("run")
    expected.pop("run")
    assert found == expected and found["rows"] == NUM_ROWS
    assert run["status"] == "finished" and run["counts"]["ok"] == NUM_ROWS
    assert run["parts"] == {
        "planned": 3, "done": 3, "at work": 0, "stopped": 0, "never started": 0
    }  # fmt: skip
    assert main(["finish", str(output)]) == 0  # again
    assert json.loads((output / "metrics.json").read_text())["rows"] == NUM_ROWS


def test_an_evaluation_that_is_not_whole_has_no_metrics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_evaluation_set(tmp_path / "data", 4)
    output = tmp_path / "out"
    words = ["evaluate", "--dataset", "synthetic", "--data", str(data), "--num-samples", "2",
             "--batch-size", "2", "--device", "cpu", "--output", str(output)]  # fmt: skip
    assert main(["plan", "--parts", "2", "--", *words]) == 0
    assert main(["work", str(output), "--part", "1"]) == 0
    assert main(["finish", str(output)]) == 1
    assert "never started: 0" in capsys.readouterr().err
    assert not (output / "metrics.json").exists()


def test_labels_of_3dpw(golden: Path, golden_smpl: Path, tmp_path: Path) -> None:
    name, data = "downtown_fake_00", tmp_path / "3DPW"
    (data / "sequenceFiles" / "test").mkdir(parents=True)
    source = golden / "h_pw3d"
    shutil.copyfile(source / f"{name}.pkl", data / "sequenceFiles" / "test" / f"{name}.pkl")
    shutil.copytree(source / "imageFiles", data / "imageFiles", copy_function=shutil.copyfile)
    words = ["preprocess-3dpw", "--data", str(data), "--body-model", str(golden_smpl),
             "--shard-size", "1"]  # fmt: skip
    output, whole = tmp_path / "out", tmp_path / "whole"
    assert in_parts(3, words, output) == 0
    assert main([*words, "--output", str(whole)]) == 0
    found, expected = (np.load(folder / "3dpw_test.npz") for folder in (output, whole))
    assert found.files == expected.files and len(found["imgname"]) == 8
    for key in expected.files:
        np.testing.assert_array_equal(found[key], expected[key])
    crops = [sorted((folder / "cropped_frames").iterdir()) for folder in (output, whole)]
    assert len(crops[0]) == len(crops[1]) == 8
    for one, other in zip(*crops, strict=True):
        assert one.read_bytes() == other.read_bytes()
