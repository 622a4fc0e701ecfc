from __future__ import annotations

import pytest
import torch

from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.body.skeleton import COCO_LANDMARKS
from hierprob3d.model.picture.cameras import half_turn_x
from hierprob3d.training.lift.hidden_points import hidden_by_body
from hierprob3d.training.lift.lift_people import LiftPeople
from hierprob3d.training.lift.point_body import PointBody
from hierprob3d.training.random.draws import Draws


def test_points_are_those_of_the_mesh(open_body: Body) -> None:
    generator = torch.Generator().manual_seed(0)
    betas = torch.randn(2, 10, generator=generator)
    rotmats = torch.linalg.qr(torch.randn(2, 24, 3, 3, generator=generator))[0]
    rotmats = rotmats * torch.det(rotmats)[..., None, None]
    points = PointBody(open_body).points(betas, rotmats)
    vertices, joints = open_body(betas, rotmats[:, 1:], rotmats[:, 0])
    torch.testing.assert_close(points.joints, joints, atol=1e-4, rtol=0)
    keypoints = open_body.coco_joints(vertices, joints)
    torch.testing.assert_close(points.keypoints, keypoints, atol=1e-4, rtol=0)
    torch.testing.assert_close(points.landmarks[:, 31], vertices[:, 6358], atol=1e-4, rtol=0)
    coco = points.landmarks[:, list(COCO_LANDMARKS)]
    torch.testing.assert_close(coco, points.keypoints)
    low, high = points.outline.amin(1), points.outline.amax(1)
    assert ((vertices.amax(1) - high) < 0.1).all() and ((low - vertices.amin(1)) < 0.1).all()


def test_other_bodies_are_refused(open_body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_body, "family", "smpl")
    with pytest.raises(ValueError, match="body_model=open"):
        PointBody(open_body)


def test_each_showing_is_another_view_of_a_true_body(people: LiftPeople, open_body: Body) -> None:
    draws = Draws(torch.Generator().manual_seed(1))
    views, others = people.views.see(draws, 32), people.views.see(draws, 32)
    assert not torch.equal(views.rotmats[:, 0], others.rotmats[:, 0])
    vertices, joints = open_body(views.betas, views.rotmats[:, 1:], views.rotmats[:, 0])
    keypoints = half_turn_x(open_body.coco_joints(vertices, joints))[..., :2]
    # What is seen is the body under a camera with little perspective.
    flat = keypoints - keypoints.mean(1, keepdim=True)
    seen = views.keypoints - views.keypoints.mean(1, keepdim=True)
    scale = (flat * seen).sum((1, 2)) / flat.square().sum((1, 2))
    off = (seen - scale[:, None, None] * flat).norm(dim=-1) / scale[:, None]
    assert off.mean() < 0.06  # metres
    inside = views.keypoints[~views.outside]
    assert (inside[:, 0] >= 32).all() and (inside[:, 0] <= 224).all()
    assert not (views.hidden & views.outside).any()


def test_an_arm_behind_the_back_is_hidden_and_one_before_it_is_not() -> None:
    joints, keypoints = torch.zeros(2, 24, 3), torch.zeros(2, 17, 3)
    joints[:, 12, 1], joints[:, 1:3, 0] = -0.5, torch.tensor([0.1, -0.1])
    joints[:, 16:18, :2] = torch.tensor([[0.2, -0.45], [-0.2, -0.45]])
    keypoints[:, :5, 1] = -0.7
    keypoints[:, 9, 1] = -0.25  # left wrist at the middle of the trunk
    joints[0, 18:, 2], joints[1, 18:, 2] = 0.4, -0.4
    keypoints[0, 9, 2], keypoints[1, 9, 2] = 0.4, -0.4
    hidden = hidden_by_body(joints, keypoints, 0.12)
    assert hidden[0, 9] and not hidden[1, 9]
