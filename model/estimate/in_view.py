"""How much of a person a picture shows: joints in sight, and the part of the body left outside."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from hierprob3d.model.body.skeleton import COCO_KEYPOINT_NAMES, SMPL_JOINT_NAMES

_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
_HIPS, _SHOULDERS = ("left_hip", "right_hip"), ("left_shoulder", "right_shoulder")
_TRUNK = (*_HIPS, *_SHOULDERS)
_NEAR = {
    "pelvis": _HIPS, "spine1": _TRUNK, "spine2": _TRUNK, "spine3": _TRUNK, "neck": _SHOULDERS,
    "head": _FACE, "foot": ("ankle",), "collar": ("shoulder",), "hand": ("wrist",),
}  # fmt: skip
"""Keypoints next to a joint; of one side those of the joint's own, and none needs saying where a
keypoint has the joint's name."""


def _keypoints_near(joint: str) -> tuple[str, ...]:
    if joint in _NEAR:
        return _NEAR[joint]
    side, part = joint.split("_")
    return tuple(f"{side}_{name}" for name in _NEAR.get(part, (part,)))


_IS_NEAR = torch.tensor(
    [[name in _keypoints_near(joint) for name in COCO_KEYPOINT_NAMES] for joint in SMPL_JOINT_NAMES]
)
"""(24, 17) which keypoints tell whether a joint is in sight."""


def joint_visibility(
    confidences: Float[Tensor, "P 17"],
    joints2d: Float[Tensor, "P 24 2"],
    image_size: Num[Tensor, "P 2"],
) -> Float[Tensor, "P 24"]:
    """How surely each SMPL joint is in sight, 0 to 1.

    The highest confidence among the keypoints at the joint or next to it; 0 where the joint of the
    mode lies outside the picture.

    Args:
        confidences: (P, 17) of the keypoints found.
        joints2d: (P, 24, 2) joints of the mode, px of the picture.
        image_size: (P, 2) width and height, px.

    Returns:
        (P, 24).
    """
    near = _IS_NEAR.to(confidences.device)
    highest = confidences[:, None].masked_fill(~near, 0).amax(-1).clamp(0, 1)
    return highest * is_inside(joints2d, image_size)


def truncation(
    vertices2d: Float[Tensor, "P V 2"], image_size: Num[Tensor, "P 2"], shares: Float[Tensor, " V"]
) -> Float[Tensor, " P"]:
    """Share (P,) of the body's surface outside the picture.

    Args:
        vertices2d: (P, V, 2) mesh of the mode, px of the picture.
        image_size: (P, 2) width and height, px.
        shares: (V,) see `surface_shares`.
    """
    return ((~is_inside(vertices2d, image_size)) * shares).sum(-1).clamp(0, 1)


def is_inside(
    points: Float[Tensor, "P N 2"], image_size: Num[Tensor, "P 2"]
) -> Bool[Tensor, "P N"]:
    """(P, N) whether points (P, N, 2) lie in pictures of width and height (P, 2)."""
    return ((points >= 0) & (points <= image_size[:, None])).all(-1)


def surface_shares(
    vertices: Float[Tensor, "V 3"], faces: Int[Tensor, "F 3"]
) -> Float[Tensor, " V"]:
    """Share (V,) of a mesh's surface that belongs to each vertex: a third of the faces around it.

    Args:
        vertices: (V, 3).
        faces: (F, 3) vertex numbers.
    """
    a, b, c = vertices[faces].unbind(1)
    areas = torch.linalg.cross(b - a, c - a).norm(dim=-1)
    shares = torch.zeros_like(vertices[:, 0])
    for corner in range(3):
        shares.index_add_(0, faces[:, corner], areas)
    return shares / shares.sum()
