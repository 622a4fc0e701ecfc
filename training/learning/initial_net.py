"""The network that a run begins with: new, or with weights of an earlier training."""

from __future__ import annotations

import torch
from torch import nn

from hierprob3d.configs.training import TrainConfig
from hierprob3d.model.network.checkpoints import WeightsError, load_distribution_net
from hierprob3d.model.network.distribution_net import DistributionNet
from hierprob3d.model.network.network_config import NetworkConfig

_FEATURES = ("image_encoder.", "keypoint_lift.")
"""What gives the features that heads read."""


def initial_net(config: TrainConfig, body_family: str) -> DistributionNet:
    """The network of a run before its first step, on the CPU.

    Initial weights may have been trained at another stride, and may lack the layer of
    `global_spread`, which is then new; in all else they must fit. They may also lack the branch of
    `keypoint_lift`: it then begins by adding nothing to the encoder, whose features all count; but
    where the branch is to learn first, alone, heads that rely on the encoder are not taken over:
    they have never seen what they will read.

    Args:
        config: the run.
        body_family: family of its body, openbody or smpl.

    Raises:
        FileNotFoundError: there are no such initial weights.
        ValueError: they are damaged, or belong to another body, sign rule or number of layers; or
            the branch to be added is missing, or would join an encoder that is left out.
    """
    torch.manual_seed(config.seed)
    net = DistributionNet(NetworkConfig.of(config))
    if config.initial_weights is not None:
        weights = _picture_net(config.initial_weights)
        _check_suits_run(config, body_family, weights)
        _take_over(net, weights, lifts_first=config.phases[0].lift_only)
        if config.initial_lift is not None:
            _join_lift(net, config.initial_lift)
    return net


def _join_lift(net: DistributionNet, path: str) -> None:
    """Gives a network the branch of another, whose last layer is new and adds nothing."""
    lift = _picture_net(path)
    if not lift.config.keypoint_lift:
        raise ValueError(f"initial_lift={path}: these weights have no branch of keypoint_lift")
    if not net.encoder_gain.any():
        raise ValueError(
            f"initial_lift={path} would be all that the heads read, and adds nothing at first: the "
            "initial weights leave out the encoder, so they need no initial_lift"
        )
    inner = {k: v for k, v in lift.keypoint_lift.state_dict().items() if "write." not in k}
    net.keypoint_lift.load_state_dict(inner, strict=False)  # it may write for another encoder
    _add_nothing(net)


def _picture_net(path: str) -> DistributionNet:
    """The network of weights that read proxies."""
    net = load_distribution_net(path)
    if not isinstance(net, DistributionNet):
        raise WeightsError(
            f"{path} reads coordinates, and cannot begin a training that reads pictures: give "
            "weights of such a training, or none."
        )
    return net


def _add_nothing(net: DistributionNet) -> None:
    """Lets the branch add nothing to the features of the encoder."""
    nn.init.zeros_(net.keypoint_lift.write.weight)
    nn.init.zeros_(net.keypoint_lift.write.bias)


def _take_over(net: DistributionNet, weights: DistributionNet, lifts_first: bool) -> None:
    """Gives a network the weights that it shares with another."""
    theirs, has_branch = weights.state_dict(), weights.config.keypoint_lift
    reads_encoder = not has_branch or bool(weights.encoder_gain.any())
    if lifts_first and reads_encoder:
        theirs = {k: v for k, v in theirs.items() if k.startswith(_FEATURES)}
    net.load_state_dict(theirs, strict=False)
    if net.config.keypoint_lift and not has_branch and not lifts_first:
        nn.init.ones_(net.encoder_gain)
        _add_nothing(net)


def _check_suits_run(config: TrainConfig, body_family: str, weights: DistributionNet) -> None:
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
