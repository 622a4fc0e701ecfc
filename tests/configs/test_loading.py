from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from hierprob3d.configs import loading
from hierprob3d.configs.keypoint_noise import MOVENET_KEYPOINT_NOISE
from hierprob3d.configs.paper_training import load_train_config
from hierprob3d.configs.training import TrainConfig

CONFIGS = Path(loading.__file__).parent


def test_nothing_given_is_the_defaults() -> None:
    assert load_train_config(None) == TrainConfig()


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("open_net*.yaml")), ids=lambda path: path.name)
def test_trainings_of_the_open_weights_load(path: Path) -> None:
    config = load_train_config(path)
    assert config != TrainConfig() and config.input_stride in (1, 2, 4)


def test_overrides_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(
        "optimiser:\n  lr: 1e-4\n  batch_size: 8\nphases:\n  - epochs: 3\n    stride: 4\n"
    )
    with pytest.raises(ValueError, match="phases"):
        load_train_config(file, ["phases.1.epochs=2"])  # the file's list has one item
    config = load_train_config(file, ["optimiser.lr=0.5", "phases.0.loss.pose=7"])
    assert (config.optimiser.lr, config.optimiser.batch_size) == (0.5, 8)
    assert len(config.phases) == 1 and config.phases[0].loss.pose == 7.0


def test_a_preset_s_name_stands_for_its_settings(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("data: {keypoint_noise: movenet}\n")
    assert load_train_config(file).data.keypoint_noise == MOVENET_KEYPOINT_NOISE
    changed = load_train_config(file, ["data.keypoint_noise.deviation=3"])
    expected = dataclasses.replace(MOVENET_KEYPOINT_NOISE, deviation=3.0)
    assert changed.data.keypoint_noise == expected
    back = load_train_config(file, ["data.keypoint_noise=default"])
    assert back == TrainConfig()


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("optimizer.lr=1", "Did you mean 'optimiser'"),
        ("data.train_posess=x", r"'data.train_posess'\. Did you mean 'data.train_poses'\?"),
        ("train_poses=x", r"no setting 'train_poses'\. Did you mean 'data.train_poses'\?"),
        ("train_posess=x", "Did you mean 'data.train_poses'"),
        ("phases.1.epoch=3", "no setting 'phases.1.epoch'. Did you mean 'phases.1.epochs'"),
        ("frobnicate=3", "no setting 'frobnicate'.$"),
        ("num_layers=many", "num_layers must be of type int"),
        ("phases.9.epochs=1", "items 0..2"),
        ("data.synthesis.ambient=[1]", "data.synthesis.ambient must have 2 items"),
        (
            "data.keypoint_noise=hrnet",
            r"one of \['default', 'movenet', 'photographs', 'paper'\], got 'hrnet'",
        ),
        ("seed", "name=value"),
        ("phases.0.stride=3", r"phases\.stride must be one of 1, 2, 4, got 3"),
    ],
)
def test_a_wrong_setting_is_named(word: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_train_config(None, [word])


def test_an_item_of_a_list_that_is_no_setting_is_named() -> None:
    with pytest.raises(ValueError, match="Did you mean 'phases'"):
        load_train_config(None, ["phase=[{epochs: 2}]", "phase.0.epochs=1"])
    with pytest.raises(ValueError, match="num_layers must be of type int"):
        load_train_config(None, ["num_layers=[1]", "num_layers.0=3"])


def test_the_file_of_a_wrong_setting_is_named(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("optimiser: {lrr: 0.1}\n")
    with pytest.raises(ValueError, match="run.yaml: no setting 'optimiser.lrr'. Did you mean 'opt"):
        load_train_config(file, ["seed=3"])
    file.write_text("optimiser: {lr: 0.1}\n")
    with pytest.raises(ValueError, match="^no setting 'sed'"):
        load_train_config(file, ["sed=3"])


def test_a_missing_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="nowhere.yaml"):
        load_train_config("nowhere.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [("seed: [1", "run.yaml is no YAML"), ("- seed", "run.yaml must hold settings")],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_train_config(tmp_path / "run.yaml")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="run.yaml is no YAML"):
        load_train_config(tmp_path / "run.yaml")
