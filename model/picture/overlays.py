"""What is drawn over pictures and beside them: keypoint skeletons, a colour bar, text."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from hierprob3d.model.body.skeleton import COCO_EDGES, COCO_KEYPOINT_NAMES

from .drawing import FULL_SPREAD_M, Picture, spread_colours

_SIDE_COLOURS = {"left": (255, 120, 40), "right": (40, 170, 255)}
_MIDDLE_COLOUR = (240, 240, 240)


def draw_keypoints(
    image: Picture, keypoints: NDArray[np.floating], threshold: float = 0.0
) -> Picture:
    """The photograph with COCO skeletons: left side orange, right side blue, middle white.

    Args:
        image: photograph.
        keypoints: (P, 17, 3) x, y (px of the photograph), confidence.
        threshold: keypoints at or below this confidence, and their limbs, are left out.
    """
    drawn = image.copy()
    thickness = max(1, round(max(image.shape[:2]) / 256))
    for person in keypoints:
        seen = np.isfinite(person).all(-1) & (person[:, 2] > threshold)
        points = np.rint(np.clip(np.nan_to_num(person[:, :2]), -1e6, 1e6)).astype(int).tolist()
        for start, end in COCO_EDGES:
            if seen[start] and seen[end]:
                colour = _side_colour(start, end)
                cv2.line(drawn, points[start], points[end], colour, thickness, cv2.LINE_AA)
        for index in np.flatnonzero(seen).tolist():
            colour = _side_colour(index)
            cv2.circle(drawn, points[index], 2 * thickness, colour, -1, cv2.LINE_AA)
    return drawn


def add_spread_legend(picture: Picture, full_spread: float = FULL_SPREAD_M) -> Picture:
    """The picture with a colour bar below it that reads the spread in centimetres."""
    width = picture.shape[1]
    height = max(28, round(width * 0.07))
    strip = np.full((height, width, 3), 255, np.uint8)
    left, right = round(width * 0.3), round(width * 0.84)
    top, bottom = round(height * 0.3), round(height * 0.7)
    values = torch.linspace(0, full_spread, right - left)
    strip[top:bottom, left:right] = (spread_colours(values, full_spread) * 255).byte().numpy()
    scale, baseline = height / 62, round(height * 0.63)
    gap = round(8 * scale)
    write_text(strip, "spread 0 cm", (left - gap, baseline), scale, ends=True)
    write_text(strip, f"{full_spread * 100:.0f}+ cm", (right + gap, baseline), scale)
    return np.concatenate([picture, strip], axis=0)


def write_text(
    picture: Picture,
    text: str,
    place: tuple[int, int],
    scale: float = 0.4,
    colour: tuple[int, int, int] = (0, 0, 0),
    *,
    ends: bool = False,
) -> None:
    """Small text that starts, or ends, at `place` (x, baseline).

    Args:
        picture: changed in place.
        text: one line.
        place: px of the picture.
        scale: 0.4 gives capitals 9 px high.
        colour: in the picture's order of channels.
        ends: whether `place` is the end of the text.
    """
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    start = (place[0] - width if ends else place[0], place[1])
    cv2.putText(picture, text, start, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)


def _side_colour(*keypoints: int) -> tuple[int, int, int]:
    """Colour of a keypoint or limb: of its body side if it lies on one."""
    sides = {COCO_KEYPOINT_NAMES[index].split("_")[0] for index in keypoints}
    return _SIDE_COLOURS.get(sides.pop(), _MIDDLE_COLOUR) if len(sides) == 1 else _MIDDLE_COLOUR
