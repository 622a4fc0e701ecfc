"""Which keypoints the paper's training code takes to be in the picture, for comparisons only."""

from __future__ import annotations

from torch import Tensor


def inside_mask(joints2d: Tensor, size: float) -> Tensor:
    """Which joints (..., 2), px, lie in a square picture; the border at `size` counts as inside."""
    return ((joints2d >= 0) & (joints2d <= size)).all(dim=-1)
