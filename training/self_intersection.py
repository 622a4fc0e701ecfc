"""A rough, fast measure of how deep a body's parts enter each other, from joint rotations alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from model.skeleton import PARENTS, SMPL_JOINT_NAMES

Array = NDArray[np.float64]

_OFFSETS = {
    "pelvis": (0.0, 0.0, 0.0), "left_hip": (0.06, -0.09, -0.01), "left_knee": (0.04, -0.38, 0.0),
    "left_ankle": (-0.015, -0.40, -0.035), "left_foot": (0.035, -0.06, 0.12),
    "spine1": (0.0, 0.11, -0.03), "spine2": (0.0, 0.135, 0.025), "spine3": (0.0, 0.055, 0.0),
    "neck": (0.0, 0.21, -0.035), "head": (0.0, 0.085, 0.05), "left_collar": (0.08, 0.12, -0.02),
    "left_shoulder": (0.095, 0.035, -0.01), "left_elbow": (0.255, -0.013, -0.025),
    "left_wrist": (0.25, 0.01, 0.0), "left_hand": (0.085, -0.01, -0.015),
}  # fmt: skip


def _offset(name: str) -> Array:
    """Rest offset (3,) in metres of a joint from its parent, for an average body."""
    if name.startswith("right_"):
        return np.array(_OFFSETS[name.replace("right_", "left_")]) * [-1, 1, 1]
    return np.array(_OFFSETS[name])


OFFSETS = np.stack([_offset(name) for name in SMPL_JOINT_NAMES])

# Limbs are capsules (from joint, to joint, radius): arms first, then legs.
_CAPSULES = (
    (18, 20, 0.035), (20, 22, 0.035), (19, 21, 0.035), (21, 23, 0.035),
    (1, 4, 0.065), (2, 5, 0.065), (4, 7, 0.045), (5, 8, 0.045),
)  # fmt: skip
_PAIRS = (
    *((arm, leg) for arm in range(4) for leg in range(4, 8)),
    *((left, right) for left in (0, 1) for right in (2, 3)),
    (6, 7), (4, 7), (5, 6),
)  # fmt: skip
_NUM_POINTS = 6
# The trunk is three slabs of an elliptic cylinder (joint, lowest, highest y in its frame).
_TRUNK = ((0, -0.12, 0.10), (6, -0.10, 0.06), (9, -0.02, 0.17))
_TRUNK_HALF_WIDTH, _TRUNK_HALF_DEPTH, _TRUNK_CENTRE_Z = 0.145, 0.105, 0.01
_HEAD, _HEAD_CENTRE, _HEAD_RADIUS = 15, (0.0, 0.06, 0.03), 0.13


def penetration_depth(poses: Array) -> Array:
    """Depth in metres of every checked pair of body parts, 0 where they are apart.

    Args:
        poses: (N, 24, 3) rotation vectors.

    Returns:
        (N, checks) limbs against limbs, arms against head, arms against trunk.
    """
    joints, frames = _forward_kinematics(poses)
    steps = np.linspace(0, 1, _NUM_POINTS)[:, None]
    points = [
        joints[:, a, None] * (1 - steps) + joints[:, b, None] * steps for a, b, _ in _CAPSULES
    ]
    depths = [
        _CAPSULES[a][2] + _CAPSULES[b][2] - _smallest_distance(points[a], points[b])
        for a, b in _PAIRS
    ]
    arms = np.concatenate([p[:, 1:] for p in points[:4]], axis=1)
    head = joints[:, _HEAD] + frames[_HEAD].apply(_HEAD_CENTRE)
    depths.append(_HEAD_RADIUS - np.linalg.norm(arms - head[:, None], axis=-1).min(axis=1))
    depths += [
        _depth_in_slab(arms, joints[:, joint], frames[joint], low, high)
        for joint, low, high in _TRUNK
    ]
    return np.maximum(np.stack(depths, axis=1), 0)


def _forward_kinematics(poses: Array) -> tuple[Array, list[Rotation]]:
    """Joint positions (N, 24, 3) and the world rotation of every joint."""
    frames = [Rotation.from_rotvec(poses[:, 0])]
    joints = [np.zeros((len(poses), 3))]
    for joint in range(1, len(PARENTS)):
        parent = PARENTS[joint]
        joints.append(joints[parent] + frames[parent].apply(OFFSETS[joint]))
        frames.append(frames[parent] * Rotation.from_rotvec(poses[:, joint]))
    return np.stack(joints, axis=1), frames


def _smallest_distance(a: Array, b: Array) -> Array:
    """Smallest distance (N,) between two sets of points (N, P, 3)."""
    return np.sqrt(((a[:, :, None] - b[:, None]) ** 2).sum(-1).min(axis=(1, 2)))


def _depth_in_slab(points: Array, centre: Array, frame: Rotation, low: float, high: float) -> Array:
    """Largest depth (N,) of points (N, P, 3) in one slab of the trunk."""
    num = points.shape[1]
    inverse = Rotation.from_quat(np.repeat(frame.inv().as_quat(), num, axis=0))
    local = inverse.apply((points - centre[:, None]).reshape(-1, 3)).reshape(points.shape)
    x, y, z = np.moveaxis(local, -1, 0)
    radius = np.hypot(x / _TRUNK_HALF_WIDTH, (z - _TRUNK_CENTRE_Z) / _TRUNK_HALF_DEPTH)
    inside = (y > low) & (y < high)
    return np.where(inside, (1 - radius) * 0.12, -1.0).max(axis=1)
