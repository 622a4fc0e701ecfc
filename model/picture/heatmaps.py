"""Keypoints as Gaussian heatmaps."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Rounding = Literal["none", "round", "truncate"]
"""What happens to a centre before its Gaussian is drawn.

The paper's code differs by path: prediction and training "none", 3DPW "round", SSP-3D "truncate".
"""


def gaussian_profiles(
    joints2d: Float[Tensor, "*batch 2"],
    size: int,
    std: float,
    rounding: Rounding = "none",
    visible: Bool[Tensor, "*batch"] | None = None,
) -> tuple[Float[Tensor, "*batch size 1"], Float[Tensor, "*batch 1 size"]]:
    """Factors (..., size, 1) over rows and (..., 1, size) over columns of heatmaps.

    Their product is a Gaussian of peak 1 around each joint: only 2 x size exponentials are taken
    per joint.

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
    centres = _snap(joints2d, rounding)[..., None]
    pixels = torch.arange(size, device=joints2d.device, dtype=centres.dtype)
    profiles = torch.exp(-0.5 * ((pixels - centres) / std) ** 2)  # (..., 2, size)
    if visible is not None:
        profiles = profiles.masked_fill(~visible[..., None, None], 0.0)
    return profiles[..., 1, :, None], profiles[..., 0, None, :]


def _snap(joints2d: Tensor, rounding: Rounding) -> Tensor:
    if rounding == "none":
        return joints2d.float() if not joints2d.is_floating_point() else joints2d
    if rounding == "round":
        return joints2d.round().float()
    if rounding == "truncate":
        return joints2d.trunc().float()
    raise ValueError(f"rounding must be 'none', 'round' or 'truncate', got {rounding!r}.")
