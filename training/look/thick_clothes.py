"""Thick clothes and hair: surfaces that pictures show instead of the body beneath them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from hierprob3d.model.body.mesh_body import Body, ShapedBody
from hierprob3d.training.random.draws import Draws

from .surface import VertexNormals

GARMENTS = {"jacket": (1, 2, *range(15, 23)), "trousers": tuple(range(7, 15)), "hair": (23, 24)}
"""DensePose parts 1..24 that each covers: trunk and arms, legs, head."""

_NUM_PARTS = 25
"""With 0, which is none."""

_SHARES = (1.0, 0.6, 1.2)
"""Thickness of each garment where the thickest jacket is 1."""

_HAIR_GROWS = (0.0, 1.0, -1.0)
"""Towards the crown and the back of the head; the face is free."""


class ThickClothes:
    """A jacket, trousers and hair that stand off the skin along its normals in T-pose.

    Added before posing, they move with the body. Their hems are steps, as those of clothes are.

    Args:
        body: the body model.
        vertex_parts: (V,) DensePose part 1..24.
        thickness: of the thickest jacket, metres.
    """

    def __init__(self, body: Body, vertex_parts: Tensor, thickness: float) -> None:
        normals = VertexNormals(body.faces, body.num_vertices)(body.v_template[None])[0]
        self._covers = normals.new_zeros(_NUM_PARTS, len(GARMENTS))
        for garment, parts in enumerate(GARMENTS.values()):
            self._covers[list(parts), garment] = 1
        cover = self._covers[vertex_parts.long()].T * _grown(normals)  # (3, V)
        self._garments = normals * cover[..., None]  # (3, V, 3)
        self._thickest = thickness * normals.new_tensor(_SHARES)

    def draw(self, draws: Draws, num: int) -> Tensor:
        """(num, 3) metres of jacket, trousers and hair; thin ones are the most frequent."""
        return self._thickest * draws.uniform(0, 1, num, 3) ** 2

    def at_parts(self, parts: Tensor, thickness: Tensor) -> Tensor:
        """Thickness (B, N) of what covers parts (B, N) of B people, from that of `draw` (B, 3)."""
        return torch.einsum("bng,bg->bn", self._covers[parts], thickness)

    def worn(self, shaped: ShapedBody, thickness: Tensor) -> ShapedBody:
        """B bodies whose surface is that of their clothes; their joints stay.

        Args:
            shaped: bodies in T-pose.
            thickness: (B, 3) from `draw`.
        """
        stand_off = torch.einsum("bg,gvc->bvc", thickness, self._garments)
        return replace(shaped, vertices=shaped.vertices + stand_off)


def _grown(normals: Tensor) -> Tensor:
    """(3, V) share 0..1 of each garment's thickness at normals (V, 3): hair spares the face."""
    towards = normals @ normalize(normals.new_tensor(_HAIR_GROWS), dim=0)
    full = torch.ones_like(towards)
    return torch.stack([full, full, (towards + 0.3).clamp(0, 1)])
