"""PNG files: a walk through their chunks, and a damaged one closed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from .encoded_picture import EncodedPicture, UnreadablePicture
from .focal_length import find_lens
from .orientation import find_orientation

PNG_MARK = b"\x89PNG\r\n\x1a\n"
_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT")
"""Chunks that pixels depend on; all else is metadata."""

_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_MAX_TEXT_BYTES = 1 << 20
"""More of a text is not unpacked: an orientation stands at its beginning."""

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By colour type; 0 and 4 are grey, 3 has a palette."""

_INTERLACE_PASSES = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)
)  # fmt: skip
"""First column and row, and steps of both, of the seven pictures that an interlaced one is."""


@dataclass(frozen=True)
class _Header:
    """Chunk IHDR."""

    width: int
    height: int
    bit_depth: int
    colour_type: int
    interlaced: int

    @property
    def num_bytes(self) -> int:
        """Of all rows, unpacked, with the filter byte that each begins with."""
        passes = _INTERLACE_PASSES if self.interlaced else ((0, 0, 1, 1),)
        return sum(
            self._row_bytes(-(-(self.width - left) // across)) * -(-(self.height - top) // down)
            for left, top, across, down in passes
            if self.width > left and self.height > top
        )

    def _row_bytes(self, width: int) -> int:
        return 1 + -(-width * _CHANNELS.get(self.colour_type, 4) * self.bit_depth // 8)


@dataclass
class _Notes:
    """What is kept, and what the metadata said."""

    kept: list[bytes] = field(default_factory=list)
    exif: bytes = b""
    xmp: bytes = b""
    significant_bits: int | None = None
    is_whole: bool = False


def read_png(data: bytes) -> EncodedPicture:
    """The PNG without its metadata."""
    notes, header = _Notes(), _header(data)
    for name, start, end in _chunks(data):
        payload = data[start + 8 : min(end, len(data)) - 4]
        _note(notes, name, payload)
        if name in _KEPT or end > len(data):
            notes.kept.append(data[start:end])
    deep = header is not None and header.bit_depth == 16
    return EncodedPicture(
        PNG_MARK + b"".join(notes.kept),
        "PNG",
        find_orientation(notes.exif, notes.xmp),
        find_lens(notes.exif),
        deep_colour=deep and header is not None and header.colour_type != 0,
        declared_bits=notes.significant_bits if deep else None,
        is_whole=notes.is_whole,
    )


def complete_png(encoded: EncodedPicture, max_missing: float) -> tuple[EncodedPicture, float]:
    """A PNG that lost its end, closed with empty rows, and which part of it is empty.

    Args:
        encoded: The PNG, as `read_png` gives it.
        max_missing: Largest part that may be empty.

    Raises:
        UnreadablePicture: More than that is missing, or what is there is damaged.
    """
    data, header = encoded.data, _header(encoded.data)
    if header is None:
        raise UnreadablePicture("damaged picture: a PNG without a header")
    packed = [data[start + 8 : end - 4] for name, start, end in _chunks(data) if name == b"IDAT"]
    try:
        rows = zlib.decompressobj().decompress(b"".join(packed), header.num_bytes)
    except zlib.error as error:
        raise UnreadablePicture(f"damaged picture: {error}") from error
    missing = 1 - len(rows) / header.num_bytes
    if missing > max_missing:
        raise UnreadablePicture(f"damaged picture: its last {missing:.0%} are missing")
    filled = zlib.compress(rows + bytes(header.num_bytes - len(rows)), 1)
    kept = [
        data[start:end]
        for name, start, end in _chunks(data)
        if name in (b"IHDR", b"PLTE", b"tRNS") and end <= len(data)
    ]
    whole = PNG_MARK + b"".join([*kept, _chunk(b"IDAT", filled), _chunk(b"IEND", b"")])
    return replace(encoded, data=whole), missing


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, beginning and end of every chunk; the last may end after the data."""
    place = len(PNG_MARK)
    while place + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        yield name, place, place + 12 + length
        place += 12 + length


def _chunk(name: bytes, payload: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(name + payload))
    return struct.pack(">I", len(payload)) + name + payload + check


def _header(data: bytes) -> _Header | None:
    start = len(PNG_MARK) + 4
    if data[start : start + 4] != b"IHDR" or len(data) < start + 17:
        return None
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, start + 4)
    return _Header(width, height, depth, colour, interlaced)


def _note(notes: _Notes, name: bytes, payload: bytes) -> None:
    if name == b"eXIf":
        notes.exif = payload
    elif name == b"sBIT" and payload:
        notes.significant_bits = max(payload[:3])
    elif name == b"IEND":
        notes.is_whole = True
    elif name in _TEXTS:
        _note_text(notes, name, payload)


def _note_text(notes: _Notes, name: bytes, payload: bytes) -> None:
    """EXIF and XMP as older programs store them."""
    keyword, _, text = payload.partition(b"\0")
    if keyword == b"XML:com.adobe.xmp":
        notes.xmp = text[:_MAX_TEXT_BYTES]
    elif keyword == b"Raw profile type exif" and not notes.exif:
        if name == b"zTXt":
            text = _unpacked(text[1:])
        lines = text[:_MAX_TEXT_BYTES].split(b"\n")
        notes.exif = _from_hex(b"".join(lines[3:]))


def _unpacked(packed: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, _MAX_TEXT_BYTES)
    except zlib.error:
        return b""


def _from_hex(text: bytes) -> bytes:
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        return b""
