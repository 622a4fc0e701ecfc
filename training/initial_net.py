"""The network that a run begins with: new, or with weights of an earlier training."""

from __future__ import annotations

import torch

from configs.training import TrainConfig
from model.checkpoints import load_distribution_net
from model.network import DistributionNet, NetworkConfig


def initial_net(config: TrainConfig, body_family: str) -> DistributionNet:
    """The network of a run before its first step, on the CPU.

    Initial weights may have been trained at another stride, and may lack what `global_spread` and
    `keypoint_lift` add, which is then new; in all else they must fit.

    Args:
        config: the run.
        body_family: family of its body, openbody or smpl.

    Raises:
        FileNotFoundError: there are no such initial weights.
        ValueError: they are damaged, or belong to another body, sign rule or number of layers.
    """
    torch.manual_seed(config.seed)
    net = DistributionNet(
        NetworkConfig(
            num_layers=config.num_layers,
            sign_rule=config.sign_rule,
            input_stride=config.input_stride,
            global_spread=config.global_spread,
            keypoint_lift=config.keypoint_lift,
        )
    )
    if config.initial_weights is not None:
        weights = load_distribution_net(config.initial_weights)
        _check_fit(config, body_family, weights)
        net.load_state_dict(weights.state_dict(), strict=False)
    return net


def _check_fit(config: TrainConfig, body_family: str, weights: DistributionNet) -> None:
    """Raises ValueError where weights do not fit a run."""
    theirs = weights.config
    pairs = {
        "the body": (weights.body_family, body_family),
        "sign_rule": (theirs.sign_rule, config.sign_rule),
        "num_layers": (theirs.num_layers, config.num_layers),
    }
    for name in ("global_spread", "keypoint_lift"):
        if getattr(theirs, name) and not getattr(config, name):
            pairs[name] = (True, False)
    for name, (has, wanted) in pairs.items():
        if has != wanted:
            raise ValueError(
                f"initial_weights={config.initial_weights}: {name} is {has!r} there and "
                f"{wanted!r} in this run; change the configuration or choose other weights"
            )
