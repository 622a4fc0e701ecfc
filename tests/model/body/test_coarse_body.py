"""Fewer vertices, the same poses: places are those of the whole body, and the skin is closed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hierprob3d.model.body.coarse_body import coarse_body, evenly_spread, quantised
from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat


@pytest.fixture(scope="module")
def coarse(body: Body) -> Body:
    return coarse_body(body, 600)


def test_vertices_are_some_of_the_whole_body_in_every_pose(body: Body, coarse: Body) -> None:
    generator = torch.Generator().manual_seed(1)
    betas = torch.randn(2, 10, generator=generator)
    pose = rotvec_to_rotmat(0.4 * torch.randn(2, 23, 3, generator=generator))
    turn = rotvec_to_rotmat(torch.randn(2, 3, generator=generator))
    whole, joints = body(betas, pose, turn)
    some, same_joints = coarse(betas, pose, turn)
    chosen = evenly_spread(body.v_template.numpy(), 600)
    torch.testing.assert_close(some, whole[:, chosen], atol=1e-5, rtol=0)
    torch.testing.assert_close(same_joints, joints)
    assert body.num_vertices == len(body.v_template) == 6880 and coarse.num_vertices == 600


def test_the_skin_is_closed_and_looks_outwards(coarse: Body) -> None:
    faces, vertices = coarse.faces.numpy(), coarse.v_template.numpy()
    assert len(np.unique(faces)) > 0.98 * 600, "hardly a vertex is left out"
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    _, counts = np.unique(np.sort(edges, axis=1), axis=0, return_counts=True)
    assert (counts == 2).mean() > 0.97
    a, b, c = vertices[faces].transpose(1, 0, 2)
    volume = (a * np.cross(b, c)).sum() / 6
    assert 0.04 < volume < 0.09, "cubic metres; negative where faces look inwards"


def test_as_many_as_there_are_is_the_body_itself(body: Body) -> None:
    assert coarse_body(body, 6880) is body


def test_places_in_steps() -> None:
    steps = quantised(torch.tensor([[0.1, -0.0502, 99.0]]), 0.001)
    assert steps.dtype == np.int16 and steps.tolist() == [[100, -50, 32767]]
