"""Cameras that keep bodies of another shape where they were."""

from __future__ import annotations

import torch

from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.estimate.reshaped_camera import reshaped_camera
from hierprob3d.model.picture.cameras import half_turn_x, project_weak_perspective


def test_a_taller_body_is_seen_where_the_first_one_was() -> None:
    body = load_body("open")
    pose = torch.eye(3).expand(2, 23, 3, 3)
    upright = torch.eye(3).expand(2, 3, 3)
    before, after = torch.zeros(2, 10), torch.zeros(2, 10)
    after[1, 0] = 2.0  # a quarter of a metre taller
    camera = torch.tensor([[0.9, 0.1, -0.2]] * 2)
    found = reshaped_camera(body, pose, upright, before, after, camera)
    torch.testing.assert_close(found[0], camera[0], atol=1e-5, rtol=0)
    assert found[1, 0] < 0.9 * camera[1, 0]
    joints = [half_turn_x(body.shape(betas).joints) for betas in (before, after)]
    apart = project_weak_perspective(joints[0], camera) - project_weak_perspective(joints[1], found)
    assert apart[1].norm(dim=-1).max() < 0.05  # of a crop that is 2 wide: 6 px of 256
    assert apart[1].mean(0).abs().max() < 1e-5
