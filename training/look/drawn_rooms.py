"""Drawn room-like pictures, backgrounds where there are no photographs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def draw_room(rng: np.random.Generator, size: int) -> Image:
    """(size, size, 3) RGB: graded walls with furniture, tiles, shelves and writing."""
    image = _graded(rng, size)
    painters: Sequence[Callable[[np.random.Generator, Image], None]] = (
        _paint_boxes, _paint_lines, _paint_tiles, _paint_writing, _paint_blobs,
    )  # fmt: skip
    for painter in rng.permutation(np.array(painters, dtype=object))[: rng.integers(1, 5)]:
        painter(rng, image)
    return image


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = rng.integers(0, 256, 3).tolist()
    return red, green, blue


def _graded(rng: np.random.Generator, size: int) -> Image:
    """A two-colour gradient with a horizon at a random height."""
    wall, floor = np.array(_colour(rng), float), np.array(_colour(rng), float)
    rows = np.linspace(0, 1, size)[:, None, None]
    image = np.repeat(wall * (1 - 0.4 * rows), size, axis=1)
    horizon = int(rng.uniform(0.4, 1.2) * size)
    image[horizon:] = floor * (0.6 + 0.4 * rows[horizon:])
    grain = rng.normal(0, rng.uniform(0, 12), (size, size, 1))
    return np.ascontiguousarray(np.clip(image + grain, 0, 255).astype(np.uint8))


def _paint_boxes(rng: np.random.Generator, image: Image) -> None:
    size = len(image)
    for _ in range(rng.integers(2, 12)):
        x, y = rng.integers(-size // 4, size, 2).tolist()
        w, h = rng.integers(size // 16, size // 2, 2).tolist()
        fill = -1 if rng.random() < 0.7 else int(rng.integers(1, 4))
        cv2.rectangle(image, (x, y), (x + w, y + h), _colour(rng), fill)


def _paint_lines(rng: np.random.Generator, image: Image) -> None:
    size = len(image)
    for _ in range(rng.integers(3, 20)):
        a, b = rng.integers(0, size, (2, 2)).tolist()
        cv2.line(image, a, b, _colour(rng), int(rng.integers(1, 5)), cv2.LINE_AA)


def _paint_tiles(rng: np.random.Generator, image: Image) -> None:
    step, shift = int(rng.integers(8, 40)), int(rng.integers(0, 8))
    colour, thickness = _colour(rng), int(rng.integers(1, 3))
    for position in range(shift, len(image), step):
        cv2.line(image, (position, 0), (position, len(image)), colour, thickness)
        cv2.line(image, (0, position), (len(image), position), colour, thickness)


def _paint_writing(rng: np.random.Generator, image: Image) -> None:
    for _ in range(rng.integers(1, 6)):
        letters = "".join(chr(c) for c in rng.integers(65, 91, rng.integers(2, 12)))
        x, y = rng.integers(0, len(image), 2).tolist()
        cv2.putText(image, letters, (x, y), int(rng.integers(0, 6)), float(rng.uniform(0.4, 2)),
                    _colour(rng), int(rng.integers(1, 4)), cv2.LINE_AA)  # fmt: skip


def _paint_blobs(rng: np.random.Generator, image: Image) -> None:
    size = len(image)
    for _ in range(rng.integers(2, 10)):
        centre = rng.integers(0, size, 2).tolist()
        axes = rng.integers(size // 30, size // 4, 2).tolist()
        cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, _colour(rng), -1,
                    cv2.LINE_AA)  # fmt: skip
