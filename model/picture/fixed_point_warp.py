"""OpenCV 4's affine warp of uint8 pictures and labels, bit for bit, in any version of OpenCV.

Up to version 4 `cv2.warpAffine` rounds source positions to 1/32 px (to whole pixels for labels) in
fixed point; version 5 does not, so that its crops differ by up to 4 of 255 at sharp edges, and
labels at ties. The paper's crops of 3DPW and SSP-3D were made with version 4. `cv2.remap` still
takes fixed-point positions, and so this module only has to compute them as version 4 does.
"""

from __future__ import annotations

import cv2
import numpy as np

_BITS_OF_STEP = 5
_STEPS_PER_PIXEL = 1 << _BITS_OF_STEP
_BITS_OF_SUM = 10
"""Positions are summed in 1/1024 px before they are rounded."""


def warp_fixed_point(
    image: np.ndarray, matrix: np.ndarray, output_size: tuple[int, int], nearest: bool = False
) -> np.ndarray:
    """Warped picture, black beyond its border.

    Args:
        image: (H, W) or (H, W, C) uint8.
        matrix: (2, 3) affine map from the picture to the output, px.
        output_size: width and height of the output, px.
        nearest: take the nearest pixel, for labels, instead of interpolating linearly.

    Returns:
        (height, width) or (height, width, C) uint8.
    """
    backward = cv2.invertAffineTransform(np.asarray(matrix, np.float64))
    if nearest:
        whole = _int16(_rounded_positions(backward, output_size, bits=0))
        nothing = np.empty(0, np.uint16)
        return cv2.remap(image, whole, nothing, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    steps = _rounded_positions(backward, output_size, _BITS_OF_STEP)
    column, row = np.moveaxis(steps & (_STEPS_PER_PIXEL - 1), -1, 0)
    weights = (row * _STEPS_PER_PIXEL + column).astype(np.uint16)
    whole = _int16(steps >> _BITS_OF_STEP)
    return cv2.remap(image, whole, weights, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def _rounded_positions(backward: np.ndarray, output_size: tuple[int, int], bits: int) -> np.ndarray:
    """(height, width, 2) int64 source x and y in units of 2^-bits px."""
    width, height = output_size
    fine = 1 << _BITS_OF_SUM
    dropped = _BITS_OF_SUM - bits
    along_row = np.rint(backward[:, 0] * np.arange(width)[:, None] * fine).astype(np.int64)
    starts = backward[:, 1] * np.arange(height)[:, None] + backward[:, 2]
    starts = np.rint(starts * fine).astype(np.int64) + (1 << (dropped - 1))
    return (starts[:, None] + along_row[None]) >> dropped


def _int16(positions: np.ndarray) -> np.ndarray:
    info = np.iinfo(np.int16)
    return np.clip(positions, info.min, info.max).astype(np.int16)
