"""What pytorch3d's rasterizer does by its documentation, pixel by pixel, where it is not installed.

NDC has x to the left and y up, -1..1 across the shorter side; what lies at a negative depth is left
out; faces that are clockwise in these coordinates face the viewer.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor


class Meshes:
    """Vertices (B, V, 3) and faces (B, F, 3) of a batch."""

    def __init__(self, verts: Tensor, faces: Tensor) -> None:
        self.verts, self.faces = verts, faces


def rasterize_meshes(
    meshes: Meshes, image_size: Any, *, blur_radius: float, faces_per_pixel: int, bin_size: int,
    perspective_correct: bool, cull_backfaces: bool,
) -> tuple[Tensor, Tensor, Tensor, None]:  # fmt: skip
    """Face, depth and barycentrics of each pixel, -1 where nothing is."""
    assert not (blur_radius or bin_size or perspective_correct) and faces_per_pixel == 1
    height, width = image_size if isinstance(image_size, tuple) else (image_size, image_size)
    short, num_faces = min(height, width), meshes.faces.shape[1]
    size = (len(meshes.verts), height, width, 1)
    ids, depth, weights = torch.full(size, -1), torch.full(size, -1.0), torch.full((*size, 3), -1.0)
    for picture, row, column in torch.cartesian_prod(*(torch.arange(n) for n in size[:3])).tolist():
        x, y = (width - 2 * column - 1) / short, (height - 2 * row - 1) / short
        for face, corners in enumerate(meshes.verts[picture][meshes.faces[picture]]):
            a, b, c = corners[:, :2]
            area = _cross(c - a, b - a)
            if area == 0 or (cull_backfaces and area < 0):
                continue
            p = torch.tensor([x, y])
            sides = ((b, c), (c, a), (a, b))
            w = torch.stack([_cross(p - start, end - start) for start, end in sides]) / area
            z = float(w @ corners[:, 2])
            is_nearer = ids[picture, row, column, 0] < 0 or z < depth[picture, row, column, 0]
            if (w > 0).all() and z >= 0 and is_nearer:
                ids[picture, row, column, 0] = picture * num_faces + face
                depth[picture, row, column, 0], weights[picture, row, column, 0] = z, w
    return ids, depth, weights, None


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets `import pytorch3d` find this."""
    modules = {
        "pytorch3d": {}, "pytorch3d.renderer": {}, "pytorch3d.renderer.mesh": {},
        "pytorch3d.renderer.mesh.rasterize_meshes": {"rasterize_meshes": rasterize_meshes},
        "pytorch3d.structures": {"Meshes": Meshes},
    }  # fmt: skip
    for name, content in modules.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)


def _cross(u: Tensor, v: Tensor) -> Tensor:
    return u[0] * v[1] - u[1] * v[0]
