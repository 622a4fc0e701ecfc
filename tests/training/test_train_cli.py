from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.cli import main


def test_missing_poses_are_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "--experiment", str(tmp_path), "data.train_poses=none.npz"]) == 2
    assert "data.val_poses=FILE.npz" in capsys.readouterr().err


def test_an_unknown_setting_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "--experiment", str(tmp_path), "optimizer.lr=1"]) == 2
    assert "Did you mean 'optimiser'" in capsys.readouterr().err


def test_pictures_can_be_rendered_alone(
    pose_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.rendered_set.SHARD_SIZE", 2)
    monkeypatch.setattr("training.rendered_set._CHUNK", 2)
    words = [f"data.train_poses={pose_file}", f"data.val_poses={pose_file}"]
    words += ["data.num_shards=1", "data.num_val_shards=1"]
    assert main(["train", "--experiment", str(tmp_path), "--render-only", *words]) == 0
    assert (tmp_path / "train" / "shard_00000.npz").exists()
    assert not (tmp_path / "state.pt").exists()
