from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from hierprob3d.configs.training import TrainConfig
from hierprob3d.configs.training_phases import OptimiserConfig
from hierprob3d.pipelines.command.cli import main
from hierprob3d.training.train import render_missing, train


def test_missing_poses_are_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "--experiment", str(tmp_path), "data.train_poses=none.npz"]) == 2
    assert "data.train_poses=FILE.npz" in capsys.readouterr().err


def test_an_unknown_setting_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "--experiment", str(tmp_path), "optimizer.lr=1"]) == 2
    assert "Did you mean 'optimiser'" in capsys.readouterr().err


def _settings(poses: Path) -> list[str]:
    words = [f"data.train_poses={poses}", f"data.val_poses={poses}", "device=cpu"]
    words += ["data.num_shards=1", "data.num_val_shards=1", "data.background_look.num_drawn=4"]
    return words


@pytest.fixture
def foreign_files(tmp_path: Path) -> Path:
    """Folder of files that are not what their names say."""
    (tmp_path / "broken.npz").write_bytes(b"PK not a zip file")
    (tmp_path / "broken.yaml").write_text("optimiser: {lr: [")
    (tmp_path / "list.yaml").write_text("- 1")
    np.savez(tmp_path / "short.npz", poses=np.zeros((5, 66)))
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--config", "{}/none.yaml"], "none.yaml"),
        (["--config", "{}/broken.yaml"], "broken.yaml"),
        (["--config", "{}/list.yaml"], "list.yaml"),
        (["data.train_poses={}/broken.npz"], "broken.npz"),
        (["data.train_poses={}/short.npz"], "short.npz"),
        (["data.backgrounds={}/empty"], "empty"),
        (["data.backgrounds={}/none"], "none"),
        (["data.body_model={}/none.pkl"], "none.pkl"),
        (["initial_weights={}/none.tar"], "none.tar"),
        (["initial_weights={}/broken.npz"], "broken.npz"),
        (["device=cuda"], "--device cuda: PyTorch finds no usable GPU"),
        (["device=tpu"], "device must be auto, cpu, cuda or cuda:N, got 'tpu'"),
        (["precision=fp8"], "precision must be one of"),
        (["selection_metric=loss"], "selection_metric must be one of"),
        (["data.held_back_every=2"], "exclude each other"),
        (['data.val_poses=""', "data.held_back_every=1"], "must be 0, or 2 or more"),
        (['data.val_poses=""', "data.held_back_every=9"], "holds back no clip of 2"),
        (['data.val_poses=""'], "data.val_poses=FILE.npz"),
        (["phases=[{{epochs: 1, bare_people: -1}}]"], "phases.bare_people must be at least 0"),
        (["phases=[{{epochs: 1, num_samples: -1}}]"], "phases.num_samples must be at least 0"),
        (["data.num_val_shards=0"], "data.num_val_shards must be at least 1"),
        (["data.stored_stride=3"], "data.stored_stride must be one of"),
        (["data.mirrored=50"], "data.mirrored must lie in 0..1"),
        (["data.synthesis.tumbled=-1"], "data.synthesis.tumbled must lie in 0..1"),
        (["save_every=0"], "save_every must be at least 1"),
        (["optimiser.accumulate=0"], "optimiser.accumulate must be at least 1"),
        (["optimiser.batch_size=3", "optimiser.accumulate=2"], "batch_size=3 is too small"),
        (["--max-minutes", "soon"], "--max-minutes"),
    ],
)
def test_bad_input_is_one_clear_line(
    words: list[str],
    message: str,
    foreign_files: Path,
    pose_file: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    words = [*_settings(pose_file), *(word.format(foreign_files) for word in words)]
    assert main(["train", "--experiment", str(foreign_files / "run"), *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error


def test_a_full_gpu_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise torch.OutOfMemoryError("tried to allocate 9 GiB")

    monkeypatch.setattr("hierprob3d.training.train.train", full)
    assert main(["train", "--experiment", str(tmp_path), "device=cpu"]) == 2
    error = capsys.readouterr().err
    assert "raise optimiser.accumulate" in error and "9 GiB" in error


def test_another_configuration_is_not_resumed(undisturbed: Path, tiny_config: TrainConfig) -> None:
    optimiser = dataclasses.replace(tiny_config.optimiser, lr=0.5)
    with pytest.raises(ValueError, match="optimiser.lr"):
        train(dataclasses.replace(tiny_config, optimiser=optimiser), undisturbed)


def test_other_pictures_are_not_mixed_in(rendered: Path, tiny_config: TrainConfig) -> None:
    with pytest.raises(ValueError, match="other settings"):
        render_missing(dataclasses.replace(tiny_config, seed=9), rendered)


def test_too_few_pictures_are_refused(run_folder: Path, tiny_config: TrainConfig) -> None:
    greedy = dataclasses.replace(tiny_config, optimiser=OptimiserConfig(batch_size=64))
    with pytest.raises(ValueError, match="fewer than one batch of 64"):
        train(greedy, run_folder)


def test_pictures_can_be_rendered_alone(
    pose_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hierprob3d.training.people.rendered_set.SHARD_SIZE", 2)
    monkeypatch.setattr("hierprob3d.training.people.rendered_set._CHUNK", 2)
    words = [*_settings(pose_file), "--max-minutes", "5"]
    assert main(["train", "--experiment", str(tmp_path), "--render-only", *words]) == 0
    assert (tmp_path / "train" / "shard_00000.npz").exists()
    assert not (tmp_path / "state.pt").exists()
