"""`hierprob3d predict` into a folder that holds rows: which go, which stay, what is refused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from hierprob3d.model.body.mesh_body import load_body
from tests.pipelines.conftest import (
    PEDESTRIANS,
    PERSON,
    copy_person,
    read_rows,
    save_random_weights,
    status_by_name,
)

Predict = Callable[..., int]
FAST = ("--no-uncertainty", "--people", "centre")


def seeds(output: Path) -> dict[str, int]:
    """Seed of every picture's row by file name."""
    return {Path(row["uri"]).name: row["seed"] for row in read_rows(output, "people").to_pylist()}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def three(tmp_path: Path, predict: Predict) -> tuple[Path, Path]:
    """Three pictures, one of them damaged, and the results of a run over them."""
    inputs, output = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    for name in ("1.png", "2.png"):
        copy_person(inputs / name)
    (inputs / "3.png").write_bytes(b"damaged")
    assert predict(inputs, "--output", output, *FAST) == 0
    return inputs, output


def test_overwrite_with_a_limit_drops_only_what_it_does_again(
    three: tuple[Path, Path], predict: Predict
) -> None:
    inputs, output = three
    options = ("--output", output, *FAST, "--overwrite", "--limit", 1, "--seed", 7)
    assert predict(inputs, *options) == 0
    assert seeds(output) == {"1.png": 7, "2.png": 0}
    assert status_by_name(output) == {"1.png": "ok", "2.png": "ok", "3.png": "failed"}


def test_retry_failed_with_a_limit_keeps_the_other_failures(
    three: tuple[Path, Path], predict: Predict
) -> None:
    inputs, output = three
    (inputs / "4.png").write_bytes(b"damaged too")
    assert predict(inputs, "--output", output, *FAST) == 1  # the new one failed
    copy_person(inputs / "3.png")
    assert predict(inputs, "--output", output, *FAST, "--retry-failed", "--limit", 1) == 0
    expected = {"1.png": "ok", "2.png": "ok", "3.png": "ok", "4.png": "failed"}
    assert status_by_name(output) == expected


def test_a_repaired_video_takes_the_place_of_its_error(predict: Predict, tmp_path: Path) -> None:
    video, output = tmp_path / "a.mp4", tmp_path / "out"
    video.write_bytes(b"no video")
    assert predict(video, "--output", output, *FAST) == 1
    video.write_bytes(PEDESTRIANS.read_bytes())
    options = ("--frame-step", 20, "--retry-failed")
    assert predict(video, "--output", output, *FAST, *options) == 0
    assert status_by_name(output) == {"a.mp4#0": "ok", "a.mp4#20": "ok"}
    assert predict(video, "--output", output, *FAST, "--frame-step", 40, "--overwrite") == 0
    assert status_by_name(output) == {"a.mp4#0": "ok"}  # #20 is not chosen any more


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_refused_command_has_changed_nothing(
    dry: tuple[str, ...], three: tuple[Path, Path], predict: Predict,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    inputs, output = three
    before = contents(output)
    options = ("--output", output, "--people", "centre", *dry)
    assert predict(inputs, *options, "--overwrite", "--limit", 1) == 2  # a row would stay
    assert "with --no-uncertainty (now without --no-uncertainty)" in capsys.readouterr().err
    for bad in ("--runner=NoRunner", "--direct_running_mode=foo", "--direct_num_workers=-1"):
        assert predict(inputs, *options, "--overwrite", bad) == 2
        assert predict(inputs, *options, "--retry-failed", bad) == 2
        errors = capsys.readouterr().err
        assert errors.count("\n") == 2 and bad.split("=")[0] in errors
    assert contents(output) == before


def test_overwrite_of_everything_may_change_the_columns(
    three: tuple[Path, Path], predict: Predict
) -> None:
    inputs, output = three
    assert predict(inputs, "--output", output, "--people", "centre", "--overwrite") == 0
    rows = read_rows(output, "people")
    assert rows.num_rows == 2 and "joint_spread_m" in rows.column_names


def test_rows_of_other_models_are_not_mixed(
    three: tuple[Path, Path], predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs, output = three
    copy_person(inputs / "4.png")
    other = save_random_weights(tmp_path / "other.safetensors", "openbody", seed=1)
    female = load_body("open", "female").path
    for options, told in {
        ("--weights", other): "with --weights ",
        ("--gender", "female"): "with --gender neutral (now with --gender female)",
        ("--keypoints", "movenet"): "with --keypoints blazepose (now with --keypoints movenet)",
        ("--body-model", female): "with --body-model ",
    }.items():
        for dry in ((), ("--dry-run",)):
            assert predict(inputs, "--output", output, *FAST, *options, *dry) == 2
            errors = capsys.readouterr().err
            assert told in errors and "--overwrite all of it" in errors
            assert errors.count("\n") == 1
    assert len(status_by_name(output)) == 3
    # Nothing stays of the earlier models' rows.
    assert predict(inputs, "--output", output, *FAST, "--weights", other, "--overwrite") == 0


def test_another_seed_is_told(
    three: tuple[Path, Path], predict: Predict, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs, output = three
    copy_person(inputs / "4.png")
    assert predict(inputs, "--output", output, *FAST, "--seed", 3) == 0
    assert "warning: earlier rows have --seed 0, new ones 3" in capsys.readouterr().err
    assert seeds(output) == {"1.png": 0, "2.png": 0, "4.png": 3}


def test_nothing_to_do_but_failures(
    three: tuple[Path, Path], predict: Predict, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs, output = three
    options = ("--output", output, *FAST)
    assert predict(inputs, *options) == 0
    assert "all 3 items are finished; 1 of them failed (--retry-failed" in capsys.readouterr().out
    # A third of the inputs failed; of the damaged picture alone, all.
    assert predict(inputs, *options, "--max-failed-ratio", 0.3) == 1
    assert predict(inputs / "3.png", *options) == 1
    assert predict(inputs / "3.png", *options, "--dry-run") == 1


def test_dry_run_ends_as_the_run_would(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    picture = copy_person(tmp_path / "a.png")
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    output = ("--output", tmp_path / "new" / "out")
    assert predict(picture, "--dry-run", "--output", tmp_path / "file" / "out") == 2
    assert f"{tmp_path}/file: Not a directory" in capsys.readouterr().err
    assert predict(tmp_path / "empty", "--dry-run", *output) == 1
    assert "no picture or video" in capsys.readouterr().err
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert predict(picture, "--dry-run", *output) == 2
    assert f"{tmp_path}: Permission denied" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_inputs_before_and_after_options_and_with_dashes(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png", "-c.png"):
        copy_person(tmp_path / name)
    assert predict("a.png", "--output", "o", *FAST, "b.png", "--", "-c.png") == 0
    assert set(status_by_name(tmp_path / "o")) == {"a.png", "b.png", "-c.png"}


def test_a_picture_that_changed_under_its_name_is_done_again(
    predict: Predict, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("changed", "same"):
        copy_person(tmp_path / "in" / f"{name}.png")
    out = tmp_path / "out"
    assert predict(tmp_path / "in", "--output", out) == 0
    Image.new("RGB", (64, 48)).save(tmp_path / "in" / "changed.png")
    assert predict(tmp_path / "in", "--output", out) == 0
    assert status_by_name(out) == {"changed.png": "no_person", "same.png": "ok"}
    assert [Path(row["uri"]).name for row in read_rows(out, "people").to_pylist()] == ["same.png"]
    assert len({row["run_id"] for row in read_rows(out, "frames").to_pylist()}) == 2


def test_frames_of_a_video_that_became_shorter_go(predict: Predict, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    shutil.copy(PEDESTRIANS, clip)
    out = tmp_path / "out"
    assert predict(clip, "--output", out, "--frame-step", 14) == 0
    assert sorted(status_by_name(out)) == ["clip.mp4#0", "clip.mp4#14"]
    shutil.copy(PERSON, tmp_path / "clip.mp4")  # no video any more: one error row
    assert predict(clip, "--output", out, "--max-failed-ratio", 1) == 0
    assert status_by_name(out) == {"clip.mp4": "failed"}
