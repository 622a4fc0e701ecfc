"""JPEG files: a walk through their segments, and how much of a damaged one is there."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from .encoded_picture import EncodedPicture, UnreadablePicture
from .focal_length import find_lens
from .orientation import find_orientation

JPEG_MARK = b"\xff\xd8\xff"
_END_MARK = b"\xff\xd9"
_SCAN_MARK = b"\xff\xda"

_MAX_SCANS = 200
"""Encoders make about ten, optimisers some dozens. A scan of nothing takes 0.07 s at 100
megapixels, so that a file of thousands would take its worker minutes."""

_COMMENT = 0xFE
_METADATA = (*range(0xE1, 0xEE), 0xEF, _COMMENT)
"""Application segments but those that say how colours are stored (JFIF's 0xE0, Adobe's 0xEE)."""

_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
_SEQUENTIAL_HUFFMAN = (0xC0, 0xC1)
_COEFFICIENT_BYTES = 2
_BLOCK = 8
_EMPTY_GREY = 128
"""What libjpeg makes of blocks that are not there."""


@dataclass
class _Layout:
    """What the header segments say."""

    kept: list[bytes] = field(default_factory=list)
    exif: bytes = b""
    xmp: bytes = b""
    frame_marker: int = 0
    height: int = 0
    width: int = 0
    components: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Horizontal and vertical sampling factors by the component's number."""

    @property
    def largest_sampling(self) -> tuple[int, int]:
        factors = self.components.values()
        return max((h for h, _ in factors), default=1), max((v for _, v in factors), default=1)


def read_jpeg(data: bytes) -> EncodedPicture:
    """The JPEG without its metadata; one that lost its end is closed.

    Raises:
        UnreadablePicture: More scans than a sane file has.
    """
    layout, first_scan = _walk(data)
    end = data.find(_END_MARK, first_scan)
    num_scans = data.count(_SCAN_MARK, first_scan, len(data) if end < 0 else end)
    if num_scans > _MAX_SCANS:
        raise UnreadablePicture(
            f"a JPEG of {num_scans} scans, more than {_MAX_SCANS}: decoding it would take minutes"
        )
    # Downloads that stop leave nothing behind, or zeros.
    scans = data[first_scan:] if end >= 0 else data[first_scan:].rstrip(b"\0") + _END_MARK
    return EncodedPicture(
        b"".join([*layout.kept, scans]),
        "JPEG",
        find_orientation(layout.exif, layout.xmp),
        find_lens(layout.exif),
        coefficient_bytes=_coefficient_bytes(layout, num_scans),
        is_whole=end >= 0,
    )


def missing_fraction(data: bytes, picture: Image.Image, reduction: int) -> float:
    """Which part of a JPEG without an end is missing: what decoders had to fill, from the end on.

    Of files that store the whole picture several times, ever finer, nothing is missing once the
    last scan has begun, and all before: what it adds is not visible.

    Args:
        data: The JPEG as `read_jpeg` gives it.
        picture: What a decoder made of it.
        reduction: 1, 2, 4 or 8: how many times smaller it was decoded.

    Raises:
        UnreadablePicture: Whole scans are missing.
    """
    layout, first_scan = _walk(data)
    scans = list(_scan_headers(data, first_scan))
    if layout.frame_marker not in _SEQUENTIAL_HUFFMAN or len(scans) > 1:
        if not _all_begun(layout, scans):
            raise UnreadablePicture("damaged picture: the end is missing, and with it all details")
        return 0.0
    block = _BLOCK // reduction
    horizontal, vertical = layout.largest_sampling
    return _empty_fraction(picture, block * vertical, block * horizontal)


def _walk(data: bytes) -> tuple[_Layout, int]:
    """The header segments, and where the first scan begins (or what is no segment)."""
    layout, place = _Layout([data[:2]]), 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4])
        if marker == _SCAN_MARK[1] or marker == 0 or 0xD0 <= marker <= 0xD9 or end > len(data):
            break
        payload = data[place + 4 : end]
        _note(layout, marker, payload)
        if marker not in _METADATA:
            layout.kept.append(data[place:end])
        place = end
    return layout, place


def _note(layout: _Layout, marker: int, payload: bytes) -> None:
    if marker == 0xE1 and payload.startswith(b"Exif\0"):
        layout.exif = layout.exif or payload
    elif marker == 0xE1 and payload.startswith(b"http://ns.adobe.com/xap/"):
        layout.xmp += payload
    elif marker in _FRAMES and len(payload) >= 6:
        layout.frame_marker = marker
        _, layout.height, layout.width, num = struct.unpack_from(">BHHB", payload)
        for place in range(6, min(6 + 3 * num, len(payload) - 2), 3):
            layout.components[payload[place]] = divmod(payload[place + 1], 16)


def _coefficient_bytes(layout: _Layout, num_scans: int) -> int:
    """Decoders keep all coefficients of a file of more than one scan."""
    if layout.frame_marker not in _PROGRESSIVE and num_scans < 2:
        return 0
    horizontal, vertical = layout.largest_sampling
    area = layout.width * layout.height
    share = sum(h * v for h, v in layout.components.values()) / max(1, horizontal * vertical)
    return round(area * share * _COEFFICIENT_BYTES)


def _scan_headers(data: bytes, first_scan: int) -> Iterator[tuple[list[int], int, int, int]]:
    """Components, first and last coefficient, and lowest bit of every scan that has begun."""
    place = first_scan
    while 0 <= (place := data.find(_SCAN_MARK, place)):
        num = data[place + 4] if place + 4 < len(data) else 0
        end = place + 5 + 2 * num
        if end + 3 > len(data):
            return
        numbers = list(data[place + 5 : end : 2])
        yield numbers, data[end], data[end + 1], data[end + 2] & 15
        place = end


def _all_begun(layout: _Layout, scans: list[tuple[list[int], int, int, int]]) -> bool:
    """Whether scans for every bit of every coefficient of every component have begun."""
    open_ones = {number: set(range(_BLOCK * _BLOCK)) for number in layout.components}
    progressive = layout.frame_marker in _PROGRESSIVE
    for numbers, first, last, lowest_bit in scans:
        finished = set(range(first, last + 1) if progressive else range(_BLOCK * _BLOCK))
        for number in numbers:
            if number in open_ones and (lowest_bit == 0 or not progressive):
                open_ones[number] -= finished
    return bool(open_ones) and not any(open_ones.values())


def _empty_fraction(picture: Image.Image, block_height: int, block_width: int) -> float:
    """Share of grey blocks after the last one with anything in it.

    A block's rim is not looked at, there the colours of its neighbours flow in.
    """
    width, height = picture.size
    rows, columns = -(-height // block_height), -(-width // block_width)
    for row in reversed(range(rows)):
        top = row * block_height
        pixels = np.asarray(picture.crop((0, top, width, min(top + block_height, height))))
        for column in reversed(range(columns)):
            block = pixels[:, column * block_width : (column + 1) * block_width]
            inner = block[1:-1, 1:-1] if min(block.shape[:2]) > 2 else block
            if ((inner < _EMPTY_GREY - 1) | (inner > _EMPTY_GREY + 1)).any():
                return 1 - (row * columns + column + 1) / (rows * columns)
    return 1.0
