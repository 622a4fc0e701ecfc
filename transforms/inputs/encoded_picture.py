"""The bytes of a picture file, freed of metadata, with the few facts that decoding needs."""

from __future__ import annotations

from dataclasses import dataclass

from .focal_length import Lens


class UnreadablePicture(ValueError):
    """The bytes are no picture that can be used; the message says why."""


@dataclass(frozen=True)
class EncodedPicture:
    """What a decoder gets, and what is known before it begins."""

    data: bytes
    """The file, without comments, colour profiles and other metadata where those are known."""

    kind: str | None = None
    """Pillow's name of the format where the walk through the file made it out."""

    orientation: int | None = None
    """1 to 8 as EXIF counts them; None: only the decoder knows."""

    lens: Lens | None = None
    """What EXIF says of the view; None where nothing, or where only the decoder knows."""

    coefficient_bytes: int = 0
    """Memory that a progressive JPEG's decoder takes for all coefficients."""

    deep_colour: bool = False
    """Whether colours have 16 bits, of which Pillow keeps the upper eight."""

    declared_bits: int | None = None
    """Bits of the values as the file declares them, where those are fewer than it stores."""

    is_whole: bool = True
    """Whether the file has its end."""
