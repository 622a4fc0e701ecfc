"""The camera that sees a body of another shape where the first one was."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from hierprob3d.model.body.mesh_body import Body, joint_transforms
from hierprob3d.model.picture.cameras import half_turn_x, project_weak_perspective

_LARGEST_CHANGE = 4.0
"""Of the scale, either way: bodies seen along their length tell little of it."""


def reshaped_camera(
    body: Body,
    pose: Float[Tensor, "B 23 3 3"],
    global_rotmat: Float[Tensor, "B 3 3"],
    before: Float[Tensor, "B 10"],
    after: Float[Tensor, "B 10"],
    camera: Float[Tensor, "B 3"],
) -> Float[Tensor, "B 3"]:
    """Weak-perspective cameras (B, 3): joints stay where they were, by least squares.

    Args:
        body: the body model.
        pose: (B, 23, 3, 3) rotations of the body joints; they stay.
        global_rotmat: (B, 3, 3), likewise.
        before: (B, 10) betas that `camera` was found with.
        after: (B, 10) betas that take their place.
        camera: (B, 3) scale, x and y shift.
    """
    old, new = (
        half_turn_x(
            joint_transforms(body.rest_joints(betas), pose[:, None], global_rotmat)[1][:, 0]
        )
        for betas in (before, after)
    )
    seen = project_weak_perspective(old, camera)
    middle, seen_middle = new[..., :2].mean(1), seen.mean(1)
    spread, seen_spread = new[..., :2] - middle[:, None], seen - seen_middle[:, None]
    scale = (spread * seen_spread).sum((1, 2)) / spread.square().sum((1, 2)).clamp_min(1e-6)
    scale = torch.minimum(
        torch.maximum(scale, camera[:, 0] / _LARGEST_CHANGE), camera[:, 0] * _LARGEST_CHANGE
    )
    return torch.cat([scale[:, None], seen_middle / scale[:, None] - middle], dim=1)
