"""Text in pictures, in the typeface that Pillow has in it."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_SIZE_PER_SCALE = 32
"""Points at scale 1: capitals are then 23 px high."""


def write_text(
    picture: NDArray[np.uint8],
    text: str,
    place: tuple[int, int],
    scale: float = 0.4,
    colour: tuple[int, int, int] = (0, 0, 0),
    *,
    ends: bool = False,
    middle: bool = False,
) -> None:
    """Text whose start, end or middle is at `place` (x, baseline); what leaves the picture is cut.

    Args:
        picture: changed in place.
        text: one line.
        place: px of the picture.
        scale: 0.4 gives capitals 9 px high.
        colour: in the picture's order of channels.
        ends: whether `place` is the end of the text.
        middle: whether `place` is the middle of the text.
    """
    font = _font(round(_SIZE_PER_SCALE * scale))
    anchor = "rs" if ends else "ms" if middle else "ls"
    left, top, right, bottom = font.getbbox(text, anchor=anchor)
    x0, x1 = (min(max(0, place[0] + round(x)), picture.shape[1]) for x in (left - 1, right + 1))
    y0, y1 = (min(max(0, place[1] + round(y)), picture.shape[0]) for y in (top - 1, bottom + 1))
    if x1 <= x0 or y1 <= y0:
        return
    region = Image.fromarray(np.ascontiguousarray(picture[y0:y1, x0:x1]))
    where = (place[0] - x0, place[1] - y0)
    ImageDraw.Draw(region).text(where, text, fill=colour, font=font, anchor=anchor)
    picture[y0:y1, x0:x1] = np.asarray(region)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(max(8, size))
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow's wheels have FreeType"
    return font
