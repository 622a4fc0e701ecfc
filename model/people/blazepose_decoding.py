"""Landmarks in a picture, and people's widths, out of what BlazePose says of crops of it.

The refinement follows MediaPipe's published one (refine_landmarks_from_heatmap_calculator), odd
rules included; it takes wrists and ankles from 4 px of error to 2.5.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from hierprob3d.model.body.skeleton import COCO_LANDMARKS

from .blazepose import BLAZEPOSE_SIZE
from .body_widths import body_widths
from .person_regions import Regions

_KERNEL = 7  # cells
_MIN_CONFIDENCE = 0.5


def decode_landmarks(
    landmarks: Float[Tensor, "P 33 5"], regions: Regions
) -> Float[Tensor, "P 33 5"]:
    """Landmarks (P, 33, 5): x, y in px of the picture, z likewise, visibility, presence, 0..1.

    Args:
        landmarks: refined ones of the crops of P regions.
        regions: where these lie in the picture.
    """
    points = regions.points_to_picture(landmarks[..., :2], BLAZEPOSE_SIZE)
    depths = landmarks[..., 2:3] * (regions.sides / BLAZEPOSE_SIZE)[:, None, None]
    return torch.cat((points, depths, landmarks[..., 3:].sigmoid()), -1)


def decode_widths(
    outline: Float[Tensor, "P H W"], landmarks: Float[Tensor, "P 33 5"]
) -> Float[Tensor, "P 73"]:
    """(P, NUM_WIDTHS) of `body_widths`, by the silhouettes of P crops.

    Args:
        outline: (P, H, W) logits.
        landmarks: refined ones of the crops.
    """
    silhouettes, places = outline.sigmoid(), landmarks[:, COCO_LANDMARKS]
    points = places[..., :2] * (silhouettes.shape[-1] / BLAZEPOSE_SIZE)
    return body_widths(silhouettes, torch.cat([points, places[..., 3:4].sigmoid()], -1))


def refine_landmarks(
    landmarks: Float[Tensor, "P N 5"], heatmap: Float[Tensor, "P N H W"]
) -> Float[Tensor, "P N 5"]:
    """The landmarks moved to the heat about them, where that is confident.

    The place becomes the weighted mean of 7 x 7 cells. Cell i stands for pixel 4 i, not for
    4 i + 2: with half a cell more all landmarks lie 2 px too far right and down.

    Args:
        landmarks: (P, N, 5) x, y in px of the crop, and others.
        heatmap: (P, N, H, W) logits.
    """
    height, width = heatmap.shape[-2:]
    cell = BLAZEPOSE_SIZE / width
    cols, rows = (landmarks[..., :2] / cell).trunc().long().unbind(-1)
    reach = torch.arange(_KERNEL, device=heatmap.device) - _KERNEL // 2
    near_rows = (rows[..., None] + reach)[..., :, None]
    near_cols = (cols[..., None] + reach)[..., None, :]
    valid = (near_rows >= 0) & (near_rows < height) & (near_cols >= 0) & (near_cols < width)
    cells = near_rows.clamp(0, height - 1) * width + near_cols.clamp(0, width - 1)
    heat = heatmap.flatten(2).gather(2, cells.flatten(2)).view_as(cells).float().sigmoid() * valid
    total = heat.sum((-1, -2)).clamp(min=1e-12)
    mean = torch.stack(((near_cols * heat).sum((-1, -2)), (near_rows * heat).sum((-1, -2))), -1)
    inside = (landmarks[..., :2] > -cell).all(-1) & (cols < width) & (rows < height)
    confident = inside & (heat.amax((-1, -2)) >= _MIN_CONFIDENCE)
    points = torch.where(confident[..., None], mean / total[..., None] * cell, landmarks[..., :2])
    return torch.cat((points, landmarks[..., 2:]), -1)
