"""Pictures of any common kind become upright (H, W, 3) uint8 RGB arrays, or a clear error."""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .uris import open_uri

_MEGA = 1e6
_WHITE = (255, 255, 255)
_UINT16_TO_UINT8 = 257
_HIGH_DEPTH_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")

# The limit below replaces Pillow's own, which only warns in its lower half.
Image.MAX_IMAGE_PIXELS = None


class UnreadablePicture(ValueError):
    """The bytes are no picture that can be used; the message says why."""


def read_picture(uri: str, max_megapixels: float) -> np.ndarray:
    """(H, W, 3) uint8 RGB of the file at a path or fsspec URI; see `decode_picture`."""
    with open_uri(uri) as file:
        return decode_picture(file.read(), max_megapixels)


def decode_picture(data: bytes, max_megapixels: float) -> np.ndarray:
    """Upright (H, W, 3) uint8 RGB of an encoded picture.

    EXIF orientation is applied. Grey and palette pictures become RGB, CMYK is converted,
    transparent parts are laid over white, 16-bit values keep their upper byte.

    Args:
        data: The file's bytes.
        max_megapixels: A larger picture is refused from its header, before any pixel is decoded.

    Raises:
        UnreadablePicture: Empty, truncated, not a picture, or too large.
    """
    if not data:
        raise UnreadablePicture("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # e.g. of broken EXIF blocks, which do no harm
            return _decode(data, max_megapixels)
    except UnreadablePicture:
        raise
    except UnidentifiedImageError:
        raise UnreadablePicture("not a picture of a known format") from None
    except (OSError, SyntaxError, ValueError, IndexError, EOFError) as error:
        # What Pillow's readers raise on damaged files.
        raise UnreadablePicture(f"damaged picture: {error}") from error


def check_size(width: int, height: int, max_megapixels: float) -> None:
    """Raise UnreadablePicture if a picture has more pixels than allowed."""
    if width * height > max_megapixels * _MEGA:
        raise UnreadablePicture(
            f"{width} x {height} px are more than the limit of {max_megapixels:g} megapixels "
            "(--max-megapixels)"
        )


def _decode(data: bytes, max_megapixels: float) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        check_size(*picture.size, max_megapixels)
        picture.load()
        upright = ImageOps.exif_transpose(picture)
    return np.array(_to_rgb(upright))


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode in _HIGH_DEPTH_MODES:
        return Image.fromarray(_to_uint8(np.asarray(picture))).convert("RGB")
    if picture.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (*_WHITE, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return picture.convert("RGB")


def _to_uint8(values: np.ndarray) -> np.ndarray:
    """Grey values of a deep picture in 8 bits.

    Integers are taken as 16-bit (as 8-bit where none exceeds 255), floats as 0..1 (scaled by
    their maximum where that is above 1).
    """
    if values.dtype.kind == "f":
        values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
        return (
            (values / max(1.0, float(values.max(initial=0.0))) * 255).clip(0, 255).astype(np.uint8)
        )
    deep = values.dtype.itemsize == 2 or values.max(initial=0) > 255
    return (values // (_UINT16_TO_UINT8 if deep else 1)).clip(0, 255).astype(np.uint8)
