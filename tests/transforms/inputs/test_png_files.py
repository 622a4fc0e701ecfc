"""PNGs with large or odd chunks, and without an end."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from hierprob3d.transforms.inputs.picture_files import UnreadablePicture, decode_picture

PATTERN = np.random.default_rng(0).integers(0, 256, (60, 40, 3), np.uint8)
_END_OF_HEADER = 33


def png(pixels: np.ndarray = PATTERN) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def with_chunk(data: bytes, name: bytes, payload: bytes, check: int | None = None) -> bytes:
    right = zlib.crc32(name + payload)
    chunk = struct.pack(">I", len(payload)) + name + payload
    chunk += struct.pack(">I", right if check is None else check)
    return data[:_END_OF_HEADER] + chunk + data[_END_OF_HEADER:]


BIG = zlib.compress(bytes(3_000_000))


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        (b"zTXt", b"Comment\0\0" + BIG),
        (b"iTXt", b"Comment\0\1\0\0\0" + BIG),
        (b"iCCP", b"icc\0\0" + BIG),
        (b"iCCP", b"icc\0\0damaged"),
        (b"tEXt", b"x" * 2_000_000),
        (b"eXIf", b"II*\0damaged"),
        (b"tIME", b"short"),
        (b"pHYs", b""),
        (b"iDOT", b"\0"),
    ],
)
def test_metadata_cost_nothing(name: bytes, payload: bytes) -> None:
    for check in (None, 1):  # a wrong checksum of it as well
        picture = decode_picture(with_chunk(png(), name, payload, check), 1)
        np.testing.assert_array_equal(picture.image, PATTERN)
        assert picture.warning is None


def test_orientation_as_older_programs_store_it() -> None:
    block = b"Exif\0\0II*\0" + struct.pack("<IHHHIHH", 8, 1, 0x112, 3, 1, 3, 0) + bytes(4)
    text = b"Raw profile type exif\0\0" + zlib.compress(
        b"\nexif\n%8d\n" % len(block) + block.hex().encode()
    )
    picture = decode_picture(with_chunk(png(), b"zTXt", text), 1)
    np.testing.assert_array_equal(picture.image, PATTERN[::-1, ::-1])
    xmp = b"XML:com.adobe.xmp\0\0\0\0\0<tiff:Orientation>3</tiff:Orientation>"
    picture = decode_picture(with_chunk(png(), b"iTXt", xmp), 1)
    np.testing.assert_array_equal(picture.image, PATTERN[::-1, ::-1])


def test_without_its_end() -> None:
    data = png()
    picture = decode_picture(data[: round(0.98 * len(data))], 1)
    assert (picture.warning or "").startswith("the file's end is missing, and with it the last")
    np.testing.assert_array_equal(picture.image[:56], PATTERN[:56])
    assert (picture.image[59] == 0).all()
    with pytest.raises(UnreadablePicture, match=r"its last \d+% are missing"):
        decode_picture(data[: len(data) // 2], 1)
    assert decode_picture(data[:-12], 1).warning is None  # all pixels are there


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("channels", [1, 3])
def test_fewer_bits_that_are_declared(bits: int, channels: int) -> None:
    shape = (20, 30, channels)
    values = np.linspace(0, 2**bits - 1, 20 * 30 * channels).astype(np.uint16).reshape(shape)
    header = struct.pack(">IIBBBBB", 30, 20, 16, 0 if channels == 1 else 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    data = b"\x89PNG\r\n\x1a\n"
    for name, payload in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        data += struct.pack(">I", len(payload)) + name + payload
        data += struct.pack(">I", zlib.crc32(name + payload))
    plain = decode_picture(data, 1)
    assert plain.image.max() < 16 and (plain.warning or "").startswith("dark: its 16-bit values")
    declared = decode_picture(with_chunk(data, b"sBIT", bytes([bits] * channels)), 1)
    expected = values.astype(int) * 255 // (2**bits - 1)
    np.testing.assert_array_equal(declared.image, np.broadcast_to(expected, (20, 30, 3)))
    assert declared.warning is None
