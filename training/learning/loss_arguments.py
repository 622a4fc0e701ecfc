"""What predicted and true parameters imply: the arguments of the loss."""

from __future__ import annotations

import torch
from torch import Tensor

from hierprob3d.model.network.distribution_net import NetOutput
from hierprob3d.model.picture.cameras import (
    half_turn_x,
    pixels_to_normalised,
    project_weak_perspective,
)
from hierprob3d.model.picture.proxy import PROXY_SIZE
from hierprob3d.model.rotation.matrix_fisher import MatrixFisher
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.training.people.rendered_people import RenderedSet

from .losses import Prediction, Target
from .sparse_body import SparseBody


def predicted(
    output: NetOutput,
    body: SparseBody,
    num_samples: int,
    generator: torch.Generator,
    mode_keypoints: bool = True,
) -> Prediction:
    """Bodies of the mode and, for the keypoint loss, of `num_samples` draws beside it.

    All have the mode's global rotation, also where that has a distribution: the keypoint loss
    reaches the pose through the draws, and the global rotation through the mode.

    Args:
        output: of the network.
        body: with the vertices that the loss needs.
        num_samples: draws per person.
        generator: of the draws.
        mode_keypoints: False leaves the mode out of the keypoints where there are draws.
    """
    pose_svd = (output.pose_U, output.pose_S, output.pose_V)
    points = body(output.shape_mean[:, None], output.pose_mode[:, None], output.global_rotmat)
    keypoints = points.keypoints
    if num_samples:
        draws = MatrixFisher(output.pose_F, pose_svd).rsample((num_samples,), generator)
        noise = torch.randn(
            len(draws[0]), num_samples, output.shape_mean.shape[-1], generator=generator,
            device=draws.device,
        )  # fmt: skip
        betas = output.shape_mean[:, None] + noise * output.shape_std[:, None]
        drawn = body.keypoints(betas, draws.transpose(0, 1), output.global_rotmat)
        keypoints = torch.cat([keypoints, drawn], dim=1) if mode_keypoints else drawn
    joints2d = project_weak_perspective(half_turn_x(keypoints), output.camera[:, None])
    return Prediction(
        pose_F=output.pose_F,
        shape_mean=output.shape_mean,
        shape_std=output.shape_std,
        global_rotmat=output.global_rotmat,
        joints2d=joints2d,
        joints3d=points.joints[:, 0],
        vertices=points.vertices[:, 0],
        global_F=output.global_F,
        pose_svd=pose_svd,
    )


@torch.no_grad()
def true(people: RenderedSet, visible: Tensor, body: SparseBody) -> Target:
    """The truth behind rendered people; keypoints marked `visible` (B, 17) count."""
    rotmats = rotvec_to_rotmat(people.rotvecs)
    points = body(people.betas[:, None], rotmats[:, None, 1:], rotmats[:, 0])
    return Target(
        pose_rotmats=rotmats[:, 1:],
        betas=people.betas,
        global_rotmat=rotmats[:, 0],
        joints2d=pixels_to_normalised(people.joints2d, PROXY_SIZE),
        visible=visible,
        joints3d=points.joints[:, 0],
        vertices=points.vertices[:, 0],
    )
