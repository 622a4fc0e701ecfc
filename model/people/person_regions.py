"""Turned squares about people, as BlazePose wants to see them, and crops of them.

The centre is the middle of the hips, and the line from there to the shoulders points up. Points are
continuous: the centre of a picture's first pixel is at (0.5, 0.5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Shaped, UInt8
from torch import Tensor
from torch.nn import functional

from hierprob3d.model.picture.pixels import resize_picture

_SCALE = 1.25
"""Enlargement. Measured: 1.0 is better for whole people, and much worse for cut ones."""

_MIN_SCORE = 0.15
"""Rough keypoints below it do not widen a region."""

_BEYOND_KEYPOINTS = 1.08
"""Hands, feet and the top of the head lie beyond wrists, ankles and eyes."""

_RADIUS_PER_TRUNK = 1.9
"""Least radius per distance from hips to shoulders: legs that are cut off count too."""

_MIN_SIDE = 8.0
_SHOULDERS, _HIPS = (5, 6), (11, 12)


@dataclass(frozen=True)
class Regions:
    """P squares of one picture, px; not a number where there is no telling.

    Attributes:
        centres: (P, 2) x, y.
        sides: (P,).
        angles: (P,) clockwise turn of the squares, radians.
    """

    centres: Tensor
    sides: Tensor
    angles: Tensor

    @classmethod
    def around_poses(cls, keypoints: Float[Tensor, "P 17 3"]) -> Regions:
        """The regions of people whose keypoints are known roughly, (P, 17, 3) x, y, score."""
        points, seen = keypoints[..., :2], keypoints[..., 2] >= _MIN_SCORE
        centres = points[:, _HIPS].mean(1)
        up = points[:, _SHOULDERS].mean(1) - centres
        reach = (points - centres[:, None]).norm(dim=-1).where(seen, 0).amax(1)
        radii = torch.maximum(_BEYOND_KEYPOINTS * reach, _RADIUS_PER_TRUNK * up.norm(dim=-1))
        sides = (2 * _SCALE * radii).clamp(min=_MIN_SIDE)
        return cls(centres, sides, torch.atan2(up[:, 0], -up[:, 1]))

    @classmethod
    def around_boxes(cls, boxes: Float[Tensor, "P 4"]) -> Regions:
        """Upright regions about the boxes (P, 4) x0 y0 x1 y1, where nothing else is known."""
        sizes = (boxes[:, 2:] - boxes[:, :2]).amax(1)
        sides = (_SCALE * sizes).clamp(min=_MIN_SIDE)
        return cls((boxes[:, :2] + boxes[:, 2:]) / 2, sides, torch.zeros_like(sides))

    def __len__(self) -> int:
        return len(self.sides)

    def select(self, people: Shaped[Tensor, " chosen"]) -> Regions:
        """Those at these places."""
        return Regions(self.centres[people], self.sides[people], self.angles[people])

    @property
    def finite(self) -> Bool[Tensor, " P"]:
        """(P,) bool: those that are made of numbers."""
        return torch.isfinite(torch.cat((self.centres, self._sides_angles()), 1)).all(1)

    def _sides_angles(self) -> Tensor:
        return torch.stack((self.sides, self.angles), 1)

    def axes(self) -> Float[Tensor, "P 2 2"]:
        """(P, 2, 2): columns are the directions of the regions' x and y in the picture."""
        cos, sin = self.angles.cos(), self.angles.sin()
        return torch.stack((torch.stack((cos, -sin), -1), torch.stack((sin, cos), -1)), 1)

    def points_to_picture(
        self, points: Float[Tensor, "P N 2"], crop_size: int
    ) -> Float[Tensor, "P N 2"]:
        """Picture px (P, N, 2) of points in px of the regions' square crops."""
        from_centres = (points - crop_size / 2) * (self.sides / crop_size)[:, None, None]
        return from_centres @ self.axes().mT + self.centres[:, None]

    def bounds(self, height: int, width: int) -> list[tuple[int, int, int, int]]:
        """Left, top, right, bottom of the part of the picture that each region needs."""
        reach = self.sides / 2 * (self.angles.cos().abs() + self.angles.sin().abs()) + 2
        low, high = self.centres - reach[:, None], self.centres + reach[:, None]
        return [
            (max(0, math.floor(left)), max(0, math.floor(top)),
             min(width, math.ceil(right)), min(height, math.ceil(bottom)))
            for (left, top), (right, bottom) in zip(low.tolist(), high.tolist(), strict=True)
        ]  # fmt: skip


def crop_regions(
    picture: UInt8[Tensor, "3 H W"], regions: Regions, crop_size: int
) -> Float[Tensor, "P 3 side side"]:
    """Crops of turned regions, antialiased, black outside the picture.

    Args:
        picture: (3, H, W) uint8.
        regions: P, all of them made of numbers.
        crop_size: side of the crops, px.

    Returns:
        (P, 3, crop_size, crop_size) float, 0..1.
    """
    crops = torch.zeros(len(regions), 3, crop_size, crop_size)
    centres = torch.arange(crop_size) + 0.5
    cells = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), -1).reshape(1, -1, 2)
    targets = regions.points_to_picture(cells.expand(len(regions), -1, -1), crop_size)
    limits = regions.bounds(*picture.shape[-2:])
    for crop, points, (left, top, right, bottom), side in zip(
        crops, targets, limits, regions.sides.tolist(), strict=True
    ):
        if left >= right or top >= bottom:
            continue
        part = _shrunk(picture[:, top:bottom, left:right], crop_size / side)
        corner, size = points.new_tensor((left, top)), points.new_tensor((right, bottom))
        grid = (points - corner) / (size - corner) * 2 - 1
        crop.copy_(
            functional.grid_sample(
                part[None].float() / 255,
                grid.view(1, crop_size, crop_size, 2),
                mode="bilinear",
                padding_mode="zeros",
                align_corners=False,
            )[0]
        )
    return crops


def _shrunk(picture: Tensor, scale: float) -> Tensor:
    """The picture, at the scale of a crop where that is smaller."""
    if scale >= 1:
        return picture
    height, width = (max(1, round(length * scale)) for length in picture.shape[-2:])
    return resize_picture(picture, height, width)
