"""Whole heatmaps, as `make_proxy` never makes them, and the paper's way back from them."""

from __future__ import annotations

import torch
from torch import Tensor

from hierprob3d.model.picture.heatmaps import Rounding, gaussian_profiles


def joints2d_to_heatmaps(
    joints2d: Tensor,
    size: int = 256,
    std: float = 4.0,
    rounding: Rounding = "none",
    visible: Tensor | None = None,
) -> Tensor:
    """Heatmaps (..., size, size) made whole; arguments are those of `gaussian_profiles`."""
    rows, columns = gaussian_profiles(joints2d, size, std, rounding, visible)
    return rows * columns


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
