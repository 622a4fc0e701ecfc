"""Numbers of an EXIF block, each found by itself: whatever else is odd there costs nothing."""

from __future__ import annotations

import struct

_INTEGER_FORMATS = {1: "B", 3: "H", 4: "I"}
"""EXIF's types of whole numbers, and how `struct` reads them."""

_RATIONAL = 5
_ENTRY_BYTES = 12
_POINTER_TAG = 0x8769
"""Of the first directory: where the second begins, which says how the picture was taken."""

Tags = dict[int, float]
"""Numbers by tag; whole ones are int."""


def first_directory(exif: bytes) -> Tags:
    """What an EXIF block says of the picture file; nothing where it is damaged.

    Args:
        exif: EXIF block, with or without its mark `Exif`.
    """
    block, order = _block(exif)
    if not order or len(block) < 8:
        return {}
    return _directory(block, order, struct.unpack_from(order + "I", block, 4)[0])


def camera_directory(exif: bytes) -> Tags:
    """What an EXIF block says of how the picture was taken; nothing where it is damaged."""
    block, order = _block(exif)
    start = first_directory(exif).get(_POINTER_TAG)
    return _directory(block, order, start) if order and isinstance(start, int) else {}


def _block(exif: bytes) -> tuple[bytes, str]:
    """The block without its mark, and its order of bytes as `struct` writes it."""
    block = exif[6:] if exif.startswith(b"Exif\0") else exif
    return block, {b"II": "<", b"MM": ">"}.get(block[:2], "")


def _directory(block: bytes, order: str, start: int) -> Tags:
    """The single numbers of a directory, as far as it lies in the block."""
    tags: Tags = {}
    if start + 2 > len(block):
        return tags
    (num_entries,) = struct.unpack_from(order + "H", block, start)
    for place in range(start + 2, start + 2 + num_entries * _ENTRY_BYTES, _ENTRY_BYTES):
        if place + _ENTRY_BYTES > len(block):
            return tags
        tag, kind, _ = struct.unpack_from(order + "HHI", block, place)
        value = _number(block, order, kind, place + 8)
        if value is not None:
            tags.setdefault(tag, value)
    return tags


def _number(block: bytes, order: str, kind: int, place: int) -> float | None:
    """A whole number or a fraction; None for other types, and for a fraction that has no value."""
    if kind in _INTEGER_FORMATS:
        return struct.unpack_from(order + _INTEGER_FORMATS[kind], block, place)[0]
    if kind != _RATIONAL:
        return None
    (start,) = struct.unpack_from(order + "I", block, place)
    if start + 8 > len(block):
        return None
    above, below = struct.unpack_from(order + "II", block, start)
    return above / below if below else None
