"""Focal length of a picture as its EXIF block tells it, in pixels of the decoded picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .exif_tags import Tags, camera_directory

_DIAGONAL_35MM = math.hypot(36, 24)
"""Millimetres of the picture that equivalent focal lengths are stated for."""

_FOCAL_35MM, _FOCAL_MM = 0xA405, 0x920A
_SIZE = (0xA002, 0xA003)
_PLANE_RESOLUTION, _PLANE_UNIT = 0xA20E, 0xA210
_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
_SHORTEST_MM, _LONGEST_MM = 5.0, 3000.0
"""Equivalents beyond are no lenses; 0 stands for unknown."""

_SAME_ASPECT = 0.02


@dataclass(frozen=True)
class Lens:
    """What EXIF says of the view."""

    focal_35mm: float
    """Focal length that gives a 36 x 24 mm picture the same diagonal angle of view, mm."""

    size: tuple[int, int] | None = None
    """Width and height of the picture that the camera wrote, px; None: not said."""

    def focal_px(self, width: int, height: int) -> float | None:
        """Focal length in px of the picture at a size, None if it was cut out of a larger one.

        Args:
            width: Of the picture, which may have been made smaller.
            height: Of the same; turned pictures may have both exchanged.
        """
        if self.size is not None and not _same_shape(self.size, (width, height)):
            return None
        return self.focal_35mm / _DIAGONAL_35MM * math.hypot(width, height)


def find_lens(exif: bytes | None) -> Lens | None:
    """The lens that an EXIF block tells of, None where it tells of none.

    Args:
        exif: EXIF block, with or without its mark `Exif`.
    """
    tags = camera_directory(exif or b"")
    width, height = (round(tags.get(tag, 0)) for tag in _SIZE)
    size = (width, height) if width and height else None
    focal = tags.get(_FOCAL_35MM) or _of_plane(tags, size)
    return Lens(focal, size) if focal and _SHORTEST_MM <= focal <= _LONGEST_MM else None


def _of_plane(tags: Tags, size: tuple[int, int] | None) -> float | None:
    """The equivalent of a focal length on a sensor whose pixels have a known size."""
    focal_mm, resolution = tags.get(_FOCAL_MM), tags.get(_PLANE_RESOLUTION)
    unit_mm = _UNIT_MM.get(round(tags.get(_PLANE_UNIT, 2)))
    if not focal_mm or not resolution or size is None or unit_mm is None:
        return None
    return focal_mm * resolution / unit_mm / math.hypot(*size) * _DIAGONAL_35MM


def _same_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    ratios = [max(size) / min(size) for size in (one, other)]
    return abs(ratios[0] / ratios[1] - 1) <= _SAME_ASPECT
