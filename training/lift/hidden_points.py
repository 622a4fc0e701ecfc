"""Which keypoints a body hides from the camera, or something before it, without any picture."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from hierprob3d.configs.synthetic_people import SynthesisConfig
from hierprob3d.model.body.skeleton import SMPL_JOINT_NAMES
from hierprob3d.model.picture.proxy import PROXY_SIZE
from hierprob3d.training.random.draws import Draws

_LIMBS = {
    ("pelvis", "neck"): 0.11, ("left_shoulder", "left_hip"): 0.095,
    ("right_shoulder", "right_hip"): 0.095, ("left_hip", "right_hip"): 0.13,
    ("left_shoulder", "left_elbow"): 0.05, ("right_shoulder", "right_elbow"): 0.05,
    ("left_elbow", "left_wrist"): 0.04, ("right_elbow", "right_wrist"): 0.04,
    ("left_wrist", "left_hand"): 0.045, ("right_wrist", "right_hand"): 0.045,
    ("left_hip", "left_knee"): 0.08, ("right_hip", "right_knee"): 0.08,
    ("left_knee", "left_ankle"): 0.055, ("right_knee", "right_ankle"): 0.055,
    ("left_ankle", "left_foot"): 0.045, ("right_ankle", "right_foot"): 0.045,
    ("neck", "head"): 0.07,
}  # fmt: skip
"""Capsules that stand for the body: joints at their ends, and radius in metres."""
_HEAD_RADIUS = 0.085
_EARS = (3, 4)
_ENDS = torch.tensor([[SMPL_JOINT_NAMES.index(name) for name in ends] for ends in _LIMBS])
_RADII = torch.tensor([*_LIMBS.values(), _HEAD_RADIUS])


class PointMasks(NamedTuple):
    """Points (B, K) that are not seen, and why."""

    outside: Tensor
    """Outside the picture."""
    covered: Tensor
    """Behind an object."""


def hidden_by_body(joints: Tensor, keypoints: Tensor, depth: float) -> Tensor:
    """(B, 17) bool keypoints more than `depth` metres behind the surface of the body's capsules.

    Args:
        joints: (B, 24, 3) x, y on the screen, z away from the camera, all in metres.
        keypoints: (B, 17, 3) likewise, of COCO.
        depth: as `SynthesisConfig.hidden_depth`.
    """
    ears = keypoints[:, list(_EARS)].mean(1, keepdim=True)
    face = ears + (keypoints[:, :1] - ears) * 0.25
    start = torch.cat([joints[:, _ENDS[:, 0]], ears], 1)
    along = torch.cat([joints[:, _ENDS[:, 1]], face], 1) - start  # (B, C, 3)
    to_point = keypoints[:, :, None, :2] - start[:, None, :, :2]  # (B, 17, C, 2)
    length = along[..., :2].square().sum(-1).clamp_min(1e-6)
    share = ((to_point * along[:, None, :, :2]).sum(-1) / length[:, None]).clamp(0, 1)
    nearest = start[:, None] + share[..., None] * along[:, None]
    off_axis = (keypoints[:, :, None, :2] - nearest[..., :2]).square().sum(-1)
    height = _RADII.to(keypoints).square() - off_axis
    surface = nearest[..., 2] - height.clamp_min(0).sqrt()
    surface = surface.where(height > 0, surface.new_tensor(torch.inf)).amin(-1)
    return keypoints[..., 2] > surface + depth


def masks_at(points: Tensor, draws: Draws, config: SynthesisConfig) -> PointMasks:
    """What frames and objects drawn as for pictures hide of points (B, K, 2), px of the crop."""
    return PointMasks(_outside(points, draws, config), _covered(points, draws, config))


def _outside(points: Tensor, draws: Draws, config: SynthesisConfig) -> Tensor:
    """Beside the crop's content, or beyond a frame that ends within it, on any side."""
    num = len(points)
    x, y = points.unbind(-1)
    margin = round(PROXY_SIZE * (1 - config.box_aspect) / 2)
    is_cut = draws.chance(config.truncation_probability, num)
    side = draws.choice((0.55, 0.05, 0.2, 0.2), num)[:, None]
    share = torch.where(
        side[:, 0] < 2, draws.uniform(0.02, 0.45, num), draws.uniform(0.02, 0.35, num)
    )
    depth = (share * is_cut * PROXY_SIZE)[:, None]
    beyond = [y > PROXY_SIZE - depth, y < depth, x < depth, x > PROXY_SIZE - depth]
    cut = torch.stack(beyond).gather(0, side.expand_as(x)[None])[0] & (depth > 0)
    return cut | (x < margin) | (x > PROXY_SIZE - margin) | (y < 0) | (y > PROXY_SIZE)


def _covered(points: Tensor, draws: Draws, config: SynthesisConfig) -> Tensor:
    """Behind one or two turned boxes or ellipses."""
    shape = len(points), 2, 1
    there = draws.chance(config.occluder_probability, len(points), 1, 1).repeat(1, 2, 1)
    there[:, 1:] &= draws.chance(0.5, len(points), 1, 1)
    place = draws.uniform(1 / 6, 5 / 6, *shape, 2) * PROXY_SIZE
    width, height = draws.uniform(0.04, 0.18, *shape, 2).unbind(-1)
    angle = draws.uniform(0, math.pi, *shape)
    right, down = (points[:, None] - place).unbind(-1)  # (B, 2, K)
    along = (angle.cos() * right + angle.sin() * down) / (width * PROXY_SIZE)
    across = (angle.cos() * down - angle.sin() * right) / (height * PROXY_SIZE)
    in_ellipse = along.square() + across.square() <= 1
    in_box = torch.maximum(along.abs(), across.abs()) <= 1
    return (torch.where(draws.chance(0.5, *shape), in_ellipse, in_box) & there).any(1)
