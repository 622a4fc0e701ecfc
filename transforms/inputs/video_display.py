"""Frames as a player shows them: turned and mirrored by their matrix, with square pixels."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Any

import av
import numpy as np

from .picture_files import check_size

_MATRIX = struct.Struct("=9i")


def shown_size(width: int, height: int, pixel_aspect: Fraction | None) -> tuple[int, int]:
    """Width and height of a stored frame with square pixels.

    It grows where pixels are not square: no row or column is lost.
    """
    if not pixel_aspect or pixel_aspect <= 0:
        return width, height
    if pixel_aspect >= 1:
        return max(1, round(width * pixel_aspect)), height
    return width, max(1, round(height / pixel_aspect))


def as_shown(
    frame: av.VideoFrame, pixel_aspect: Fraction | None, max_megapixels: float
) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a frame as players show it.

    Args:
        frame: As decoded.
        pixel_aspect: Width of a stored pixel by its height; None for square ones.
        max_megapixels: Of the shown frame.

    Raises:
        UnreadablePicture: It would be larger.
    """
    width, height = shown_size(frame.width, frame.height, pixel_aspect)
    check_size(width, height, max_megapixels)
    image = frame.to_ndarray(format="rgb24", width=width, height=height)
    return _place_by_matrix(image, _matrix_of(frame))


def _matrix_of(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """Entries a, b, c, d: a stored place (x, y) is shown at (a x + c y, b x + d y)."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None or len(bytes(data)) != _MATRIX.size:
        return 1, 0, 0, 1
    entries = _MATRIX.unpack(bytes(data))
    return entries[0], entries[1], entries[3], entries[4]


def _place_by_matrix(image: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """The frame by the nearest of the eight turns and mirrors."""
    a, b, c, d = matrix
    if abs(a) + abs(d) < abs(b) + abs(c):
        image = image.swapaxes(0, 1)
        a, d = c, b
    if a < 0:
        image = image[:, ::-1]
    if d < 0:
        image = image[::-1]
    return np.ascontiguousarray(image)
