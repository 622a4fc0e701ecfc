"""Keypoints as Gaussian heatmaps and back."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Rounding = Literal["none", "round", "truncate"]
"""What happens to a centre before its Gaussian is drawn.

The paper's code differs by path: prediction and training "none", 3DPW "round", SSP-3D "truncate".
"""


def joints2d_to_heatmaps(
    joints2d: Tensor,
    size: int = 256,
    std: float = 4.0,
    rounding: Rounding = "none",
    visible: Tensor | None = None,
) -> Tensor:
    """Heatmaps (..., size, size) with a Gaussian of peak 1 around each joint.

    A Gaussian is the product of one over columns and one over rows, so that only 2 x size
    exponentials are taken per joint.

    Args:
        joints2d: (..., 2) x, y in pixels; whole numbers are pixel centres. Joints outside the
            picture leave their tail in it.
        size: Side of the square heatmap, px.
        std: Standard deviation, px.
        rounding: How centres are snapped to pixels.
        visible: (...) bool; the others' heatmaps are zero, even where their position is NaN.

    Raises:
        ValueError: `rounding` is none of the known modes.
    """
    rows, columns = gaussian_profiles(joints2d, size, std, rounding, visible)
    return rows * columns


def gaussian_profiles(
    joints2d: Tensor,
    size: int,
    std: float,
    rounding: Rounding = "none",
    visible: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Factors (..., size, 1) over rows and (..., 1, size) over columns of the heatmaps.

    Arguments are those of `joints2d_to_heatmaps`.
    """
    centres = _snap(joints2d, rounding)[..., None]
    pixels = torch.arange(size, device=joints2d.device, dtype=centres.dtype)
    profiles = torch.exp(-0.5 * ((pixels - centres) / std) ** 2)  # (..., 2, size)
    if visible is not None:
        profiles = profiles.masked_fill(~visible[..., None, None], 0.0)
    return profiles[..., 1, :, None], profiles[..., 0, None, :]


def heatmaps_to_joints2d(heatmaps: Tensor, min_peak: float = 1e-6) -> tuple[Tensor, Tensor]:
    """Whole-pixel position of each heatmap's maximum, and whether there is one.

    Args:
        heatmaps: (..., H, W).
        min_peak: A maximum must exceed this to count.

    Returns:
        (..., 2) float x, y in pixels, -1 where there is no peak; (...) bool peak found.
        The first of equal maxima in row order wins.
    """
    peaks, positions = heatmaps.flatten(-2).max(dim=-1)
    width = heatmaps.shape[-1]
    joints2d = torch.stack((positions % width, positions // width), dim=-1).float()
    found = peaks > min_peak
    return joints2d.masked_fill(~found[..., None], -1.0), found


def _snap(joints2d: Tensor, rounding: Rounding) -> Tensor:
    if rounding == "none":
        return joints2d.float() if not joints2d.is_floating_point() else joints2d
    if rounding == "round":
        return joints2d.round().float()
    if rounding == "truncate":
        return joints2d.trunc().float()
    raise ValueError(f"rounding must be 'none', 'round' or 'truncate', got {rounding!r}.")
