"""24 DensePose-like body parts per vertex and per face.

Numbers and sides are DensePose's: torso 1 back, 2 front; hands 3 right, 4 left; feet 5 left,
6 right; thighs 7, 8 back and 9, 10 front; shins 11, 12 back and 13, 14 front; upper arms 15, 16
inner and 17, 18 outer; forearms 19, 20 inner and 21, 22 outer; head 23 right, 24 left. Legs have
the right side first, arms the left. The borders between the parts are our own.
"""

from __future__ import annotations

import numpy as np

from hierprob3d.model.body.skeleton import SMPL_JOINT_NAMES
from tools.build_openbody.rig import MIRROR

_TORSO_SLICE = 0.03
_TRUNK = (
    ("torso", ("pelvis", "spine1", "spine2", "spine3", "left_collar", "right_collar")),
    ("head", ("neck", "head")),
)
_LIMBS = (
    ("hand", ("left_wrist", "left_hand")), ("foot", ("left_ankle", "left_foot")),
    ("thigh", ("left_hip",)), ("shin", ("left_knee",)), ("upper_arm", ("left_shoulder",)),
    ("forearm", ("left_elbow",)),
)  # fmt: skip
_ENDS = {"hand": (4, 3), "foot": (5, 6)}
_LEG_BONES = {"thigh": ("left_hip", "left_knee", 7), "shin": ("left_knee", "left_ankle", 11)}
_ARM_BONES = {
    "upper_arm": ("left_shoulder", "left_elbow", 15), "forearm": ("left_elbow", "left_wrist", 19)
}  # fmt: skip


def body_parts(
    vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray, faces: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Part of each vertex (V,) and of each face (F,), uint8 1..24, of a body in T-pose."""
    regions = [(name, 0, _numbers(of)) for name, of in _TRUNK]
    for name, of in _LIMBS:
        left = _numbers(of)
        regions += [(name, 0, left), (name, 1, [MIRROR[j] for j in left])]
    held = np.stack([weights[:, of].sum(1) for _, _, of in regions])
    region = held.argmax(0)
    parts = np.zeros(len(vertices), np.uint8)
    for i, (name, right, _) in enumerate(regions):
        inside = region == i
        parts[inside] = _part(name, right, vertices[inside], joints)
    return parts, _majority(parts[faces])


def _part(name: str, right: int, points: np.ndarray, joints: np.ndarray) -> np.ndarray | int:
    """Parts of the points (P, 3) of one region."""
    if name == "torso":
        return 1 + (points[:, 2] > _torso_middle(points))
    if name == "head":
        return np.where(points[:, 0] > 0, 24, 23)
    if name in _ENDS:
        return _ENDS[name][right]
    bones = _LEG_BONES if name in _LEG_BONES else _ARM_BONES
    start, end, first = bones[name]
    ends = [MIRROR[j] if right else j for j in _numbers((start, end))]
    outwards = points - _on_bone(points, joints[ends[0]], joints[ends[1]])
    if name in _LEG_BONES:
        return first + (1 - right) + 2 * (outwards[:, 2] > 0)
    return first + right + 2 * (outwards @ np.array([0, 1, -1]) > 0)


def _torso_middle(points: np.ndarray) -> np.ndarray:
    """Depth half-way between front and back at each point's height."""
    levels, level = np.unique(np.round(points[:, 1] / _TORSO_SLICE), return_inverse=True)
    depths = [points[level == i, 2] for i in range(len(levels))]
    return np.array([(depth.max() + depth.min()) / 2 for depth in depths])[level]


def _on_bone(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The nearest place on the segment for each point (P, 3)."""
    bone = end - start
    share = np.clip((points - start) @ bone / (bone**2).sum(), 0, 1)
    return start + share[:, None] * bone


def _majority(corners: np.ndarray) -> np.ndarray:
    """The part that two corners of a face (F, 3) share, else that of the first."""
    low, middle, high = np.sort(corners, axis=1).T
    return np.where(low == middle, low, np.where(middle == high, middle, corners[:, 0]))


def _numbers(names: tuple[str, ...]) -> list[int]:
    return [SMPL_JOINT_NAMES.index(name) for name in names]
