from __future__ import annotations

import torch

from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.picture.rasterizer import interpolate, rasterize
from hierprob3d.training.look.surface import SurfacePixels, VertexNormals


def test_pixels_carry_what_the_rasterizer_interpolates() -> None:
    body = load_body("open")
    screen = body.v_template * torch.tensor([40.0, -40.0, -40.0]) + torch.tensor([48.0, 40.0, 99])
    fragments = rasterize(screen[None].repeat(2, 1, 1), body.faces, 96, 96)
    pixels = SurfacePixels.of(fragments, body.faces)
    expected = interpolate(fragments, body.faces, body.v_template[None])[fragments.mask]
    assert len(expected) > 1000
    torch.testing.assert_close(pixels.interpolate(body.v_template), expected)
    each = torch.stack([body.v_template, 2 * body.v_template])
    factor = 1.0 + pixels.person[:, None]
    torch.testing.assert_close(pixels.interpolate(each), factor * expected)


def test_normals_of_an_octahedron_point_from_its_middle() -> None:
    vertices = torch.cat([torch.eye(3), -torch.eye(3)])
    corners = [(x, y, z) for x in (0, 3) for y in (1, 4) for z in (2, 5)]
    outwards = [c if sum(i >= 3 for i in c) % 2 == 0 else c[::-1] for c in corners]
    faces = torch.tensor(outwards)
    normals = VertexNormals(faces, 6)(torch.stack([vertices, 3 * vertices]))
    torch.testing.assert_close(normals, vertices.expand(2, -1, -1))


def test_normals_sum_over_all_faces_of_a_body() -> None:
    body = load_body("open")
    vertices = body.v_template[None]
    a, b, c = vertices[:, body.faces].unbind(2)
    expected = torch.zeros_like(vertices)
    for corner in range(3):
        expected.index_add_(1, body.faces[:, corner], torch.linalg.cross(b - a, c - a))
    expected = torch.nn.functional.normalize(expected, dim=-1)
    normals = VertexNormals(body.faces, body.num_vertices)(vertices)
    torch.testing.assert_close(normals, expected, atol=1e-4, rtol=0)
