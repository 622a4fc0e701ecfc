"""The camera that the paper's renderer takes for the network's, for comparisons only."""

from __future__ import annotations

import torch
from torch import Tensor

HALF_TURN_X = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))
"""Rows of the rotation by pi about x that the paper applies before any projection."""

_MIN_DEPTH_DENOMINATOR = 1e-9
"""Keeps the depth of a camera of zero scale finite."""


def weak_perspective_to_translation(camera: Tensor, focal: float, size: float) -> Tensor:
    """Translation with which a pinhole camera sees the body about as the weak-perspective one.

    tz = 2 f / (size s): at this depth one metre covers s size / 2 pixels in both.

    Args:
        camera: (..., 3) scale, x and y translation.
        focal: focal length in pixels of the picture.
        size: side of the picture in pixels.

    Returns:
        (..., 3) translation in metres.
    """
    depth = 2 * focal / (size * camera[..., :1] + _MIN_DEPTH_DENOMINATOR)
    return torch.cat([camera[..., 1:], depth], dim=-1)
