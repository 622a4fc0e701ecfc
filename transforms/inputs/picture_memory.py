"""Memory that decoding a picture takes, known from its header.

Bytes per pixel, the file's own among them: how far the process's peak grew at 16 megapixels, and
what `estimate_decode_bytes` says.

    kind                    measured  estimate    kind                  measured  estimate
    JPEG 4:2:0                  7.96      8.71    TIFF float               11.63     12.27
    JPEG 4:4:4                  8.17      8.92    TIFF LZW                 11.51     12.33
    progressive 4:2:0           7.91      8.66    WebP                     16.33     18.00
    progressive 4:4:4          10.66     12.00    WebP lossless            19.66     21.33
    JPEG grey                   4.60      5.34    WebP RGBA                16.84     18.50
    JPEG CMYK                   8.30      9.04    AVIF                      9.94     12.68
    PNG RGB                    11.43     12.22    JPEG 2000 RGB            19.58     21.02
    PNG RGBA                   12.88     13.43    HEIC                      8.09     10.43
    PNG palette                 5.18      5.89    BMP                      10.43     11.27
    PNG 16-bit grey             8.21      8.52    GIF                       5.06      5.80
    PNG 16-bit RGB             15.52     15.78
"""

from __future__ import annotations

from PIL import ImageFile

from .encoded_picture import EncodedPicture, UnreadablePicture
from .picture_formats import tag_of

_RESULT = 3
"""Bytes per pixel of the RGB array."""

_ONE_BYTE_MODES = ("1", "L", "P")
_TWO_BYTE_MODES = ("I;16", "I;16L", "I;16B", "I;16N")
_PYTHON_DECODERS = ("ppm", "ppm_plain", "qoi", "bmp_rle")
"""Pillow's decoders that collect all values before they store them, and copy them twice."""

_FIXED_BYTES = 14 << 20
_MARGIN = 1.05
_REDUCTIONS = (1, 2, 4, 8)
"""How many times smaller a JPEG's decoder can make it while it decodes."""

_ROWS_PER_STRIP_TAG, _TILE_TAGS = 278, (322, 323)


def estimate_decode_bytes(
    picture: ImageFile.ImageFile, encoded: EncodedPicture, reduction: int = 1
) -> int:
    """Upper bound of the memory that decoding takes at its peak, the file's bytes among it.

    Args:
        picture: With its header read.
        encoded: What it was opened from.
        reduction: How many times smaller it is to be decoded.
    """
    num_pixels = picture.width * picture.height / reduction**2
    stored = _stored_bytes(picture.mode)
    while_decoding = num_pixels * (stored + _decoder_bytes(picture, encoded, stored))
    while_converting = num_pixels * (stored + _RESULT + _kept_bytes(picture.format))
    if encoded.declared_bits is not None and encoded.deep_colour:
        while_converting += 8 * num_pixels  # read anew with all their bits
    num_copies = 2 if encoded.kind is not None or picture.format in ("WEBP", "AVIF") else 1
    whole = max(while_decoding + encoded.coefficient_bytes, while_converting)
    return round(_MARGIN * whole) + num_copies * len(encoded.data) + _FIXED_BYTES


def fit_memory(
    picture: ImageFile.ImageFile, encoded: EncodedPicture, limit_bytes: int | None
) -> int:
    """How many times smaller the picture is going to be decoded, so that the memory suffices.

    Args:
        picture: With its header read; of a JPEG, its size changes here.
        encoded: What it was opened from.
        limit_bytes: Memory that may be taken, None for any.

    Raises:
        UnreadablePicture: It cannot be decoded in so little.
    """
    reductions = _REDUCTIONS if encoded.kind == "JPEG" else (1,)
    for reduction in reductions:
        needed = estimate_decode_bytes(picture, encoded, reduction)
        if limit_bytes is None or needed <= limit_bytes:
            if reduction > 1:
                picture.draft(None, (picture.width // reduction, picture.height // reduction))
            return reduction
    least = estimate_decode_bytes(picture, encoded, reductions[-1])
    raise UnreadablePicture(
        f"decoding {picture.width} x {picture.height} px ({picture.format}, {picture.mode}) takes "
        f"{least / 1e9:.2f} GB of memory, more than the {(limit_bytes or 0) / 1e9:.2f} GB that a "
        "worker has for it"
    )


def _stored_bytes(mode: str) -> int:
    """Of Pillow's own picture, per pixel."""
    if mode in _ONE_BYTE_MODES:
        return 1
    return 2 if mode in _TWO_BYTE_MODES else 4


def _decoder_bytes(picture: ImageFile.ImageFile, encoded: EncodedPicture, stored: int) -> float:
    """What a decoder takes beside Pillow's picture, per pixel."""
    kind, channels = picture.format, len(picture.getbands())
    if kind == "WEBP":
        return 12  # two canvases of four bytes, and the frame handed over
    if kind == "AVIF":
        return 10 if _is_deep_avif(encoded.data) else 7
    if kind == "HEIF":
        return 5
    if kind == "JPEG2000":
        return 5 * channels  # four bytes a value, and the packed ones
    if kind == "GIF":  # later frames are laid over earlier ones, in colour
        return 11 if getattr(picture, "is_animated", False) else 0
    if kind == "TIFF":
        return _strip_bytes(picture, channels)
    if picture.tile and picture.tile[0][0] in _PYTHON_DECODERS:
        return 3 * (channels if channels > 1 else stored)
    return 0


def _kept_bytes(kind: str | None) -> int:
    """What a decoder still keeps while its picture is converted, per pixel."""
    return {"WEBP": 8, "AVIF": 4}.get(kind or "", 0)


def _strip_bytes(picture: ImageFile.ImageFile, channels: int) -> float:
    """Of a compressed TIFF's strip or tile, spread over the picture; a tile may be larger."""
    if not picture.tile or picture.tile[0][0] == "raw":
        return 0
    width, height = picture.size
    tile_width, tile_height = (tag_of(picture, tag) for tag in _TILE_TAGS)
    if isinstance(tile_width, int) and isinstance(tile_height, int):
        share = tile_width * tile_height / (width * height)
    else:
        rows = tag_of(picture, _ROWS_PER_STRIP_TAG, height)
        share = min(1.0, rows / height) if isinstance(rows, int) else 1.0
    return share * channels * 2


def _is_deep_avif(data: bytes) -> bool:
    """Whether values have ten or twelve bits: a flag in the codec's configuration."""
    place = data.find(b"av1C")
    return place < 0 or place + 6 >= len(data) or bool(data[place + 6] & 0x40)
