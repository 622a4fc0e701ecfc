"""Joints in sight and the part of the body outside, by cases that can be told by hand."""

from __future__ import annotations

import pytest
import torch

from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.body.skeleton import COCO_KEYPOINT_NAMES, SMPL_JOINT_NAMES
from hierprob3d.model.estimate.in_view import joint_visibility, surface_shares, truncation

SIZE = torch.tensor([[100.0, 50.0]])


def visibility(joints2d: torch.Tensor, **confidences: float) -> dict[str, float]:
    values = [confidences.get(name, 0.0) for name in COCO_KEYPOINT_NAMES]
    found = joint_visibility(torch.tensor([values]), joints2d, SIZE)[0]
    return dict(zip(SMPL_JOINT_NAMES, found.tolist(), strict=True))


def test_a_joint_is_as_visible_as_the_best_keypoint_near_it() -> None:
    inside = torch.full((1, 24, 2), 20.0)
    found = visibility(inside, left_wrist=0.5, left_hip=0.25, right_hip=0.75, left_ear=1.0)
    seen = {name: value for name, value in found.items() if value}
    assert seen == {
        "left_wrist": 0.5, "left_hand": 0.5, "left_hip": 0.25, "right_hip": 0.75, "head": 1.0,
        "pelvis": 0.75, "spine1": 0.75, "spine2": 0.75, "spine3": 0.75,
    }  # fmt: skip


def test_outside_the_picture_nothing_is_visible() -> None:
    joints2d = torch.full((1, 24, 2), 20.0)
    joints2d[0, SMPL_JOINT_NAMES.index("left_hand")] = torch.tensor([20.0, 50.5])
    found = visibility(joints2d, left_wrist=0.5)
    assert found["left_hand"] == 0 and found["left_wrist"] == 0.5


def test_truncation_is_the_share_of_the_surface_outside(body: Body) -> None:
    shares = surface_shares(body.v_template, body.faces)
    assert float(shares.sum()) == pytest.approx(1) and float(shares.min()) > 0
    x, y, _ = body.v_template.unbind(-1)
    upright = torch.stack([50 + 20 * x, 25 - 20 * (y - y.mean())], -1)[None]
    assert float(truncation(upright, SIZE, shares)) == 0
    half = upright.clone()
    half[..., 0] -= 50  # the middle of the body stands on the left border
    assert float(truncation(half, SIZE, shares)) == pytest.approx(0.5, abs=0.02)
    assert float(truncation(upright + 200, SIZE, shares)) == 1
