"""Pillow's readers, chosen by ourselves: no limit or setting of the process changes.

`PIL.Image.open` asks a limit that is the whole process's, and tries readers that call other
programs. Here each reader is called directly, and two of them are kept from rewriting EXIF blocks.
"""

from __future__ import annotations

import importlib
import io
import re
import struct
from typing import Any

from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from .encoded_picture import EncodedPicture, UnreadablePicture
from .focal_length import Lens, find_lens
from .items import InterruptedWork
from .jpeg_files import JPEG_MARK, read_jpeg
from .orientation import find_orientation
from .png_files import PNG_MARK, read_png

_KINDS = (
    "JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "DIB", "JPEG2000", "AVIF", "PPM", "QOI",
    "PSD", "SGI", "PCX", "SUN", "TGA",
)  # fmt: skip
"""TGA has no mark at its beginning, so it is tried last."""

_NOT_THIS_KIND = (SyntaxError, IndexError, TypeError, struct.error)
"""What Pillow's readers raise on files of other kinds."""

_ORIENTATION_TAG, _BITS_TAG, _MAX_VALUE_TAG = 274, 258, 281
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_EXIF_OF_AVIF = re.compile(rb"(II\*\0|MM\0\*)(?:\x08\0\0\0|\0\0\0\x08).{2}", re.DOTALL)
FRAME_KINDS = ("GIF", "PNG", "WEBP", "AVIF", "TIFF")
"""Of which a file may hold several pictures of the same importance."""

HEIC_PACKAGE = "pillow_heif"
HEIC_MEND = "pip install hierprob3d[heic]"


class _Tiff(TiffImagePlugin.TiffImageFile):
    """A TIFF whose pixels stay as they are stored, however many there are."""

    def load_prepare(self) -> None:
        """Pillow's own asks for the limit of the whole process."""
        if self._im is None:
            self.im = Image.core.new(self.mode, self._tile_size)
        super().load_prepare()

    def load_end(self) -> None:
        """Pillow's own turns the picture here, by way of all its tags."""
        self._size = self.im.size
        self._close_exclusive_fp_after_loading = not self.is_animated


def examine(data: bytes) -> EncodedPicture:
    """The bytes of a picture file without its metadata, as far as its kind is walked through."""
    if data.startswith(JPEG_MARK):
        return read_jpeg(data)
    if data.startswith(PNG_MARK):
        return read_png(data)
    return EncodedPicture(data)


def open_picture(encoded: EncodedPicture) -> ImageFile.ImageFile:
    """The picture with its header read and no pixel decoded.

    Raises:
        UnidentifiedImageError: No reader knows it.
        UnreadablePicture: Its header is damaged, or its kind needs a package that is not installed.
    """
    data = encoded.data
    Image.init()  # idempotent; nothing of it is visible to whoever uses `Image.open`
    for kind in _KINDS if encoded.kind is None else (encoded.kind,):
        picture = _try_reader(kind, data)
        if picture is not None:
            return picture
    if encoded.kind is not None:
        raise UnreadablePicture(f"damaged picture: the header of the {encoded.kind} has no sense")
    if _is_heif(data):
        return _open_heif(data)
    raise UnidentifiedImageError


def orientation_of(picture: ImageFile.ImageFile, encoded: EncodedPicture) -> int:
    """1 to 8 as EXIF counts them, of a picture with its header read."""
    if encoded.orientation is not None:
        return encoded.orientation
    if picture.format == "TIFF":
        value = tag_of(picture, _ORIENTATION_TAG)
        return value if value in range(1, 9) else 1
    if picture.format == "HEIF":  # its reader turns the pixels
        return 1
    xmp = picture.info.get("xmp")
    return find_orientation(picture.info.get("exif"), xmp if isinstance(xmp, bytes) else None)


def lens_of(picture: ImageFile.ImageFile, encoded: EncodedPicture) -> Lens | None:
    """What EXIF says of the view, of a picture with its header read."""
    exif = picture.info.get("exif")
    if encoded.kind is not None or not isinstance(exif, bytes):
        return encoded.lens
    return find_lens(exif)


def depth_of(picture: ImageFile.ImageFile, encoded: EncodedPicture) -> tuple[bool, int | None]:
    """Whether colours have 16 bits, of which Pillow keeps eight; and the values' declared bits.

    Declared means fewer than the file stores; None where nothing is.
    """
    if picture.format != "TIFF":
        return encoded.deep_colour, encoded.declared_bits
    stored = _largest(tag_of(picture, _BITS_TAG)) or 1
    value = _largest(tag_of(picture, _MAX_VALUE_TAG)) or 0
    # By its definition the tag may hold the picture's own maximum: only 2^n - 1 says a depth.
    used = value.bit_length() if value > 255 and value & (value + 1) == 0 else stored
    is_colour = picture.mode in ("RGB", "RGBA", "LA")
    return is_colour and stored == 16, used if 8 < used < 16 else None


def _largest(value: Any) -> int | None:
    """A tag's whole number, or the largest of several."""
    values = value if isinstance(value, tuple) else (value,)
    return max((number for number in values if isinstance(number, int)), default=None)


def tag_of(picture: Any, number: int, otherwise: Any = None) -> Any:
    """A TIFF's tag; a damaged one counts as missing."""
    try:
        return picture.tag_v2.get(number, otherwise)
    except InterruptedWork:
        raise
    except Exception:  # Pillow reads a tag when it is asked for, and raises as it comes
        return otherwise


def _try_reader(kind: str, data: bytes) -> ImageFile.ImageFile | None:
    """The picture, None if the reader is not there or says that it is another kind."""
    factory, accept = Image.OPEN.get(kind, (None, None))
    if factory is None or (accept is not None and accept(data[:16]) is not True):
        return None
    reader: Any = _Tiff if kind == "TIFF" else factory
    try:
        return reader(io.BytesIO(data), "") if kind != "AVIF" else _open_avif(reader, data)
    except _NOT_THIS_KIND:
        return None


def _open_avif(reader: Any, data: bytes) -> ImageFile.ImageFile:
    """The AVIF; if need be without its EXIF, which Pillow writes anew and fails where it cannot.

    Nothing is lost: the orientation of an AVIF stands elsewhere.
    """
    try:
        return reader(io.BytesIO(data), "")
    except InterruptedWork:
        raise
    except Exception:
        return reader(io.BytesIO(_EXIF_OF_AVIF.sub(_without_entries, data)), "")


def _without_entries(match: re.Match[bytes]) -> bytes:
    order = "<" if match[1][:1] == b"I" else ">"
    return match[1] + struct.pack(order + "IH", 8, 0)


def _is_heif(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS


def _open_heif(data: bytes) -> ImageFile.ImageFile:
    try:
        heif = importlib.import_module(HEIC_PACKAGE)
    except ImportError:
        raise UnreadablePicture(f"a HEIC picture: {HEIC_MEND}") from None
    try:
        return heif.HeifImageFile(io.BytesIO(data), "")
    except _NOT_THIS_KIND:
        raise UnidentifiedImageError from None
