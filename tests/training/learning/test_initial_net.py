from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from hierprob3d.configs.training import TrainConfig
from hierprob3d.model.network.checkpoints import (
    load_distribution_net,
    save_distribution_net,
)
from hierprob3d.model.network.lift_net import LiftNet
from hierprob3d.model.network.network_config import LiftConfig, WeightsMetadata
from hierprob3d.training.learning.initial_net import initial_net


def test_training_goes_on_from_given_weights(tiny_config: TrainConfig, undisturbed: Path) -> None:
    path = undisturbed / "checkpoints" / "epoch_001.tar"
    config = dataclasses.replace(tiny_config, initial_weights=str(path), global_spread=True)
    given, net = load_distribution_net(path).state_dict(), initial_net(config, "openbody")
    assert {name for name in net.state_dict() if name not in given} == {
        "fc_glob_spread.weight", "fc_glob_spread.bias"
    }  # fmt: skip
    for name, value in given.items():
        assert torch.equal(net.state_dict()[name], value)


@pytest.fixture
def lift_config(tiny_config: TrainConfig, undisturbed: Path) -> TrainConfig:
    """A run that adds the keypoint branch to weights without one."""
    path = str(undisturbed / "weights")
    return dataclasses.replace(tiny_config, initial_weights=path, keypoint_lift=True)


def with_lift_only(config: TrainConfig) -> TrainConfig:
    phase = dataclasses.replace(config.phases[0], lift_only=True)
    return dataclasses.replace(config, phases=(phase,))


def test_a_new_keypoint_branch_changes_nothing_at_first(lift_config: TrainConfig) -> None:
    net = initial_net(lift_config, "openbody").eval()
    given = load_distribution_net(lift_config.initial_weights or "")
    proxy = torch.rand(2, 18, 64, 64)
    assert torch.equal(net.features(proxy), given.features(proxy))
    for name, value in given.state_dict().items():
        assert torch.equal(net.state_dict()[name], value)


def test_a_trained_branch_joins_weights_without_one(
    lift_config: TrainConfig, tmp_path: Path
) -> None:
    other = initial_net(with_lift_only(lift_config), "openbody")
    metadata = WeightsMetadata(body_family="openbody", **dataclasses.asdict(other.config))
    path = str(tmp_path / "lift.safetensors")
    save_distribution_net(other, path, metadata)
    config = dataclasses.replace(lift_config, initial_lift=path)
    net = initial_net(config, "openbody").eval()
    given = load_distribution_net(config.initial_weights or "")
    proxy = torch.rand(2, 18, 64, 64)
    assert torch.equal(net.features(proxy), given.features(proxy))
    assert torch.equal(net.keypoint_lift.read.weight, other.keypoint_lift.read.weight)
    with pytest.raises(ValueError, match="these weights have no branch"):
        no_lift = dataclasses.replace(config, initial_lift=config.initial_weights)
        initial_net(no_lift, "openbody")
    with torch.no_grad():
        other.keypoint_lift.read.weight.add_(1)
        other.encoder_gain.fill_(2)
    with_branch = str(tmp_path / "with_branch.safetensors")
    save_distribution_net(other, with_branch, metadata)
    replaced = initial_net(dataclasses.replace(config, initial_weights=with_branch), "openbody")
    assert torch.equal(replaced.keypoint_lift.read.weight, net.keypoint_lift.read.weight)
    assert not replaced.keypoint_lift.write.weight.any() and (replaced.encoder_gain == 2).all()
    with pytest.raises(ValueError, match="would be all that the heads read"):
        initial_net(dataclasses.replace(config, initial_weights=path), "openbody")
    with pytest.raises(ValueError, match="initial_lift needs keypoint_lift=true"):
        dataclasses.replace(config, keypoint_lift=False)


def test_heads_are_new_where_the_branch_learns_alone_first(lift_config: TrainConfig) -> None:
    net = initial_net(with_lift_only(lift_config), "openbody")
    given = load_distribution_net(lift_config.initial_weights or "").state_dict()
    taken = {name for name, value in given.items() if torch.equal(net.state_dict()[name], value)}
    assert taken >= {name for name in given if name.startswith("image_encoder.")}
    assert not taken & {"fc1.weight", "fc_pose.0.0.weight"} and not net.encoder_gain.any()


def test_a_trained_keypoint_branch_is_kept_and_not_dropped(
    lift_config: TrainConfig, tmp_path: Path
) -> None:
    net = initial_net(lift_config, "openbody")
    metadata = WeightsMetadata(body_family="openbody", **dataclasses.asdict(net.config))
    save_distribution_net(net, tmp_path / "w.safetensors", metadata)
    config = dataclasses.replace(lift_config, initial_weights=str(tmp_path / "w.safetensors"))
    again = initial_net(config, "openbody").state_dict()
    assert all(torch.equal(again[name], value) for name, value in net.state_dict().items())
    with pytest.raises(ValueError, match="keypoint_lift is True there and False in this run"):
        initial_net(dataclasses.replace(config, keypoint_lift=False), "openbody")
    # Its heads read the encoder too: where that is left out at first, they are new.
    alone = initial_net(with_lift_only(config), "openbody")
    taken = {
        k for k, value in net.state_dict().items() if torch.equal(alone.state_dict()[k], value)
    }
    assert taken >= {name for name in net.state_dict() if name.startswith("keypoint_lift.")}
    assert "fc1.weight" not in taken and not alone.encoder_gain.any()


@pytest.mark.parametrize(
    ("changes", "family", "message"),
    [
        (
            {"sign_rule": "paper"},
            "openbody",
            "sign_rule is 'invariant' there and 'paper' in this run",
        ),
        ({"num_layers": 50}, "openbody", "num_layers is 18 there and 50 in this run"),
        ({}, "smpl", "the body is 'openbody' there"),
    ],
)
def test_initial_weights_of_another_kind_are_refused(
    undisturbed: Path, changes: dict, family: str, message: str
) -> None:
    config = TrainConfig(initial_weights=str(undisturbed / "weights"), **changes)
    with pytest.raises(ValueError, match=message):
        initial_net(config, family)


def test_weights_that_read_coordinates_cannot_begin_a_training_of_pictures(tmp_path: Path) -> None:
    path = tmp_path / "lift.safetensors"
    metadata = WeightsMetadata(
        body_family="openbody", sign_rule="invariant", lift_width=8, lift_blocks=1
    )
    save_distribution_net(LiftNet(LiftConfig(width=8, blocks=1)), path, metadata)
    with pytest.raises(ValueError, match="reads coordinates"):
        initial_net(TrainConfig(initial_weights=str(path)), "openbody")
