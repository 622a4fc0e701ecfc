"""Decoded pictures of any mode as RGB, band by band: whole copies of large pictures cost memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

_WHITE = (255, 255, 255, 255)
_TRANSPARENT_MODES = ("LA", "PA", "La", "RGBA", "RGBa")
_DEEP_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")
_BAND_PIXELS = 1 << 19
_FULL_BITS = 16
_RGB_OF_OPENCV = {3: [2, 1, 0], 4: [2, 1, 0, 3]}

_DARK = 1 << 14
"""16-bit values that all lie below: either a dark picture, or data of fewer bits."""


@dataclass(frozen=True)
class _Range:
    """Which values of a deep picture become 255."""

    is_float: bool
    largest: float
    bits: int = _FULL_BITS

    def to_uint8(self, values: np.ndarray) -> np.ndarray:
        if self.is_float:
            values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
            return (values / max(1.0, self.largest) * 255).clip(0, 255).astype(np.uint8)
        scaled = values.astype(np.int64) * 255 // ((1 << self.bits) - 1)
        return scaled.clip(0, 255).astype(np.uint8)


def to_rgb(picture: Image.Image, declared_bits: int | None) -> tuple[np.ndarray, str | None]:
    """(H, W, 3) uint8 RGB of a loaded picture, and a warning where its depth is doubtful.

    Grey and palette pictures become RGB, CMYK is converted, transparent parts are laid over white.
    Deep grey values: floats are taken as 0..1 (scaled by their maximum where that is above 1),
    integers as 16-bit (as 8-bit where none of 32-bit ones exceeds 255), as of fewer bits where
    the file declares them and no value needs more.

    Args:
        picture: Loaded, as stored.
        declared_bits: Of its values, None where nothing is declared.
    """
    values = _range_of(picture, declared_bits) if picture.mode in _DEEP_MODES else None
    image = np.empty((picture.height, picture.width, 3), np.uint8)
    for top, band in _bands(picture):
        image[top : top + band.height] = _band_to_rgb(band, values)
    is_dark = values is not None and not values.is_float and _is_dark(picture, values)
    return image, dark_warning(int(values.largest)) if values is not None and is_dark else None


def dark_warning(largest: int) -> str:
    """What is said of 16-bit data that look like data of fewer bits."""
    return (
        f"dark: its 16-bit values reach only {largest} of 65535; if they have fewer bits, the file "
        "should declare them (PNG: sBIT, TIFF: MaxSampleValue)"
    )


def is_dark_colour(picture: Image.Image) -> bool:
    """Whether no colour of a loaded picture, of 16 bits in the file, reaches a quarter."""
    if picture.mode not in ("RGB", "RGBA", "LA"):
        return False
    extrema = picture.getextrema()
    colours = extrema[:-1] if picture.mode in _TRANSPARENT_MODES else extrema
    return max(high for _, high in colours) < _DARK >> 8  # type: ignore[misc]


def deep_colour_to_rgb(data: bytes, declared_bits: int | None) -> tuple[np.ndarray, str | None]:
    """(H, W, 3) uint8 RGB of 16-bit colours by the declared depth, as `to_rgb`.

    Pillow keeps but the upper byte of them, in which data of fewer bits are black.

    Args:
        data: Of a PNG or TIFF.
        declared_bits: Of its values, None where nothing is declared.

    Raises:
        ValueError: OpenCV cannot read it.
    """
    deep = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if deep is None or deep.dtype != np.uint16 or deep.ndim != 3:
        raise ValueError("its 16-bit colours cannot be read")
    largest = int(deep[..., :3].max(initial=0))
    values = _Range(False, largest, _used_bits(declared_bits, largest))
    image = np.empty((*deep.shape[:2], 3), np.uint8)
    for top, bottom in _row_ranges(deep.shape[1], deep.shape[0]):
        colours = values.to_uint8(deep[top:bottom])[..., _RGB_OF_OPENCV[deep.shape[2]]]
        image[top:bottom] = _band_to_rgb(Image.fromarray(np.ascontiguousarray(colours)), None)
    is_dark = values.bits == _FULL_BITS and largest < _DARK
    return image, dark_warning(largest) if is_dark else None


def _is_dark(picture: Image.Image, values: _Range) -> bool:
    """Whether values of 16 bits might be of fewer, undeclared."""
    is_short = picture.mode != "I" or values.largest > 255
    return is_short and values.bits == _FULL_BITS and values.largest < _DARK


def _used_bits(declared_bits: int | None, largest: float) -> int:
    """The declared bits, unless values are larger: then they are scaled up, as PNG asks for."""
    fits = declared_bits is not None and declared_bits > 0 and largest < 1 << declared_bits
    return declared_bits if declared_bits is not None and fits else _FULL_BITS


def _range_of(picture: Image.Image, declared_bits: int | None) -> _Range:
    is_float = picture.mode == "F"
    largest = 0.0
    for _, band in _bands(picture):
        values = np.asarray(band)
        if is_float:
            values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
        largest = max(largest, float(values.max(initial=0)))
    if picture.mode == "I" and largest <= 255:
        return _Range(False, largest, 8)
    return _Range(is_float, largest, _used_bits(declared_bits, largest))


def _bands(picture: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """First row and picture of every few rows."""
    for top, bottom in _row_ranges(*picture.size):
        yield top, picture.crop((0, top, picture.width, bottom))


def _row_ranges(width: int, height: int) -> Iterator[tuple[int, int]]:
    rows = max(1, _BAND_PIXELS // width)
    return ((top, min(top + rows, height)) for top in range(0, height, rows))


def _band_to_rgb(band: Image.Image, values: _Range | None) -> np.ndarray:
    if values is not None:
        return values.to_uint8(np.asarray(band))[..., None]
    if band.mode in _TRANSPARENT_MODES or "transparency" in band.info:
        rgba = band.convert("RGBA")
        white = Image.new("RGBA", rgba.size, _WHITE)
        return np.asarray(Image.alpha_composite(white, rgba).convert("RGB"))
    return np.asarray(band.convert("RGB"))
