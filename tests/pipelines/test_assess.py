"""`hierprob3d assess` with the bundled weights, on a tiny set and an example of predictions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from example_run import write_example_run, write_manifest

from hierprob3d.model.network.checkpoints import default_weights_path, sha256_of
from hierprob3d.pipelines.command.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """poses.npz, a prediction run in predicted/, and assessed/, the figures of three people."""
    folder = tmp_path_factory.mktemp("assess")
    poses = np.random.default_rng(0).normal(0, 0.1, (8, 72)).astype(np.float32)
    np.savez(folder / "poses.npz", poses=poses)
    write_example_run(folder / "predicted")
    sha256 = sha256_of(default_weights_path())
    write_manifest(folder / "predicted", {"model_files": {"weights": {"sha256": sha256}}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hierprob3d.training.people.rendered_set.SHARD_SIZE", 3)
        words = f"--poses={folder / 'poses.npz'}", f"--predictions={folder / 'predicted'}"
        assert _assess(folder, "assessed", *words, num_detected=4) == 0
    return folder


def _assess(folder: Path, output: str, *words: str, num_detected: int = 0) -> int:
    naive = f"data.train_poses={folder / 'poses.npz'}"
    sizes = f"--num-people=3 --num-detected={num_detected}".split()
    return main(["assess", "--output", str(folder / output), *sizes, *words, naive])


def _record(folder: Path, output: str) -> dict:
    return json.loads((folder / output / "assessment.json").read_text())


def test_all_figures_are_written(folder: Path) -> None:
    record = _record(folder, "assessed")
    figures = record["conditions"]["detector errors, all"]
    assert figures["people"] == 3
    assert 0 < figures["metrics"]["MPJPE-PA"] < 500
    assert set(figures["best_of"]["PVE-T-SC"]) == {"1", "10", "50", "100"}
    assert record["pictures"]["stored_stride"] == 4  # the weights' own
    assert record["photographs"]["people"] == 4
    tables = (folder / "assessed" / "assessment.md").read_text()
    assert f"| {figures['metrics']['MPJPE-PA']:.1f} |" in tables
    for part in ("### Best of N hypotheses", "| left_knee |", "| astronaut.png | 1 | 2.4 |"):
        assert part in tables


def test_people_found_by_the_real_detectors(folder: Path) -> None:
    record = _record(folder, "assessed")["detectors"]
    assert list(record) == ["whole", "cut"]
    for name in ("blazepose", "movenet"):
        whole = record["whole"][name]
        assert whole["people"] == 3 and record["cut"][name]["people"] == 1
        assert 2 <= whole["found"] <= 3
        mean, median = whole["MPJPE-PA"]
        assert 10 < median < 200 and 10 < mean < 300
        assert whole["keypoints seen, px"][1] < 10
    assert record["whole"]["blazepose"] != record["whole"]["movenet"]
    assert record["whole"]["blazepose"]["found"] == record["whole"]["movenet"]["found"]
    tables = (folder / "assessed" / "assessment.md").read_text()
    assert "| whole, blazepose | whole, movenet | cut, blazepose | cut, movenet |" in tables


def test_pictures_that_are_there_give_the_same_figures(folder: Path) -> None:
    assert _assess(folder, "again", f"--rendered={folder / 'assessed' / 'pictures'}") == 0
    first, again = _record(folder, "assessed"), _record(folder, "again")
    others = ("photographs", "detectors")
    assert again == {name: first[name] for name in first if name not in others}
    assert not (folder / "again" / "pictures").exists()


def test_weights_without_a_mean_pose_need_the_training_poses(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hierprob3d.pipelines.assess.weights_mean_pose", lambda _: None)
    rendered = f"--rendered={folder / 'assessed' / 'pictures'}"
    assert main(["assess", "--output", str(folder / "bad"), rendered]) == 2
    assert "data.train_poses=FILE.npz" in capsys.readouterr().err


def test_bad_words_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rendered = f"--rendered={folder / 'assessed' / 'pictures'}"
    for words, told in (
        ([rendered, "--num-people=0"], "--num-people"),
        ([rendered, "--poses=poses.npz"], "--rendered pictures have poses"),
        (["--predictions=nowhere"], "there is no folder nowhere"),
    ):
        assert main(["assess", "--output", str(folder / "bad"), *words]) == 2
        assert told in capsys.readouterr().err
    assert not (folder / "bad").exists()
