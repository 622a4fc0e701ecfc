"""What is drawn over pictures and beside them: keypoint skeletons, a colour bar."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from hierprob3d.model.body.skeleton import COCO_EDGES, COCO_KEYPOINT_NAMES

from .drawing import FULL_SPREAD_M, Picture, spread_colours
from .lettering import write_text

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
                colour = side_colour(start, end)
                cv2.line(drawn, points[start], points[end], colour, thickness, cv2.LINE_AA)
        for index in np.flatnonzero(seen).tolist():
            colour = side_colour(index)
            cv2.circle(drawn, points[index], 2 * thickness, colour, -1, cv2.LINE_AA)
    return drawn


def add_spread_legend(picture: Picture) -> Picture:
    """The picture with a colour bar below it that reads the spread in centimetres."""
    return np.concatenate([picture, _spread_legend(picture.shape[1])], axis=0)


@lru_cache(maxsize=16)
def _spread_legend(width: int) -> Picture:
    """The colour bar with its words, below a picture so wide."""
    height = max(28, round(width * 0.07))
    strip = np.full((height, width, 3), 255, np.uint8)
    left, right = round(width * 0.3), round(width * 0.84)
    top, bottom = round(height * 0.3), round(height * 0.7)
    strip[top:bottom, left:right] = spread_bar(bottom - top, right - left)
    scale, baseline = height / 62, round(height * 0.63)
    gap = round(8 * scale)
    write_text(strip, "spread 0 cm", (left - gap, baseline), scale, ends=True)
    write_text(strip, f"{FULL_SPREAD_M * 100:.0f}+ cm", (right + gap, baseline), scale)
    return strip


def spread_bar(height: int, width: int) -> Picture:
    """The colours of spreads from 0 to `FULL_SPREAD_M`, left to right."""
    colours = spread_colours(torch.linspace(0, FULL_SPREAD_M, width))
    return np.broadcast_to((colours * 255).byte().numpy(), (height, width, 3))


def side_colour(*keypoints: int) -> tuple[int, int, int]:
    """RGB of a keypoint or limb: orange left, blue right, white in the middle."""
    sides = {COCO_KEYPOINT_NAMES[index].split("_")[0] for index in keypoints}
    return _SIDE_COLOURS.get(sides.pop(), _MIDDLE_COLOUR) if len(sides) == 1 else _MIDDLE_COLOUR
