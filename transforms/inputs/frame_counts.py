"""Whether a picture file holds several frames or pages, from its first bytes.

Asked of every such file of an input before anything is decoded: so a few short reads each, and no
decoder.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from .png_files import PNG_MARK

FRAME_SUFFIXES = (".gif", ".png", ".apng", ".webp", ".avif", ".avifs", ".tif", ".tiff")
_START_BYTES = 1 << 12
_LOOP_MARK = b"\x21\xff\x0bNETSCAPE2.0"
"""How a GIF begins that is shown again and again: told from the beginning alone."""

_MAX_STEPS = 10_000
"""A file of more parts before its second frame counts as having one."""

_SUBFILE_TAG = 254
_REDUCED_OR_MASK = 0b101
"""Kinds of TIFF pages that are no pictures of their own: thumbnails and masks."""


def holds_frames(file: BinaryIO) -> bool:
    """Whether the file is an animated GIF, PNG, WebP or AVIF, or a TIFF of several pages.

    Damaged ones are not: who decodes them says what is wrong.
    """
    start = file.read(_START_BYTES)
    try:
        if start[:6] in (b"GIF87a", b"GIF89a"):
            return _LOOP_MARK in start or _is_animated_gif(file, start)
        if start.startswith(PNG_MARK):
            return _is_animated_png(file)
        if start[:4] == b"RIFF" and start[8:16] == b"WEBPVP8X":
            return bool(start[20] & 2)
        if start[4:8] == b"ftyp":
            return start[8:12] == b"avis"
        if start[:4] in (b"II*\0", b"MM\0*"):
            return len(full_pages(file)) > 1
    except (struct.error, IndexError, OSError, ValueError):
        pass
    return False


def full_pages(file: BinaryIO) -> list[int]:
    """Numbers of the pages of a TIFF that are neither thumbnails nor masks of others."""
    return [number for number, kind in enumerate(_page_kinds(file)) if not kind & _REDUCED_OR_MASK]


def _page_kinds(file: BinaryIO) -> Iterator[int]:
    """Tag NewSubfileType of every page, 0 where it has none."""
    file.seek(0)
    order = "<" if file.read(4)[:2] == b"II" else ">"
    seen: set[int] = set()
    (place,) = struct.unpack(order + "I", file.read(4))
    while place and place not in seen and len(seen) < _MAX_STEPS:
        seen.add(place)
        file.seek(place)
        (num_entries,) = struct.unpack(order + "H", file.read(2))
        entries = file.read(12 * num_entries)
        yield _subfile_kind(entries, order)
        (place,) = struct.unpack(order + "I", file.read(4))


def _subfile_kind(entries: bytes, order: str) -> int:
    for start in range(0, len(entries) - 11, 12):
        tag, _, _, value = struct.unpack_from(order + "HHII", entries, start)
        if tag == _SUBFILE_TAG:
            return value
    return 0


def _is_animated_png(file: BinaryIO) -> bool:
    """Whether the chunk that announces frames comes before the pixels, with more than one."""
    file.seek(len(PNG_MARK))
    for _ in range(_MAX_STEPS):
        length, name = struct.unpack(">I4s", file.read(8))
        if name == b"acTL":
            return struct.unpack(">I", file.read(4))[0] > 1
        if name in (b"IDAT", b"IEND"):
            return False
        file.seek(length + 4, 1)
    return False


def _is_animated_gif(file: BinaryIO, start: bytes) -> bool:
    """Whether a second frame begins after the first."""
    file.seek(13 + _palette_bytes(start[10]))
    num_frames = 0
    for _ in range(_MAX_STEPS):
        block = file.read(1)
        if block == b"!":
            file.read(1)
        elif block == b",":
            num_frames += 1
            if num_frames > 1:
                return True
            file.seek(_palette_bytes(file.read(9)[8]) + 1, 1)
        else:
            return False
        _skip_sub_blocks(file)
    return False


def _palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip_sub_blocks(file: BinaryIO) -> None:
    while length := file.read(1)[0]:
        file.seek(length, 1)
