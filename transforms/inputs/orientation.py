"""Orientation of a picture: its tag in EXIF or XMP, and pixels turned by it."""

from __future__ import annotations

import re

import numpy as np

from .exif_tags import first_directory

_ORIENTATION_TAG = 0x0112
_XMP_PATTERN = re.compile(rb"tiff:Orientation(?:=[\"']|>)\s*([1-8])")


def find_orientation(exif: bytes | None, xmp: bytes | None) -> int:
    """1 to 8 as EXIF counts them, 1 (upright) where nothing readable says otherwise.

    Args:
        exif: EXIF block, with or without its mark `Exif`.
        xmp: XMP packet; looked at if the EXIF block has no orientation.
    """
    found = _in_exif(exif or b"")
    if found is None:
        match = _XMP_PATTERN.search(xmp or b"")
        found = int(match[1]) if match else 1
    return found


def turn_upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """(H, W, C) pixels as they are to be seen, contiguous.

    Args:
        image: (H, W, C) as stored.
        orientation: 1 to 8 as EXIF counts them.
    """
    if orientation in (5, 6, 7, 8):
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def _in_exif(exif: bytes) -> int | None:
    """The tag in the first directory of an EXIF block; None without a valid one."""
    value = first_directory(exif).get(_ORIENTATION_TAG)
    return value if isinstance(value, int) and 1 <= value <= 8 else None
