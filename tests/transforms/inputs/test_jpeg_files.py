"""JPEGs with odd segments, without an end, and with too many scans."""

from __future__ import annotations

import io
import struct
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from hierprob3d.transforms.inputs.jpeg_files import read_jpeg
from hierprob3d.transforms.inputs.picture_files import UnreadablePicture, decode_picture

SIDE = 160


def photo() -> Image.Image:
    """Soft shapes with grain: compresses as photographs do."""
    random = np.random.default_rng(0)
    shapes = cv2.resize(random.integers(0, 256, (10, 10, 3), np.uint8), (SIDE, SIDE))
    grain = random.integers(-12, 13, (SIDE, SIDE, 3))
    return Image.fromarray((shapes.astype(int) + grain).clip(0, 255).astype(np.uint8))


def jpeg(**options: Any) -> bytes:
    data = io.BytesIO()
    picture = photo().convert(options.pop("mode", "RGB"))
    picture.save(data, "JPEG", quality=85, **options)
    return data.getvalue()


def segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload


def exif(*entries: bytes, order: str = "<") -> bytes:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    head = mark + struct.pack(order + "IH", 8, len(entries))
    return segment(0xE1, b"Exif\0\0" + head + b"".join(entries) + bytes(20))


def entry(order: str, tag: int, kind: int, count: int, value: bytes) -> bytes:
    return struct.pack(order + "HHI", tag, kind, count) + value.ljust(4, b"\0")


ODD_ENTRIES = {
    "a resolution of -1 / 0": (0x11A, 10, 1, struct.pack("<I", 30)),
    "a comment that is a fraction": (0x9286, 5, 1, struct.pack("<I", 30)),
    "an unknown type": (0xC4A5, 99, 1, bytes(4)),
    "far more values than bytes": (0x10F, 2, 0xFFFFFFF, struct.pack("<I", 30)),
    "a sub-directory outside": (0x8769, 4, 1, struct.pack("<I", 0xFFFFFFF0)),
    "makers' notes in a circle": (0x927C, 7, 8, struct.pack("<I", 8)),
}


@pytest.mark.parametrize("name", ODD_ENTRIES)
@pytest.mark.parametrize("first", [True, False])
def test_odd_tags_beside_the_orientation(name: str, first: bool) -> None:
    data = jpeg()
    entries = [entry("<", *ODD_ENTRIES[name]), entry("<", 0x112, 3, 1, b"\x06\0")]
    turned = data[:2] + exif(*(entries if first else entries[::-1])) + data[2:]
    expected = np.rot90(decode_picture(data, 1).image, -1)
    picture = decode_picture(turned, 1)
    np.testing.assert_array_equal(picture.image, expected)
    assert picture.warning is None


@pytest.mark.parametrize("value", [0, 9, 77])
def test_an_orientation_that_is_none_turns_nothing(value: int) -> None:
    data = jpeg()
    block = exif(entry(">", 0x112, 3, 1, struct.pack(">H", value)), order=">")
    np.testing.assert_array_equal(
        decode_picture(data[:2] + block + data[2:], 1).image, decode_picture(data, 1).image
    )


def test_an_orientation_in_xmp_alone() -> None:
    data = jpeg()
    packet = b"http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation='3'/>"
    turned = data[:2] + segment(0xE1, packet) + data[2:]
    np.testing.assert_array_equal(
        decode_picture(turned, 1).image, decode_picture(data, 1).image[::-1, ::-1]
    )


def test_colours_of_adobe_files_stay() -> None:
    data = io.BytesIO()
    photo().convert("CMYK").save(data, "JPEG", quality=90)
    with_notes = data.getvalue()[:2] + segment(0xFE, b"x" * 60_000) + data.getvalue()[2:]
    expected = np.asarray(Image.open(data).convert("RGB"))
    np.testing.assert_array_equal(decode_picture(with_notes, 1).image, expected)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"mode": "L"}, {"mode": "CMYK"}])
def test_without_its_end_marker(options: dict[str, Any]) -> None:
    data = jpeg(**options)
    for cut in (1, 2):
        picture = decode_picture(data[:-cut], 1)
        np.testing.assert_array_equal(picture.image, decode_picture(data, 1).image)
        assert picture.warning == "the file's end is missing, but nothing of the picture"


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_nearly_whole_is_good_enough(mode: str, subsampling: int) -> None:
    options = {} if mode == "L" else {"subsampling": subsampling}
    data = jpeg(mode=mode, **options)
    whole = decode_picture(data, 1).image
    picture = decode_picture(data[: round(0.985 * len(data))], 1)
    assert "and with it the last" in (picture.warning or "")
    rows = round(0.89 * SIDE)  # the last row of blocks may be filled
    np.testing.assert_array_equal(picture.image[:rows], whole[:rows])
    for kept in (0.9, 0.5, 0.2):
        with pytest.raises(UnreadablePicture, match=r"its last \d+% are missing"):
            decode_picture(data[: round(kept * len(data))], 1)


def test_zeros_in_place_of_the_end_are_missing() -> None:
    data = jpeg()
    for kept, is_used in ((0.985, True), (0.5, False)):
        size = round(kept * len(data))
        padded = data[:size] + bytes(len(data) - size)
        if is_used:
            assert "and with it the last" in (decode_picture(padded, 1).warning or "")
        else:
            with pytest.raises(UnreadablePicture, match="are missing"):
                decode_picture(padded, 1)


def test_a_grey_sky_at_the_end_is_not_missing() -> None:
    pixels = np.asarray(photo()).copy()
    pixels[SIDE // 2 :] = 128
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG")
    assert decode_picture(data.getvalue(), 1).warning is None


def test_a_progressive_file_counts_by_its_scans() -> None:
    data = jpeg(progressive=True)
    last_scan = data.rindex(b"\xff\xda")
    assert decode_picture(data[: last_scan + 100], 1).warning
    one_before = data.rindex(b"\xff\xda", 0, last_scan)
    with pytest.raises(UnreadablePicture, match="missing, and with it all details"):
        decode_picture(data[: one_before + 100], 1)


def test_what_follows_the_end_is_no_part_of_it() -> None:
    data = jpeg()
    trailer = b"motion photo" + b"\xff\xda" * 500 + jpeg()[:-9]
    picture = decode_picture(data + trailer, 1)
    assert picture.warning is None
    np.testing.assert_array_equal(picture.image, decode_picture(data, 1).image)


def test_thousands_of_scans_are_refused_at_once() -> None:
    data = jpeg(progressive=True)
    last_scan = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(UnreadablePicture, match="a JPEG of 1010 scans, more than 200"):
        decode_picture(data[:-2] + last_scan * 1000 + data[-2:], 1)
    assert read_jpeg(data).coefficient_bytes == pytest.approx(SIDE * SIDE * 3)  # 4:2:0
