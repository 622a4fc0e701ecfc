from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from configs.training import TrainConfig
from model.checkpoints import (
    WeightsMetadata,
    default_weights_path,
    load_distribution_net,
    save_distribution_net,
)
from training.initial_net import initial_net


def test_training_goes_on_from_given_weights(tiny_config: TrainConfig, undisturbed: Path) -> None:
    path = undisturbed / "checkpoints" / "epoch_001.tar"
    config = dataclasses.replace(tiny_config, initial_weights=str(path), global_spread=True)
    given, net = load_distribution_net(path).state_dict(), initial_net(config, "openbody")
    assert {name for name in net.state_dict() if name not in given} == {
        "fc_glob_spread.weight", "fc_glob_spread.bias"
    }  # fmt: skip
    for name, value in given.items():
        assert torch.equal(net.state_dict()[name], value)


def test_the_keypoint_branch_may_be_new_and_is_not_dropped(
    tiny_config: TrainConfig, tmp_path: Path
) -> None:
    config = dataclasses.replace(
        tiny_config, initial_weights=str(default_weights_path()), global_spread=True,
        keypoint_lift=True,
    )  # fmt: skip
    net = initial_net(config, "openbody")
    metadata = WeightsMetadata(body_family="openbody", **dataclasses.asdict(net.config))
    save_distribution_net(net, tmp_path / "w.safetensors", metadata)
    config = dataclasses.replace(config, initial_weights=str(tmp_path / "w.safetensors"))
    again = initial_net(config, "openbody").state_dict()
    assert all(torch.equal(again[name], value) for name, value in net.state_dict().items())
    config = dataclasses.replace(config, keypoint_lift=False)
    with pytest.raises(ValueError, match="keypoint_lift is True there and False in this run"):
        initial_net(config, "openbody")


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
    changes: dict, family: str, message: str
) -> None:
    config = TrainConfig(initial_weights=str(default_weights_path()), **changes)
    with pytest.raises(ValueError, match=message):
        initial_net(config, family)
