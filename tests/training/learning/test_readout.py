"""The readout of the encoder's features: what it says, and what it is told off for."""

from __future__ import annotations

import torch

from hierprob3d.training.learning.losses import Target
from hierprob3d.training.learning.readout import Readout, ReadTruth, readout_loss


def _target(num: int) -> Target:
    turns = torch.eye(3).expand(num, 23, 3, 3)
    return Target(
        pose_rotmats=turns,
        betas=torch.ones(num, 10),
        global_rotmat=turns[:, 0],
        joints2d=torch.zeros(num, 17, 2),
        visible=torch.ones(num, 17, dtype=torch.bool),
        joints3d=torch.full((num, 24, 3), 7.0),
        vertices=torch.zeros(num, 5, 3),
    )


def _truth(num: int) -> ReadTruth:
    return ReadTruth(
        rotmats=torch.eye(3).expand(num, 24, 3, 3),
        joints3d=torch.zeros(num, 24, 3),
        joints2d=torch.zeros(num, 17, 2),
        betas=torch.ones(num, 10),
    )


def test_the_truth_costs_nothing() -> None:
    assert readout_loss(_truth(3), _target(3)) == 0


def test_each_part_counts_and_joints_are_relative_to_the_pelvis() -> None:
    truth, target = _truth(2), _target(2)
    for name in ("rotmats", "joints2d", "betas"):
        wrong = ReadTruth(**{**vars(truth), name: vars(truth)[name] + 0.1})
        assert readout_loss(wrong, target) > 1e-4
    moved = ReadTruth(**{**vars(truth), "joints3d": truth.joints3d + torch.tensor([0, 0.3, 0.4])})
    torch.testing.assert_close(readout_loss(moved, target), torch.tensor(5 * 0.5))  # 3-4-5


def test_a_readout_learns_what_the_features_hold() -> None:
    torch.manual_seed(0)
    readout, features, target = Readout(16), torch.randn(4, 16), _target(4)
    optimiser = torch.optim.Adam(readout.parameters(), lr=0.05)
    before = readout_loss(readout(features), target).item()
    for _ in range(300):
        optimiser.zero_grad()
        readout_loss(readout(features), target).backward()
        optimiser.step()
    assert readout_loss(readout(features), target).item() < 0.1 * before
    assert readout(features).rotmats.shape == (4, 24, 3, 3)
