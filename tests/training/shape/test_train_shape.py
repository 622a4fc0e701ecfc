"""A training of the network of shapes from the first silhouette to the file of weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hierprob3d.configs.shape_training import ShapeTrainConfig
from hierprob3d.configs.training_phases import OptimiserConfig
from hierprob3d.model.files.weight_files import read_tensors
from hierprob3d.model.network.shape_net import load_shape_net
from hierprob3d.model.people.body_widths import NUM_PLACES
from hierprob3d.pipelines.command.cli import main
from hierprob3d.training.random.draws import Draws
from hierprob3d.training.shape.outlined_people import MovedWidths, exact, outlined_people
from hierprob3d.training.shape.seen_people import SeenPeople, load_seen
from hierprob3d.training.shape.train_shape import SEEN, WEIGHTS, train_shape


@pytest.fixture(scope="module")
def config(pose_file: Path) -> ShapeTrainConfig:
    return ShapeTrainConfig(
        train_poses=str(pose_file), held_back_every=2, num_seen=6, num_outlines=32,
        num_calibrated=10, steps=4, optimiser=OptimiserConfig(batch_size=16, warmup_steps=1),
        clothes=(0.02,),
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(config: ShapeTrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shape")
    train_shape(config, folder)
    return folder


def test_weights_say_where_they_come_from_and_what_they_hold(trained: Path) -> None:
    net = load_shape_net(trained / WEIGHTS)
    assert not net.training and bool((net.temperatures > 0).all())
    _, notes = read_tensors(trained / WEIGHTS)
    assert notes["people"] == {"seen": 6, "outlines": 32, "calibrated": 10}
    assert notes["config"]["train_poses"] == "poses.npz"
    inside = notes["validation"]["inside-80%"]
    assert set(inside) >= {"betas", "height_m", "weight_kg"}
    assert 0.75 <= inside["betas"] <= 0.85  # what the temperatures are fitted to: 8 of 10 people


def test_people_seen_are_not_rendered_again(
    trained: Path, config: ShapeTrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hierprob3d.training.shape.seen_people._seen", None)
    before = load_shape_net(trained / WEIGHTS).state_dict()
    train_shape(config, trained)
    after = load_shape_net(trained / WEIGHTS).state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    train_shape(replace(config, dropout=0.0), trained)
    other = load_shape_net(trained / WEIGHTS).state_dict()
    assert not torch.equal(other["layers.0.weight"], before["layers.0.weight"])


@pytest.mark.parametrize(
    "changed", [{"num_seen": 5}, {"seed": 1}, {"clothes": (0.0,)}, {"pose_tiers": "AB"}], ids=str
)
def test_people_seen_with_other_settings_are_not_taken_for_these(
    trained: Path, config: ShapeTrainConfig, changed: dict[str, Any]
) -> None:
    name = {"num_seen": "num"}.get(*changed, *changed)
    with pytest.raises(ValueError, match=rf"made with other settings \({name}; .* --experiment"):
        train_shape(replace(config, **changed), trained)


def test_errors_are_moved_in_sizes_of_the_person(trained: Path, config: ShapeTrainConfig) -> None:
    seen = load_seen(trained / SEEN)
    wider = replace_widths(seen, 0.1)
    others = outlined_people(config, Draws(torch.Generator().manual_seed(3)))
    moved = MovedWidths(wider).moved(others, Draws(torch.Generator().manual_seed(4)))
    true = exact(others)
    assert moved.widths.shape == true.widths.shape and torch.equal(moved.betas, true.betas)
    lengths = slice(2 * NUM_PLACES)
    found = (moved.widths - true.widths)[:, lengths]
    whole = (true.widths[:, lengths] > 0.05) & (true.widths[:, lengths] < 0.5)
    assert 0.07 < found[whole].median() < 0.14


def replace_widths(seen: SeenPeople, wider: float) -> SeenPeople:
    """The people as if all had been seen wider by so much, and nothing else wrong."""
    widths = seen.true_widths.clone()
    widths[:, : 2 * NUM_PLACES] += wider
    places = torch.cat([seen.joints2d, seen.keypoints[..., 2:]], -1)
    return replace(seen, widths=widths, keypoints=places)


def test_bad_settings_and_files_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, told in (
        (["steps=0"], "steps must be at least 1, got 0"),
        ([], "no pose file"),
        (["stepz=3"], "Did you mean 'steps'?"),
    ):
        assert main(["train-shape", "--experiment", str(tmp_path), *words]) == 2
        assert told in capsys.readouterr().err
