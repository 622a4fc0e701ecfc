"""Decoding: every kind of picture becomes upright RGB, every bad one a clear error."""

from __future__ import annotations

import io
import tracemalloc
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from hierprob3d.transforms.inputs.picture_files import UnreadablePicture, decode_picture

# Left half red, right half blue, upper left corner white: no turn or mirror maps it to itself.
PATTERN = np.zeros((20, 30, 3), np.uint8)
PATTERN[:, :15, 0] = 250
PATTERN[:, 15:, 2] = 250
PATTERN[:8, :8] = 255


def encode(picture: Image.Image, kind: str, **options: Any) -> bytes:
    data = io.BytesIO()
    picture.save(data, kind, **options)
    return data.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_are_exact(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(Image.fromarray(PATTERN), kind, **options)
    np.testing.assert_array_equal(decode_picture(data, 1).image, PATTERN)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int) -> None:
    # Undoing what the tag asks for: the values are Pillow's names for the inverse operations.
    undo = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_270}  # fmt: skip
    stored = Image.fromarray(PATTERN)
    if orientation > 1:
        stored = stored.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(stored, "PNG", exif=exif)
    np.testing.assert_array_equal(decode_picture(data, 1).image, PATTERN)


def test_grey_and_palette_and_bilevel() -> None:
    grey = PATTERN.mean(axis=2).astype(np.uint8)
    decoded = decode_picture(encode(Image.fromarray(grey), "PNG"), 1).image
    np.testing.assert_array_equal(decoded, np.repeat(grey[..., None], 3, axis=2))
    palette = Image.fromarray(PATTERN).quantize(8)
    assert np.abs(decode_picture(encode(palette, "PNG"), 1).image.astype(int) - PATTERN).max() < 8
    bilevel = Image.fromarray(grey > 100)
    assert set(np.unique(decode_picture(encode(bilevel, "PNG"), 1).image)) == {0, 255}


def test_transparent_parts_are_white() -> None:
    rgba = np.dstack([PATTERN, np.full(PATTERN.shape[:2], 255, np.uint8)])
    rgba[10:, :, 3] = 0
    decoded = decode_picture(encode(Image.fromarray(rgba), "PNG"), 1).image
    np.testing.assert_array_equal(decoded[:10], PATTERN[:10])
    assert (decoded[10:] == 255).all()
    half = Image.new("LA", (4, 4), (0, 128))
    assert abs(int(decode_picture(encode(half, "PNG"), 1).image[0, 0, 0]) - 127) <= 1


def test_cmyk_jpeg() -> None:
    data = encode(Image.fromarray(PATTERN).resize((240, 160)).convert("CMYK"), "JPEG", quality=98)
    decoded = decode_picture(data, 1).image.astype(int)
    assert decoded.shape == (160, 240, 3)
    assert decoded[130, 30, 0] > 200 and decoded[130, 30, 2] < 60  # red on the left
    assert decoded[130, 210, 2] > 200 and decoded[130, 210, 0] < 60  # blue on the right


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_keeps_the_upper_byte(suffix: str, channels: int) -> None:
    deep = (np.arange(20 * 30 * channels).reshape(20, 30, channels) * 36).astype(np.uint16)
    _, data = cv2.imencode(suffix, deep)
    decoded = decode_picture(data.tobytes(), 1).image
    expected = np.broadcast_to(deep[..., ::-1] >> 8, (20, 30, 3))
    assert np.abs(decoded.astype(int) - expected).max() <= 1


def test_float_tiff() -> None:
    _, data = cv2.imencode(".tiff", np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30))
    decoded = decode_picture(data.tobytes(), 1).image
    assert decoded[0, 0, 0] == 0 and decoded[-1, -1, 0] == 255


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello, I am text", "not a picture"),
        (encode(Image.effect_noise((200, 200), 50), "PNG")[:20_000], "damaged"),
        (encode(Image.effect_noise((200, 200), 50), "JPEG")[:9_000], "damaged"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "picture"),
    ],
)
def test_bad_bytes_say_what_is_wrong(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadablePicture, match=reason):
        decode_picture(data, 1)


def test_too_many_pixels_are_refused_from_the_header() -> None:
    data = encode(Image.new("1", (20_000, 20_000)), "PNG")
    tracemalloc.start()
    with pytest.raises(UnreadablePicture, match="20000 x 20000 px are more than the limit"):
        decode_picture(data, 100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10e6  # decoded it would be 1.2 GB


def test_one_pixel() -> None:
    assert decode_picture(encode(Image.new("RGB", (1, 1), (1, 2, 3)), "PNG"), 1).image.tolist() == [
        [[1, 2, 3]]
    ]
