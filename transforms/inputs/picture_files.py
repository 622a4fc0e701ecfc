"""Pictures of any common kind become upright (H, W, 3) uint8 RGB arrays, or a clear error."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import ImageFile, UnidentifiedImageError

from .encoded_picture import EncodedPicture, UnreadablePicture
from .items import InterruptedWork
from .jpeg_files import missing_fraction
from .orientation import turn_upright
from .picture_formats import (
    FRAME_KINDS,
    depth_of,
    examine,
    lens_of,
    open_picture,
    orientation_of,
)
from .picture_memory import fit_memory
from .picture_pixels import dark_warning, deep_colour_to_rgb, is_dark_colour, to_rgb
from .png_files import complete_png
from .uris import is_remote, open_uri, remote_file

_MAX_MISSING = 0.05
"""Part of a picture that may be missing at its end: a strip that hides nobody."""

_NOTHING = 0.0005

_MOST_FILE_BYTES = 2 << 30
_PART_BYTES = 1 << 22
"""Of remote files, whose size is not known before."""

_WEB = ("http://", "https://")
"""Servers that may send all of a file whatever part is asked for."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture."""

    image: np.ndarray
    """(H, W, 3) uint8 RGB, upright."""

    warning: str | None = None
    """What is doubtful about it: a damaged end, values of unknown depth, pages left out."""

    focal_px: float | None = None
    """Focal length in px of `image`, where the file tells it."""


def read_picture(uri: str, max_megapixels: float, memory_limit_bytes: int | None = None) -> Picture:
    """The picture in the file at a path or fsspec URI; see `decode_picture`."""
    data = read_encoded(uri, memory_limit_bytes)
    return decode_picture(data, max_megapixels, memory_limit_bytes)


def read_encoded(uri: str, memory_limit_bytes: int | None = None) -> bytes:
    """The bytes of a picture file.

    Raises:
        UnreadablePicture: More than the memory that may be taken, or than any picture has.
        OSError: The file cannot be opened.
    """
    if is_remote(uri) and not uri.startswith(_WEB):
        return _read_stored(uri, memory_limit_bytes)
    with open_uri(uri) as file:
        return read_whole(file, None if is_remote(uri) else _size_of(file), memory_limit_bytes)


def _read_stored(uri: str, memory_limit_bytes: int | None) -> bytes:
    """As `read_encoded`, of a store: one request, where opening a file would ask for its size."""
    limit = _most_bytes(memory_limit_bytes)
    with remote_file(uri) as (fs, path):
        data = fs.read_start(path, limit + 1)
    if len(data) > limit:
        raise _too_large(limit)
    return data


def read_whole(file: BinaryIO, size: int | None, memory_limit_bytes: int | None = None) -> bytes:
    """The bytes of an open file; errors as of `read_encoded`.

    Args:
        file: At its beginning.
        size: Its bytes where they are known: it is refused before it is read.
        memory_limit_bytes: See there.
    """
    limit = _most_bytes(memory_limit_bytes)
    part_bytes = min(_PART_BYTES, limit) if size is None else size + 1
    if part_bytes > limit:
        raise _too_large(limit)
    parts, num_bytes = list[bytes](), 0
    while part := file.read(part_bytes):
        parts.append(part)
        num_bytes += len(part)
        if num_bytes > limit:
            raise _too_large(limit)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _most_bytes(memory_limit_bytes: int | None) -> int:
    return min(memory_limit_bytes or _MOST_FILE_BYTES, _MOST_FILE_BYTES)


def _size_of(file: BinaryIO) -> int:
    """Bytes of a local file."""
    return os.fstat(file.fileno()).st_size


def _too_large(limit: int) -> UnreadablePicture:
    return UnreadablePicture(f"a picture file of more than {limit / 1e9:.2f} GB")


def decode_picture(
    data: bytes, max_megapixels: float, memory_limit_bytes: int | None = None
) -> Picture:
    """Upright RGB of an encoded picture.

    Of its metadata the orientation is applied and the focal length kept; nothing else is looked at.
    A JPEG or PNG that lost its end is taken if next to nothing of the picture is missing.

    Args:
        data: The file's bytes.
        max_megapixels: A larger picture is refused from its header, before any pixel is decoded.
        memory_limit_bytes: As is one that would need more memory; a JPEG is then decoded at half
            size, a quarter or an eighth, where that helps.

    Raises:
        UnreadablePicture: Empty, truncated, not a picture, or too large.
    """
    if not data:
        raise UnreadablePicture("the file is empty")
    with damage_told():
        return _decode(examine(data), max_megapixels, memory_limit_bytes)


@contextmanager
def damage_told() -> Iterator[None]:
    """Whatever Pillow's readers raise on bad files becomes UnreadablePicture."""
    try:
        yield
    except (UnreadablePicture, InterruptedWork):
        raise
    except UnidentifiedImageError:
        raise UnreadablePicture("not a picture of a known format") from None
    except MemoryError as error:
        raise UnreadablePicture("decoding the picture takes more memory than there is") from error
    except Exception as error:  # all kinds, on damaged files
        raise UnreadablePicture(f"damaged picture: {error or type(error).__name__}") from error


def check_size(width: int, height: int, max_megapixels: float) -> None:
    """Raise UnreadablePicture if a picture has more pixels than allowed."""
    if width * height > max_megapixels * 1e6:
        raise UnreadablePicture(
            f"{width} x {height} px are more than the limit of {max_megapixels:g} megapixels "
            "(--max-megapixels)"
        )


def join_warnings(warnings: Iterable[str | None]) -> str | None:
    """Several warnings as one text, None without any."""
    return "; ".join(filter(None, warnings)) or None


def _decode(
    encoded: EncodedPicture, max_megapixels: float, memory_limit_bytes: int | None
) -> Picture:
    picture = open_picture(encoded)
    check_size(*picture.size, max_megapixels)
    reduction = fit_memory(picture, encoded, memory_limit_bytes)
    missing = 0.0
    if encoded.kind == "PNG" and not encoded.is_whole:
        encoded, missing = complete_png(encoded, _MAX_MISSING)
        picture = open_picture(encoded)
    picture.load()
    if encoded.kind == "JPEG" and not encoded.is_whole:
        missing = missing_fraction(encoded.data, picture, reduction)
    notes = [_of_reduction(reduction), _of_missing(missing, encoded), _of_frames(picture)]
    image, warning = rgb_of(picture, encoded)
    orientation, lens = orientation_of(picture, encoded), lens_of(picture, encoded)
    picture.close()  # before the turned copy is made
    image = turn_upright(image, orientation)
    focal_px = None if lens is None else lens.focal_px(image.shape[1], image.shape[0])
    return Picture(image, join_warnings([*notes, warning]), focal_px)


def rgb_of(picture: ImageFile.ImageFile, encoded: EncodedPicture) -> tuple[np.ndarray, str | None]:
    """(H, W, 3) uint8 RGB of a loaded picture as it is stored, and a warning as of `to_rgb`."""
    is_deep, bits = depth_of(picture, encoded)
    if not is_deep or not is_dark_colour(picture):
        return to_rgb(picture, bits)
    if bits is not None and picture.tell() == 0:
        return deep_colour_to_rgb(encoded.data, bits)
    image, _ = to_rgb(picture, bits)
    return image, dark_warning(257 * int(image.max(initial=0)))


def _of_reduction(reduction: int) -> str | None:
    """What is said of a picture that was decoded smaller than it is."""
    if reduction == 1:
        return None
    return f"decoded at 1/{reduction} of its size for want of memory: places are in its pixels"


def _of_missing(missing: float, encoded: EncodedPicture) -> str | None:
    """What is said of a damaged end.

    Raises:
        UnreadablePicture: Too much is missing.
    """
    if missing > _MAX_MISSING:
        raise UnreadablePicture(f"damaged picture: its last {missing:.0%} are missing")
    if missing == 0 and (encoded.is_whole or encoded.kind != "JPEG"):
        return None
    if missing < _NOTHING:
        return "the file's end is missing, but nothing of the picture"
    return f"the file's end is missing, and with it the last {missing:.1%} of the picture"


def _of_frames(picture: ImageFile.ImageFile) -> str | None:
    """What is said of a picture with frames or pages of which only the first is taken."""
    if picture.format not in FRAME_KINDS or not getattr(picture, "is_animated", False):
        return None
    return f"only the first of {getattr(picture, 'n_frames', 'several')} frames or pages"
