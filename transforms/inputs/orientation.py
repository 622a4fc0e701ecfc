"""Orientation of a picture: the one tag of its metadata that is read, and pixels turned by it.

The tag is found by itself, in EXIF or XMP: whatever else is odd there costs nothing.
"""

from __future__ import annotations

import re
import struct

import numpy as np

_ORIENTATION_TAG = 0x0112
_INTEGER_FORMATS = {1: "B", 3: "H", 4: "I"}
"""EXIF's types of whole numbers, and how `struct` reads them."""

_ENTRY_BYTES = 12
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
    block = exif[6:] if exif.startswith(b"Exif\0") else exif
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 8:
        return None
    (start,) = struct.unpack_from(order + "I", block, 4)
    if start + 2 > len(block):
        return None
    (num_entries,) = struct.unpack_from(order + "H", block, start)
    for place in range(start + 2, start + 2 + num_entries * _ENTRY_BYTES, _ENTRY_BYTES):
        if place + _ENTRY_BYTES > len(block):
            return None
        tag, kind, _ = struct.unpack_from(order + "HHI", block, place)
        if tag == _ORIENTATION_TAG and kind in _INTEGER_FORMATS:
            (value,) = struct.unpack_from(order + _INTEGER_FORMATS[kind], block, place + 8)
            return value if 1 <= value <= 8 else None
    return None
