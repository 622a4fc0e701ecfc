"""Plain pictures to draw on."""

from __future__ import annotations

import numpy as np

GREY = 90


def grey(height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8 of one grey."""
    return np.full((height, width, 3), GREY, np.uint8)


def drawn_pixels(picture: np.ndarray, background: int = GREY) -> np.ndarray:
    """(H, W) bool: where something was drawn."""
    return (picture != background).any(-1)
