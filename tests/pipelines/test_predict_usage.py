"""Bad usage of `predict`: exit code 2, one clear line, nothing written."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipelines.conftest import PEDESTRIANS, PERSON, copy_person, read_rows

Predict = Callable[..., int]

CASES = {
    "missing input": (["nowhere.png"], "input not found: nowhere.png"),
    "glob without match": (["*.nothing"], "no file matches *.nothing"),
    "unknown option": ([PERSON, "--sede", "3"], "unknown option --sede. Did you mean --seed?"),
    "like some option of Beam": ([PERSON, "--frobnicate"], "unknown option --frobnicate.\n"),
    "misspelt Beam option": ([PERSON, "--runer", "X"], "Did you mean --runner?"),
    "Dask": ([PERSON, "--runner", "DaskRunner"], "DaskRunner is refused"),
    "missing body": ([PERSON, "--body-model", "no.pkl"], "no.pkl"),
    "missing weights": ([PERSON, "--weights", "no.tar"], "no.tar do not exist"),
    "HRNet without file": ([PERSON, "--keypoints", "hrnet"], "needs --keypoint-weights"),
    "missing HRNet": (
        [PERSON, "--keypoints", "hrnet", "--keypoint-weights", "no.pth"], "no.pth"),
    "bad number": ([PERSON, "--num-samples", "0"], "--num-samples must be at least 1"),
    "bad word": ([PERSON, "--people", "some"], "argument --people: invalid choice: 'some'"),
    "drop of none": (
        [PERSON, "--drop-intersecting", "--no-uncertainty"], "exclude each other"),
    "bad list": ([PERSON, "--save", "samples,hair"], "--save must be one of samples, vertices"),
    "samples of nothing": (
        [PERSON, "--save", "samples", "--no-uncertainty"], "exclude each other"),
    "no input": ([], "give at least one INPUT"),
    "steps and fps": ([PERSON, "--fps", "2", "--frame-step", "2"], "exclude each other"),
    "no GPU": ([PERSON, "--device", "cuda"], "no usable GPU"),
    "unknown protocol": (["nowhere://x"], "nowhere"),
    "empty input": ([PERSON, ""], "an INPUT is empty"),
    "no such runner": ([PERSON, "--runner=NoRunner"], "there is no --runner 'NoRunner'"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_one_line_and_exit_code_2(
    case: str, predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    if case == "no GPU":
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    words, message = CASES[case]
    assert predict(*words, "--output", tmp_path / "out") == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1 and "Traceback" not in errors
    assert not (tmp_path / "out").exists()


def test_weights_for_another_body(
    predict: Predict, smpl_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(PERSON, "--weights", smpl_weights, "--output", tmp_path / "out") == 2
    assert "for the body 'smpl'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_output_that_cannot_be_written(
    predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()  # a folder cannot be made below a file, whoever asks
    assert predict(PERSON, "--output", tmp_path / "file" / "out") == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and str(tmp_path / "file") in errors


def test_missing_output(capsys: pytest.CaptureFixture[str], predict: Predict) -> None:
    assert predict(PERSON) == 2
    assert "--output DIR is missing" in capsys.readouterr().err


def test_rows_with_other_columns_are_not_mixed(
    predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = copy_person(tmp_path / "a.png"), copy_person(tmp_path / "b.png")
    assert predict(a, "--output", tmp_path / "out", "--no-uncertainty") == 0
    assert predict(b, "--output", tmp_path / "out") == 2
    assert "with --no-uncertainty (now without --no-uncertainty)" in capsys.readouterr().err
    assert read_rows(tmp_path / "out", "frames").num_rows == 1


def test_lists_and_yaml(predict: Predict, tmp_path: Path) -> None:
    copy_person(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text("uri,label\na.png,x\nmissing.png,y\n")
    (tmp_path / "run.yaml").write_text("num-samples: 2\nsave: [samples]\nseed: 3\n")
    options = ("--config", tmp_path / "run.yaml", "--output", tmp_path / "out", "--seed", 5)
    assert predict(tmp_path / "list.csv", *options) == 0
    (row,) = read_rows(tmp_path / "out", "people").to_pylist()
    # --num-samples 4 and --seed 5 of the command line win over the file; `save` is the file's.
    assert (row["seed"], len(row["samples_fit_px"])) == (5, 4)
    (error,) = read_rows(tmp_path / "out", "errors").to_pylist()
    assert error["error"] == "FileNotFoundError"


BAD_YAML = {
    "num-samples: 2.5": "argument --num-samples: invalid int value: '2.5'",
    "fps: fast": "argument --fps: invalid float value: 'fast'",
    "seed: true": "--seed must be a single value, got True",
    "overwrite: 'no'": "--overwrite must be true or false, got 'no'",
    "gender: other": "argument --gender: invalid choice: 'other'",
    "weights: [a, b]": "--weights must be a single value, got ['a', 'b']",
    "inputs: 3": "inputs must be a path or a list of paths, got 3",
}


@pytest.mark.parametrize("text", BAD_YAML)
def test_yaml_with_a_value_of_another_type(
    text: str, predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.yaml").write_text(text)
    options = ("--config", tmp_path / "run.yaml", "--output", tmp_path / "out")
    assert predict(PERSON, *options) == 2
    errors = capsys.readouterr().err
    assert f"run.yaml: {BAD_YAML[text]}" in errors and errors.count("\n") == 1


def test_yaml_with_an_unknown_key(
    predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.yaml").write_text("nmu-samples: 2\n")
    options = ("--config", tmp_path / "run.yaml", "--output", tmp_path / "out")
    assert predict(PERSON, *options) == 2
    assert "Did you mean --num-samples?" in capsys.readouterr().err


def test_command_line_from_another_folder(
    command: list[str], process_environment: dict[str, str], tmp_path: Path
) -> None:
    copy_person(tmp_path / "ein Bild.png")
    words = [*command, "ein Bild.png", "--output", "out", "--runner=FnApiRunner"]
    done = subprocess.run(words, cwd=tmp_path, env=process_environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert "1 item, 1 person" in done.stdout.decode()
    lines = done.stderr.decode().splitlines()
    assert all("items" in line for line in lines), lines  # progress, and no chatter of libraries


def test_video_frame_choices(predict: Predict, tmp_path: Path) -> None:
    assert predict(PEDESTRIANS, "--fps", 1, "--output", tmp_path, "--no-uncertainty") == 0
    rows = read_rows(tmp_path, "frames").sort_by("frame_index").to_pylist()
    # The clip has 28 frames at 10 per second.
    assert [(row["frame_index"], row["time_s"]) for row in rows] == [(0, 0), (10, 1), (20, 2)]
