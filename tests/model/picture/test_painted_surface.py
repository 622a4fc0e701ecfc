from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.picture.drawing import PLAIN_COLOUR, shade, vertex_normals
from hierprob3d.model.picture.painted_surface import paint_surface
from hierprob3d.model.picture.rasterizer import rasterizing_by
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat

# A square of two faces, counter-clockwise seen by the viewer, and one behind it.
SQUARE = torch.tensor([[1.0, 1, 2], [5, 1, 2], [5, 5, 2], [1, 5, 2]])
FACES = torch.tensor([[0, 2, 1], [0, 3, 2]])


@pytest.fixture(scope="module")
def posed(body: Body) -> tuple[Tensor, Tensor]:
    """Points on the screen (V, 3) and colours (V, 3) of a body that bends everywhere."""
    generator = torch.Generator().manual_seed(0)
    rotmats = rotvec_to_rotmat(0.4 * torch.randn(1, 24, 3, generator=generator))
    vertices, _ = body(torch.zeros(1, 10), rotmats[:, 1:], rotmats[:, 0])
    plain = torch.tensor(PLAIN_COLOUR).expand_as(vertices)
    colours = shade(vertex_normals(vertices, body.faces), plain)
    screen = vertices[0] * torch.tensor([110.0, -110, -1]) + torch.tensor([100.0, 130, 0])
    return screen, colours[0]


@pytest.mark.parametrize("corner", [(0, 0), (70, 90), (-40, 20)])
def test_opencv_paints_what_our_rasterizer_sees(
    body: Body, posed: tuple[Tensor, Tensor], corner: tuple[int, int]
) -> None:
    screen = posed[0] - torch.tensor([*corner, 0])
    painted, mask = paint_surface(screen, body.faces, posed[1], 240, 200)
    with rasterizing_by("torch"):
        expected, expected_mask = paint_surface(screen, body.faces, posed[1], 240, 200)
    assert expected_mask.sum() > 1000 and (mask != expected_mask).sum() <= 2
    wrong = np.abs(painted - expected).max(-1)[mask & expected_mask] > 2e-3
    assert wrong.mean() < 2e-3


def test_the_nearer_surface_is_seen_and_corners_share_their_colours() -> None:
    far = SQUARE + torch.tensor([0.0, 0, 3])
    colours = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], *[[0, 0, 1.0]] * 4])
    for faces in (torch.cat([FACES, FACES + 4]), torch.cat([FACES + 4, FACES])):
        painted, mask = paint_surface(torch.cat([SQUARE, far]), faces, colours, 6, 7)
        assert mask[1:5, 1:5].all() and mask.sum() == 16
        share = (np.arange(4) + 0.5) / 4  # of the way from the red edge down to the green one
        expected = np.stack([1 - share, share, 0 * share], -1)[:, None].repeat(4, 1)
        np.testing.assert_allclose(painted[1:5, 1:5], expected, atol=1e-5)


def test_a_flat_surface_is_painted() -> None:
    painted, mask = paint_surface(SQUARE, FACES, torch.full((4, 3), 0.5), 6, 6)
    np.testing.assert_allclose(painted[mask], 0.5, atol=1e-6)
    assert mask.sum() == 16 and (painted[~mask] == 0).all()


def test_an_unknown_painter_is_refused() -> None:
    with rasterizing_by("opengl"), pytest.raises(ValueError, match="choose from"):
        paint_surface(SQUARE, FACES, torch.ones(4, 3), 6, 6)
