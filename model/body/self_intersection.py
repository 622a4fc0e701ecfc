"""A rough, fast measure of how deep a body's parts enter each other, from joint rotations alone.

The body is an average one of capsules, slabs and a ball, so that shape does not matter and no mesh
is made. Forearms and hands are tested against head, trunk, legs and those of the other side, legs
against each other; neighbours at a joint, whose skin folds, are not.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .mesh_body import joint_transforms
from .skeleton import PARENTS, SMPL_JOINT_NAMES

_OFFSETS = {
    "pelvis": (0.0, 0.0, 0.0), "left_hip": (0.06, -0.09, -0.01), "left_knee": (0.04, -0.38, 0.0),
    "left_ankle": (-0.015, -0.40, -0.035), "left_foot": (0.035, -0.06, 0.12),
    "spine1": (0.0, 0.11, -0.03), "spine2": (0.0, 0.135, 0.025), "spine3": (0.0, 0.055, 0.0),
    "neck": (0.0, 0.21, -0.035), "head": (0.0, 0.085, 0.05), "left_collar": (0.08, 0.12, -0.02),
    "left_shoulder": (0.095, 0.035, -0.01), "left_elbow": (0.255, -0.013, -0.025),
    "left_wrist": (0.25, 0.01, 0.0), "left_hand": (0.085, -0.01, -0.015),
}  # fmt: skip


def _offset(name: str) -> tuple[float, float, float]:
    """Rest offset in metres of a joint from its parent, for an average body."""
    if name.startswith("right_"):
        x, y, z = _OFFSETS[name.replace("right_", "left_")]
        return -x, y, z
    return _OFFSETS[name]


def _rest_joints() -> Tensor:
    """(24, 3) joints of the average body in T-pose, metres from the pelvis."""
    joints: list[Tensor] = []
    for name, parent in zip(SMPL_JOINT_NAMES, PARENTS, strict=True):
        offset = torch.tensor(_offset(name), dtype=torch.float64)
        joints.append(offset if parent < 0 else joints[parent] + offset)
    return torch.stack(joints)


_REST_JOINTS = _rest_joints()

# Limbs are capsules (from joint, to joint, radius): arms first, then legs.
_CAPSULES = (
    (18, 20, 0.035), (20, 22, 0.035), (19, 21, 0.035), (21, 23, 0.035),
    (1, 4, 0.065), (2, 5, 0.065), (4, 7, 0.045), (5, 8, 0.045),
)  # fmt: skip
_STARTS, _ENDS, _RADII = (list(column) for column in zip(*_CAPSULES, strict=True))
_NUM_ARM_CAPSULES = 4
_PAIRS = (
    *((arm, leg) for arm in range(4) for leg in range(4, 8)),
    *((left, right) for left in (0, 1) for right in (2, 3)),
    (6, 7), (4, 7), (5, 6),
)  # fmt: skip
_FIRST, _SECOND = (list(column) for column in zip(*_PAIRS, strict=True))
_TOUCHING = [_RADII[a] + _RADII[b] for a, b in _PAIRS]
_NUM_POINTS = 6
# The trunk is three slabs of an elliptic cylinder (joint, lowest, highest y in its frame).
_TRUNK = ((0, -0.12, 0.10), (6, -0.10, 0.06), (9, -0.02, 0.17))
_TRUNK_HALF_WIDTH, _TRUNK_HALF_DEPTH, _TRUNK_CENTRE_Z = 0.145, 0.105, 0.01
_HEAD, _HEAD_CENTRE, _HEAD_RADIUS = 15, (0.0, 0.06, 0.03), 0.13

_AT_ONCE = 1000
"""Poses tested together: 2 kB each, twenty times over."""


def penetration_depth(pose: Float[Tensor, "N 23 3 3"]) -> Float[Tensor, "N checks"]:
    """Depth in metres of every checked pair of body parts, 0 where they are apart.

    Args:
        pose: (N, 23, 3, 3) rotation of each body joint relative to its parent.

    Returns:
        (N, checks) limbs against limbs, arms against head, arms against trunk.
    """
    upright = torch.eye(3, dtype=pose.dtype, device=pose.device).expand(1, 3, 3)
    turns, places = joint_transforms(_REST_JOINTS.to(pose)[None], pose[None], upright)
    frames, joints = turns[0], places[0]
    steps = torch.linspace(0, 1, _NUM_POINTS, dtype=pose.dtype, device=pose.device)[:, None]
    points = torch.lerp(joints[:, _STARTS, None], joints[:, _ENDS, None], steps)  # (N, 8, 6, 3)
    limbs = pose.new_tensor(_TOUCHING) - _smallest_distance(points[:, _FIRST], points[:, _SECOND])
    arms = points[:, :_NUM_ARM_CAPSULES, 1:].flatten(1, 2)
    head = joints[:, _HEAD] + frames[:, _HEAD] @ pose.new_tensor(_HEAD_CENTRE)
    in_head = _HEAD_RADIUS - (arms - head[:, None]).norm(dim=-1).amin(1)
    in_trunk = [
        _depth_in_slab(arms, joints[:, joint], frames[:, joint], low, high)
        for joint, low, high in _TRUNK
    ]
    return torch.cat([limbs, torch.stack([in_head, *in_trunk], dim=1)], dim=1).clamp(min=0)


def self_intersection(pose: Float[Tensor, "*batch 23 3 3"]) -> Float[Tensor, "*batch"]:
    """Depth (...) in metres of the deepest of the checked pairs of poses (..., 23, 3, 3)."""
    poses = pose.reshape(-1, *pose.shape[-3:])
    depths = [penetration_depth(some).amax(-1) for some in poses.split(_AT_ONCE)]
    return torch.cat(depths).reshape(pose.shape[:-3])


def _smallest_distance(a: Tensor, b: Tensor) -> Tensor:
    """Smallest distance (...) between two sets of points (..., P, 3)."""
    return (a[..., :, None, :] - b[..., None, :, :]).square().sum(-1).amin((-2, -1)).sqrt()


def _depth_in_slab(
    points: Tensor, centre: Tensor, frame: Tensor, low: float, high: float
) -> Tensor:
    """Largest depth (N,) of points (N, P, 3) in one slab of the trunk."""
    x, y, z = ((points - centre[:, None]) @ frame).unbind(-1)  # in the frame: R^T p, row by row
    radius = torch.hypot(x / _TRUNK_HALF_WIDTH, (z - _TRUNK_CENTRE_Z) / _TRUNK_HALF_DEPTH)
    inside = (y > low) & (y < high)
    return torch.where(inside, (1 - radius) * 0.12, -1.0).amax(1)
