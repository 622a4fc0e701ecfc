"""Bodies as the points that a view of them needs, without their meshes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hierprob3d.model.body.keypoint_body import KeypointBody
from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.body.skeleton import COCO_LANDMARKS, NUM_JOINTS, NUM_KEYPOINTS, NUM_LANDMARKS

LANDMARK_VERTICES = {
    1: 3508, 3: 3503, 4: 8, 6: 3, 9: 6186, 10: 2799, 17: 4652, 18: 1229, 19: 4660, 20: 1227,
    21: 4685, 22: 1530, 29: 6647, 30: 3262, 31: 6358, 32: 2982,
}  # fmt: skip
"""OpenBody's vertex of each landmark that is no COCO keypoint: on 185 rendered people those lay
nearest to where BlazePose put the landmark, 3 to 5 px of the 256 crop away in the mean."""

_NUM_OUTLINE = 119
"""Vertices far from one another, which a box around the body is taken of: it lacks 1 %."""


class BodyPoints(NamedTuple):
    """Points of B bodies, metres."""

    joints: Tensor
    """(B, 24, 3) SMPL joints."""
    keypoints: Tensor
    """(B, 17, 3) COCO keypoints."""
    landmarks: Tensor
    """(B, 33, 3) where BlazePose would have its landmarks."""
    outline: Tensor
    """(B, 119, 3) some vertices."""

    @classmethod
    def split(cls, points: Tensor) -> BodyPoints:
        """Of `joined` (B, 193, 3)."""
        sizes = [NUM_JOINTS, NUM_KEYPOINTS, NUM_LANDMARKS, _NUM_OUTLINE]
        return cls(*points.split(sizes, dim=1))

    def joined(self) -> Tensor:
        """(B, 193, 3) all points."""
        return torch.cat(list(self), dim=1)


class PointBody:
    """A body reduced to `BodyPoints`.

    Args:
        body: OpenBody, whose vertices are known.

    Raises:
        ValueError: it is another body.
    """

    def __init__(self, body: Body) -> None:
        if body.family != "openbody" or body.coco_regressor is None or body.vertex_parts is None:
            raise ValueError(
                f"where landmarks lie is known of OpenBody only, not of '{body.family}': train the "
                "lift with body_model=open"
            )
        outline = _far_apart(body.v_template, _NUM_OUTLINE)
        self.outline_parts = torch.as_tensor(body.vertex_parts)[outline]
        """(119,) DensePose part of each vertex of the outline."""
        rows = body.v_template.new_zeros(NUM_LANDMARKS + _NUM_OUTLINE, body.num_vertices)
        for landmark, vertex in LANDMARK_VERTICES.items():
            rows[landmark, vertex] = 1
        rows[list(COCO_LANDMARKS)] = body.coco_regressor
        rows[range(NUM_LANDMARKS, len(rows)), outline] = 1
        self._points = KeypointBody(body, torch.cat([body.coco_regressor, rows]))

    def points(self, betas: Tensor, rotmats: Tensor) -> BodyPoints:
        """Of bodies with betas (B, 10) and rotations (B, 24, 3, 3), the pelvis first."""
        posed = self._points.pose(betas, rotmats)
        return BodyPoints.split(torch.cat([posed.joints, posed.points], dim=1))


def _far_apart(places: Tensor, num: int) -> Tensor:
    """Indices (num,) of points (N, 3), each as far as may be from those before it."""
    chosen = [0]
    distance = (places - places[0]).norm(dim=-1)
    while len(chosen) < num:
        chosen.append(int(distance.argmax()))
        distance = torch.minimum(distance, (places - places[chosen[-1]]).norm(dim=-1))
    return torch.tensor(chosen)
