"""What the pixels of rasterized people lie on: one row per pixel that sees a body."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from hierprob3d.model.picture.rasterizer import Fragments


@dataclass(frozen=True)
class SurfacePixels:
    """The N pixels that see a body, in the order of the fragments' mask.

    Attributes:
        person: (N,) picture.
        row: (N,)
        column: (N,)
        face: (N,) face seen.
        corners: (N, 3) its vertices.
        weights: (N, 3) barycentric weights of these.
    """

    person: Tensor
    row: Tensor
    column: Tensor
    face: Tensor
    corners: Tensor
    weights: Tensor

    @classmethod
    def of(cls, fragments: Fragments, faces: Tensor) -> SurfacePixels:
        """Pixels of fragments rasterized with `faces` (F, 3)."""
        person, row, column = fragments.mask.nonzero(as_tuple=True)
        face = fragments.face_ids[person, row, column]
        weights = fragments.barycentrics[person, row, column]
        return cls(person, row, column, face, faces[face], weights)

    def interpolate(self, attributes: Tensor) -> Tensor:
        """(N, C) values of attributes (B, V, C) per person, or (V, C) shared by all."""
        if attributes.ndim == 2:
            return self.blend(attributes[self.corners])
        return self.blend(attributes[self.person[:, None], self.corners])

    def blend(self, values: Tensor) -> Tensor:
        """(N, C) between the values (N, 3, C) at the corners."""
        first, second, third = (self.weights[:, corner, None] for corner in range(3))
        total = values[:, 0] * first
        return total.addcmul_(values[:, 1], second).addcmul_(values[:, 2], third)


class VertexNormals:
    """Unit normals of meshes with the same faces.

    Sums over the faces around a vertex run in a fixed order, so that every device gives the same
    result each time; adding in the order in which a GPU gets there would not.

    Args:
        faces: (F, 3) of a closed mesh, counter-clockwise seen from outside.
        num_vertices: V.
    """

    def __init__(self, faces: Tensor, num_vertices: int) -> None:
        self._faces = faces
        vertex, corner = faces.flatten().sort(stable=True)
        counts = torch.bincount(vertex, minlength=num_vertices)
        first = counts.cumsum(0) - counts
        slot = torch.arange(len(vertex), device=faces.device) - first[vertex]
        around = torch.full((int(counts.max()), num_vertices), len(faces), device=faces.device)
        around[slot, vertex] = corner // 3
        self._around = around  # (most faces around a vertex, V), F where there are fewer

    def __call__(self, vertices: Tensor) -> Tensor:
        """(B, V, 3) outward unit normals of vertices (B, V, 3)."""
        a, b, c = (vertices[:, corner] for corner in self._faces.T)
        face_normals = torch.linalg.cross(b - a, c - a)
        padded = torch.nn.functional.pad(face_normals, (0, 0, 0, 1))
        total = torch.zeros_like(vertices)
        for faces in self._around:
            total += padded[:, faces]
        return normalize(total, dim=-1)
