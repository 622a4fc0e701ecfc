"""Decoding: every kind of picture becomes upright RGB, every bad one a clear error."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import tracemalloc
import warnings
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from hierprob3d.transforms.inputs.items import InterruptedWork
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


def exif_with(*entries: tuple[int, int, int, bytes]) -> bytes:
    """EXIF of orientation 6 and other entries: tag, type, count, value."""
    block = b"II*\0" + struct.pack("<IH", 8, 1 + len(entries))
    block += struct.pack("<HHIHH", 0x112, 3, 1, 6, 0)
    for tag, kind, count, value in entries:
        block += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
    return block + bytes(4)


UNKNOWN_TYPE = (0xC4A5, 99, 1, b"")
KINDS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
    "GIF": {},
    "TIFF": {"compression": "tiff_lzw"},
    "BMP": {},
    "DIB": {},
    "JPEG2000": {},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    "PPM": {},
    "TGA": {},
    "PCX": {},
    "SGI": {},
}


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_are_read(kind: str) -> None:
    pixels = np.kron(PATTERN, np.ones((4, 4, 1), np.uint8))
    decoded = decode_picture(encode(Image.fromarray(pixels), kind, **KINDS[kind]), 1)
    assert decoded.warning is None
    assert np.abs(decoded.image.astype(int) - pixels).mean() < 3


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", "TIFF"])
def test_orientation_beside_tags_that_cannot_be_written(kind: str) -> None:
    if kind == "AVIF":  # its writer moves the orientation elsewhere and reads all tags
        maker = (0x10F, 2, 4, b"abc")
        data = encode(Image.fromarray(PATTERN), kind, exif=exif_with(maker), **KINDS[kind])
        assert b"\x0f\x01\x02" in data
        data = data.replace(b"\x0f\x01\x02", b"\x0f\x01\x63")
    elif kind == "TIFF":
        data = encode(Image.fromarray(PATTERN), kind, tiffinfo={274: 6, 270: "x", 282: 0.0})
    else:
        exif = exif_with(UNKNOWN_TYPE)
        data = encode(Image.fromarray(PATTERN), kind, exif=exif, **KINDS[kind])
    turned = decode_picture(data, 1).image
    assert turned.shape == (30, 20, 3)
    assert np.abs(turned.astype(int) - np.rot90(PATTERN, -1)).mean() < 10


@pytest.mark.parametrize("channels", [1, 3])
def test_tiff_of_declared_depth(channels: int) -> None:
    mode = {1: "I;16", 3: "RGB"}[channels]
    values = np.linspace(0, 4095, 20 * 30 * channels).astype(np.uint16).reshape(20, 30, channels)
    _, data = cv2.imencode(".tiff", values[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 1])
    plain = decode_picture(data.tobytes(), 1)
    assert plain.image.max() < 16 and (plain.warning or "").startswith("dark:"), mode
    declared = decode_picture(with_tag(data.tobytes(), 281, 4095), 1)
    expected = np.broadcast_to(values.astype(int) * 255 // 4095, (20, 30, 3))
    np.testing.assert_array_equal(declared.image, expected)
    assert declared.warning is None
    # The tag's other meaning, the largest value that there is, says nothing of the depth.
    assert decode_picture(with_tag(data.tobytes(), 281, 4000), 1).warning


def with_tag(tiff: bytes, tag: int, value: int) -> bytes:
    """The TIFF with one more short tag, in a new directory at its end."""
    (start,) = struct.unpack_from("<I", tiff, 4)
    (num,) = struct.unpack_from("<H", tiff, start)
    entries = [tiff[start + 2 + 12 * i : start + 14 + 12 * i] for i in range(num)]
    entries.append(struct.pack("<HHIHH", tag, 3, 1, value, 0))
    entries.sort(key=lambda entry: struct.unpack_from("<H", entry))
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return tiff[:4] + struct.pack("<I", len(tiff)) + tiff[8:] + directory


def test_other_kinds_scale_by_their_own_depth() -> None:
    values = np.linspace(0, 1023, 600).astype(np.uint16).reshape(20, 30)
    pgm = b"P5 30 20 1023\n" + values.astype(">u2").tobytes()
    expected = values / 1023 * 255
    for data in (pgm, encode_jpeg2000(values, 10)):
        decoded = decode_picture(data, 1)
        assert np.abs(decoded.image[..., 0] - expected).max() <= 1.5
        assert decoded.warning is None


def encode_jpeg2000(values: np.ndarray, bits: int) -> bytes:
    """A code stream of grey values, by FFmpeg."""
    codec = av.CodecContext.create("jpeg2000", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.height, codec.width = values.shape
    codec.pix_fmt, codec.time_base = f"gray{bits}le", Fraction(1, 25)
    codec.options = {"format": "j2k", "pred": "1"}
    frame = av.VideoFrame(values.shape[1], values.shape[0], codec.pix_fmt)
    plane = frame.planes[0]
    rows = np.zeros((values.shape[0], plane.line_size // 2), np.uint16)
    rows[:, : values.shape[1]] = values
    plane.update(rows.tobytes())
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])


def test_heic_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    data = io.BytesIO()
    pixels = np.kron(PATTERN, np.ones((4, 4, 1), np.uint8))
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(data, quality=95)
    decoded = decode_picture(data.getvalue(), 1).image
    assert np.abs(decoded.astype(int) - pixels).mean() < 5
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UnreadablePicture, match=r"a HEIC picture: pip install hierprob3d\[heic\]"):
        decode_picture(data.getvalue(), 1)


def test_an_end_from_outside_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def overdue(encoded: object) -> None:
        raise InterruptedWork("too long")

    monkeypatch.setattr("hierprob3d.transforms.inputs.picture_files.open_picture", overdue)
    with pytest.raises(InterruptedWork):
        decode_picture(encode(Image.fromarray(PATTERN), "PNG"), 1)


def test_no_reader_that_calls_another_program() -> None:
    eps = encode(Image.fromarray(PATTERN), "EPS")
    with pytest.raises(UnreadablePicture, match="not a picture of a known format"):
        decode_picture(eps, 1)


def test_pillows_limits_are_left_alone_and_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "from PIL import Image, ImageFile\n"
        "before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES\n"
        "import hierprob3d.transforms.inputs.videos\n"
        "assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)\n"
        "assert before[0]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 600_000)  # less than half of the picture's
    large = Image.new("RGB", (1500, 1000), (1, 2, 3))
    for kind in ("PNG", "TIFF", "JPEG", "WEBP"):
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            assert decode_picture(encode(large, kind), 2).image.shape == (1000, 1500, 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damaged TIFF tags
def test_mutated_files_raise_what_is_announced(kind: str) -> None:
    data, random = encode(Image.fromarray(PATTERN), kind, **KINDS[kind]), np.random.default_rng(0)
    if kind in ("JPEG", "PNG", "WEBP", "AVIF"):
        picture = Image.fromarray(PATTERN)
        data = encode(picture, kind, exif=exif_with((0x10F, 2, 4, b"abc")), **KINDS[kind])
    for _ in range(200):
        mutated = np.frombuffer(data, np.uint8).copy()
        places = random.integers(0, len(data) if random.random() < 0.5 else 120, 4) % len(data)
        mutated[places] = random.integers(0, 256, 4)
        end = len(data) if random.random() < 0.7 else random.integers(1, len(data))
        try:
            decoded = decode_picture(mutated[:end].tobytes(), 1, memory_limit_bytes=100_000_000)
            assert decoded.image.dtype == np.uint8 and decoded.image.ndim == 3
        except UnreadablePicture as error:
            assert str(error)
