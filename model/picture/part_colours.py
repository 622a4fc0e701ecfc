"""The colours of a person's parts in a picture: who wears what, in fifteen numbers.

They tell two people of a video apart where they pass before each other. Each part's colour is the
median of some pixels between its keypoints, so that a hand before the trunk changes little.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from hierprob3d.model.body.skeleton import BODY_PARTS, NUM_KEYPOINTS

_LINE = np.array([[1 - t, t] for t in (0.2, 0.35, 0.5, 0.65, 0.8)])
_QUAD = np.array(
    [[(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v]
     for v in (0.2, 0.4, 0.6, 0.8) for u in (0.25, 0.5, 0.75)]
)  # fmt: skip
_SPOTS = {2: _LINE, 4: _QUAD, 5: np.eye(5)}
"""Where pixels are looked at, as shares of the corners, by the number of those."""


def _spots_of_parts() -> list[np.ndarray]:
    """Shares (S, 17) of the keypoints in the spots of each part."""
    found = []
    for pieces in BODY_PARTS.values():
        shares = [np.zeros((len(_SPOTS[len(corners)]), NUM_KEYPOINTS)) for corners in pieces]
        for share, corners in zip(shares, pieces, strict=True):
            share[:, corners] = _SPOTS[len(corners)]
        found.append(np.concatenate(shares))
    return found


_SHARES = _spots_of_parts()


def part_colours(
    image: UInt8[np.ndarray, "H W 3"], keypoints: Float32[np.ndarray, "P 17 3"]
) -> Float32[np.ndarray, "P 5 3"]:
    """Colours of the `BODY_PARTS` in CIELAB: lightness 0 to 100, green to red, blue to yellow.

    Args:
        image: RGB.
        keypoints: x and y in px and confidence; where they lie outside, the border is looked at.
    """
    if not len(keypoints):
        return np.empty((0, len(BODY_PARTS), 3), np.float32)
    last = np.array(image.shape[1::-1]) - 1
    colours = np.empty((len(keypoints), len(BODY_PARTS), 3), np.float32)
    for part, shares in enumerate(_SHARES):
        spots = shares @ keypoints[..., :2]
        columns, rows = (
            np.clip(np.nan_to_num(spots).round(), 0, last).astype(int).transpose(2, 0, 1)
        )
        pixels = image[rows, columns].astype(np.float32) / 255
        colours[:, part] = np.median(cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB), axis=1)
    return colours
