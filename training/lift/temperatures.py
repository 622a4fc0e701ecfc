"""Factors of concentration, one for each group of joints and kind of input, fitted to people."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hierprob3d.model.body.skeleton import SMPL_JOINT_NAMES
from hierprob3d.model.estimate.distribution_metrics import density_rank
from hierprob3d.model.network.lift_net import LiftNet
from hierprob3d.model.rotation.matrix_fisher import MatrixFisher
from hierprob3d.model.rotation.random_streams import RandomStreams, person_keys
from hierprob3d.training.assessment.assessment import JOINT_GROUPS

from .lift_batch import LiftBatch

REGION = 0.8
"""Share of the predicted distribution that the fitted region holds."""

_GROUPS = [
    [SMPL_JOINT_NAMES.index(name) for name in names]
    for names in (("pelvis",), *JOINT_GROUPS.values())
]
_UNMOVED = [SMPL_JOINT_NAMES.index(name) for name in ("left_hand", "right_hand")]
"""Recorded poses say nothing of them: they have the temperature of their group's others."""
_NUM_DRAWS = 99
_NUM_HALVINGS = 7
_LOWEST, _HIGHEST = 0.2, 5.0
_PEOPLE_AT_ONCE = 128


@torch.no_grad()
def fit_temperatures(net: LiftNet, kinds: Sequence[LiftBatch], seed: int) -> Tensor:
    """Sets the network's temperatures so that its regions hold the truths that they claim.

    Args:
        net: a lift whose spread is learnt.
        kinds: held-back people without landmarks, and with them.
        seed: of the draws that truths are ranked among.

    Returns:
        (2, 24) shares of truths inside the regions with the temperatures found.
    """
    net.temperatures.fill_(1.0)
    shares = []
    for row, batch in zip(net.temperatures, kinds, strict=True):
        output = net(batch.seen)
        assert output.global_F is not None
        F = torch.cat([output.global_F[:, None], output.pose_F], dim=1)
        row.copy_(_fitted(F, batch.rotmats, seed))
        shares.append(_shares_inside(F * row[:, None, None], batch.rotmats, seed))
    return torch.stack(shares)


def _fitted(F: Tensor, true_rotmats: Tensor, seed: int) -> Tensor:
    """(24,) temperatures; a group's is found by halving, and does not touch those of others."""
    low = torch.full((len(SMPL_JOINT_NAMES),), _LOWEST).log()
    high = torch.full((len(SMPL_JOINT_NAMES),), _HIGHEST).log()
    for _ in range(_NUM_HALVINGS):
        middle = (low + high) / 2
        held = _group_means(_shares_inside(F * middle.exp()[:, None, None], true_rotmats, seed))
        too_wide = held > REGION
        low, high = torch.where(too_wide, middle, low), torch.where(too_wide, high, middle)
    return ((low + high) / 2).exp()


def _shares_inside(F: Tensor, true_rotmats: Tensor, seed: int) -> Tensor:
    """(24,) shares of B truths (B, 24, 3, 3) inside the regions of (B, 24, 3, 3) parameters."""
    keys = person_keys(seed, [str(i) for i in range(len(F))], [0] * len(F))
    inside = []
    for people in torch.arange(len(F)).split(_PEOPLE_AT_ONCE):
        streams = RandomStreams(keys[people])
        draws = MatrixFisher(F[people]).sample((_NUM_DRAWS,), generator=streams).transpose(0, 1)
        rank = density_rank(F[people], true_rotmats[people], draws)
        inside.append((rank + 0.5) / (_NUM_DRAWS + 1) <= REGION)
    return torch.cat(inside).float().mean(0)


def _group_means(by_joint: Tensor) -> Tensor:
    """(24,) the mean of its group for each joint."""
    means = by_joint.clone()
    for group in _GROUPS:
        means[group] = by_joint[[joint for joint in group if joint not in _UNMOVED]].mean()
    return means
