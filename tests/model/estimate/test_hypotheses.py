"""Estimates and draws in one batch are the bodies that each of them is alone."""

from __future__ import annotations

import pytest
import torch

from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.estimate.body_samples import BodyParameters, Samples, pose_bodies
from hierprob3d.model.estimate.hypotheses import before_draws, compared_points
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat


@pytest.fixture(scope="module")
def draws() -> Samples:
    """Three draws of each of two people."""
    generator = torch.Generator().manual_seed(0)
    rotmats = rotvec_to_rotmat(0.3 * torch.randn(2, 3, 24, 3, generator=generator))
    return Samples(rotmats[:, :, 1:], torch.randn(2, 3, 10, generator=generator), rotmats[:, :, 0])


def test_the_estimate_comes_before_as_many_draws_as_asked_for(draws: Samples) -> None:
    pose, betas, global_rotmat = (values[:, 2] for values in draws)
    estimate = BodyParameters(pose, betas, global_rotmat, camera=torch.ones(2, 3))
    for bodies, expected in (
        (before_draws(estimate, draws), [2, 0, 1, 2]),
        (before_draws(estimate, draws, 1), [2, 0]),
    ):
        for found, drawn in zip(bodies, draws, strict=True):
            assert torch.equal(found, drawn[:, expected])


def test_every_body_has_its_own_pose_and_shape(body: Body, draws: Samples) -> None:
    posed = pose_bodies(draws, body)
    for person, number in ((0, 2), (1, 0)):
        pose, betas, global_rotmat = (values[person, number, None] for values in draws)
        vertices, joints = body(betas, pose, global_rotmat)
        torch.testing.assert_close(posed.vertices[person, number, None], vertices)
        torch.testing.assert_close(posed.joints[person, number, None], joints)
        reposed = body.shape(betas).vertices
        torch.testing.assert_close(posed.reposed[person, number, None], reposed)


def test_points_are_of_the_bodies_frame_or_from_the_pelvis(body: Body, draws: Samples) -> None:
    posed = pose_bodies(draws, body)
    points = compared_points(posed, body)
    assert points.vertices is posed.vertices and points.joints.shape == (2, 3, 14, 3)
    moved = compared_points(posed, body, from_pelvis=True)
    pelvis = body.h36m_joints(posed.vertices)[..., :1, :]
    for name in ("vertices", "joints"):
        torch.testing.assert_close(getattr(moved, name), getattr(points, name) - pelvis)
    assert moved.reposed is posed.reposed  # the T-pose has no place in the picture
    assert compared_points(posed, body, with_joints=False).joints.shape == (2, 3, 0, 3)
