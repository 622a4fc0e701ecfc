"""Body measurements of a shape distribution: height, three girths, weight, with their spread.

A girth is the length of a tape around the torso at one height: the perimeter of the convex hull of
the mesh's horizontal slice there, arms and head left out. The height follows the skeleton, so that
no vertex numbers are needed and every body family works: hip at the hip joints, waist at the joint
spine1, chest a quarter of the way from spine3 up to the shoulders. On the bundled bodies these are
within 1 % of the widest hip and chest and the narrowest waist of the mean shapes. They are not the
landmarks of any tailoring or ISO standard.

The weight is that of the mesh's volume, at the density of water: people with air in their lungs
just float.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from .mesh_body import Body
from .skeleton import SMPL_JOINT_NAMES

_NUM_DIRECTIONS = 72
_KG_PER_M3 = 1000.0
_TORSO = ("pelvis", "left_hip", "right_hip", "spine1", "spine2", "spine3", "left_collar",
          "right_collar")  # fmt: skip


def _joint(name: str) -> int:
    return SMPL_JOINT_NAMES.index(name)


class BodyMeasurer:
    """Measures the shapes of one body model."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.edges = _torso_edges(body)
        self._volume = _Volume(body)

    def measure(self, betas: Float[Tensor, "B 10"]) -> Float[Tensor, "B 5"]:
        """Measurements of shapes, differentiable in the betas.

        Args:
            betas: (B, 10) shape.

        Returns:
            (B, 5) metres and kilograms, in the order of MEASUREMENT_NAMES.
        """
        shaped = self.body.shape(betas)
        heights = _height(shaped.vertices)
        girths = slice_girths(shaped.vertices, self.edges, _slice_heights(shaped.joints))
        weight = _KG_PER_M3 * self._volume(betas)
        return torch.cat([heights[:, None], girths, weight[:, None]], dim=-1)

    def height_and_slope(
        self, betas: Float[Tensor, "B 10"]
    ) -> tuple[Float[Tensor, " B"], Float[Tensor, "B 10"]]:
        """Heights (B,) of shapes (B, 10), m, and their derivatives by the betas (B, 10)."""
        with torch.inference_mode(False), torch.enable_grad():
            betas = betas.detach().clone().requires_grad_()
            heights = _height(self.body.shape(betas).vertices)
            (slope,) = torch.autograd.grad(heights.sum(), betas)
        return heights.detach(), slope

    def measure_distribution(
        self, shape_mean: Float[Tensor, "B 10"], shape_std: Float[Tensor, "B 10"]
    ) -> tuple[Float[Tensor, "B 5"], Float[Tensor, "B 5"]]:
        """Measurements of the mean shape, and their standard deviations.

        The deviation is that of the measurement linearised at the mean: the root of the sum over
        betas of (derivative x std) squared. Within about 3 % of sampling for the network's stds.

        Args:
            shape_mean: (B, 10) means of the betas.
            shape_std: (B, 10) their standard deviations, independent of each other.

        Returns:
            Measurements (B, 5) and standard deviations (B, 5), as MEASUREMENT_NAMES.
        """
        # People do not share betas, so the gradient of a sum over people holds each one's own.
        with torch.inference_mode(False), torch.enable_grad():
            betas = shape_mean.detach().clone().requires_grad_()
            values = self.measure(betas)
            gradients = torch.stack(
                [
                    torch.autograd.grad(total, betas, retain_graph=True)[0]
                    for total in values.sum(0)
                ],
                dim=1,
            )
        variances = (gradients * shape_std[:, None]).square().sum(-1)
        return values.detach(), variances.sqrt()


def slice_girths(
    vertices: Float[Tensor, "B V 3"], edges: Int64[Tensor, "E 2"], heights: Float[Tensor, "B H"]
) -> Float[Tensor, "B H"]:
    """Perimeters of the convex hulls of horizontal slices through a mesh.

    Cauchy's formula: the perimeter is the integral over all directions of how far the slice
    reaches in that direction; 72 directions leave an error below 0.1 %.

    Args:
        vertices: (B, V, 3) metres, y up.
        edges: (E, 2) vertex numbers of the mesh edges that count.
        heights: (B, H) of the slices, metres.

    Returns:
        (B, H) metres; NaN where a slice meets no edge.
    """
    level = vertices[:, edges, 1]  # (B, E, 2)
    above = level[:, None] > heights[:, :, None, None]
    person, cut, edge = torch.nonzero(above[..., 0] != above[..., 1], as_tuple=True)
    start, end = vertices[person[:, None], edges[edge]].unbind(1)
    share = (heights[person, cut] - start[:, 1]) / (end[:, 1] - start[:, 1])
    points = (start + share[:, None] * (end - start))[:, [0, 2]]
    angles = torch.arange(_NUM_DIRECTIONS, device=points.device) * (2 * math.pi / _NUM_DIRECTIONS)
    reach = points @ torch.stack([angles.cos(), angles.sin()]).to(points)
    num_cuts = heights.shape[1]
    row = (person * num_cuts + cut)[:, None].expand_as(reach)
    empty = reach.new_full((heights.numel(), _NUM_DIRECTIONS), torch.nan)
    furthest = empty.scatter_reduce(0, row, reach, "amax", include_self=False)
    return 2 * math.pi * furthest.mean(-1).view(-1, num_cuts)


class _Volume:
    """Volumes of a body's shapes, a polynomial of third degree in the betas.

    Vertices are linear in the betas, and a closed mesh's volume is a sum of determinants of three
    of them. Summed once over the faces, that takes next to no time for a person.

    Args:
        body: the body model; its mesh is closed.
    """

    def __init__(self, body: Body) -> None:
        basis = torch.cat([body.v_template.flatten()[None], body.shapedirs])
        corners = basis.unflatten(1, (-1, 3))[:, body.faces]  # (11, F, 3 corners, 3)
        first, second, third = corners.permute(2, 3, 0, 1)  # (3, 11, F) each
        x, y, z = 0, 1, 2
        sums = torch.zeros(len(basis) ** 2, len(basis), device=basis.device)
        for a, b, c, sign in ((x, y, z, 1), (y, z, x, 1), (z, x, y, 1),
                              (x, z, y, -1), (z, y, x, -1), (y, x, z, -1)):  # fmt: skip
            pairs = first[a][:, None] * second[b]
            sums += sign * pairs.flatten(0, 1) @ third[c].mT
        self._coefficients = sums.view(len(basis), len(basis), len(basis)) / 6

    def __call__(self, betas: Tensor) -> Tensor:
        """(B,) m3 of shapes (B, 10)."""
        x = torch.cat([torch.ones_like(betas[:, :1]), betas], dim=1)
        return torch.einsum("ijk,bi,bj,bk->b", self._coefficients.to(x), x, x, x)


def _height(vertices: Tensor) -> Tensor:
    """From the lowest to the highest vertex (..., V, 3), m."""
    return vertices[..., 1].amax(-1) - vertices[..., 1].amin(-1)


def _slice_heights(joints: Tensor) -> Tensor:
    """Heights (B, 3) of chest, waist and hip slices from T-pose joints (B, 24, 3)."""
    level = joints[..., 1]
    shoulders = (level[:, _joint("left_shoulder")] + level[:, _joint("right_shoulder")]) / 2
    hips = (level[:, _joint("left_hip")] + level[:, _joint("right_hip")]) / 2
    chest = level[:, _joint("spine3")].lerp(shoulders, 0.25)
    return torch.stack([chest, level[:, _joint("spine1")], hips], dim=-1)


def _torso_edges(body: Body) -> Tensor:
    """Edges (E, 2) between vertices that follow the torso's joints more than any limb's."""
    torso = body.weights[[_joint(name) for name in _TORSO]].sum(0) > 0.5
    corners = body.faces
    edges = torch.cat([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    edges = torch.unique(edges.sort(dim=1).values, dim=0)
    return edges[torso[edges].all(dim=1)]
