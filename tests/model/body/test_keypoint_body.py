"""Keypoints without the mesh: those of the mesh, and derivatives checked by autograd in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hierprob3d.model.body.keypoint_body import NUM_TURNS, KeypointBody, turn_derivatives
from hierprob3d.model.body.mesh_body import Body, load_body
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat


@pytest.fixture(scope="module", params=["regressor", "joints and vertices"])
def body64(request: pytest.FixtureRequest) -> Body:
    """OpenBody with its own keypoints, and with those that SMPL has."""
    body = load_body("open").double()
    if request.param != "regressor":
        body.coco_regressor = None
    return body


def random_people(num: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    rotvec = 0.6 * torch.randn(num, 24, 3, generator=generator, dtype=torch.float64)
    betas = torch.randn(num, 10, generator=generator, dtype=torch.float64)
    return betas, rotvec_to_rotmat(rotvec)


def test_keypoints_are_those_of_the_mesh(body64: Body) -> None:
    betas, rotmats = random_people(5)
    vertices, joints = body64(betas, rotmats[:, 1:], rotmats[:, 0])
    posed = KeypointBody(body64).pose(betas, rotmats)
    torch.testing.assert_close(posed.points, body64.coco_joints(vertices, joints))
    torch.testing.assert_close(posed.joints, joints)


def test_derivatives_are_those_of_autograd(body64: Body) -> None:
    betas, rotmats = random_people(3)
    body = KeypointBody(body64)

    def points(change: Tensor) -> Tensor:
        """Summed over people: each depends on its own changes only."""
        turns = rotvec_to_rotmat(change[:, :NUM_TURNS].unflatten(-1, (24, 3)))
        return body.pose(betas + change[:, NUM_TURNS:], rotmats @ turns).points.sum(0)

    jacobian = torch.autograd.functional.jacobian(
        points, betas.new_zeros(len(betas), NUM_TURNS + 10)
    )
    derivatives = body.derivatives(body.pose(betas, rotmats))
    torch.testing.assert_close(derivatives, jacobian.permute(2, 0, 3, 1))


def test_turn_derivatives_of_the_identity_are_the_generators() -> None:
    x, y, z = turn_derivatives(torch.eye(3))
    # exp(w) turns x towards y for w along z, y towards z for w along x, z towards x for w along y.
    assert z @ torch.tensor([1.0, 0, 0]) @ torch.tensor([0, 1.0, 0]) == 1
    assert x @ torch.tensor([0, 1.0, 0]) @ torch.tensor([0, 0, 1.0]) == 1
    assert y @ torch.tensor([0, 0, 1.0]) @ torch.tensor([1.0, 0, 0]) == 1
    for generator in (x, y, z):
        torch.testing.assert_close(generator, -generator.T)
