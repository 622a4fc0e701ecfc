"""Random backgrounds for synthetic pictures: crops of a folder of photographs, or drawn rooms."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
_LONGEST_SIDE = 900
"""Pixels a photograph is reduced to when it is loaded; crops are 256 px or less of it."""


class Backgrounds:
    """Draws (size, size, 3) backgrounds.

    Args:
        folder: photographs without people, searched recursively; None draws everything.
        drawn_share: share of drawn backgrounds when there are photographs.

    Raises:
        FileNotFoundError: the folder does not exist or holds no readable photograph.
    """

    def __init__(self, folder: str | Path | None, drawn_share: float = 0.35) -> None:
        self.photographs = [] if folder is None else _load_photographs(Path(folder))
        self.drawn_share = drawn_share if self.photographs else 1.0

    @property
    def digest(self) -> str:
        """How many photographs there are and the SHA-256 of their pixels, or "drawn"."""
        if not self.photographs:
            return "drawn"
        digest = hashlib.sha256(b"".join(photograph.tobytes() for photograph in self.photographs))
        return f"{len(self.photographs)} photographs, sha256 {digest.hexdigest()}"

    def sample(self, rng: np.random.Generator, num: int, size: int) -> Image:
        """(num, size, size, 3) uint8 RGB."""
        return np.stack([self._one(rng, size) for _ in range(num)])

    def _one(self, rng: np.random.Generator, size: int) -> Image:
        if rng.random() < self.drawn_share:
            return draw_background(rng, size)
        return random_crop(rng, self.photographs[rng.integers(len(self.photographs))], size)


def random_crop(rng: np.random.Generator, photograph: Image, size: int) -> Image:
    """A random square of a photograph, flipped and rescaled at random, (size, size, 3)."""
    height, width = photograph.shape[:2]
    side = int(rng.uniform(0.25, 1.0) * min(height, width))
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    crop = photograph[top : top + side, left : left + side]
    crop = np.asarray(cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    return np.clip(crop * rng.uniform(0.6, 1.3), 0, 255).astype(np.uint8)


def draw_background(rng: np.random.Generator, size: int) -> Image:
    """A drawn room-like picture: graded walls with furniture, tiles, shelves and writing."""
    image = _graded(rng, size)
    painters: Sequence[Callable[[np.random.Generator, Image], None]] = (
        _paint_boxes, _paint_lines, _paint_tiles, _paint_writing, _paint_blobs,
    )  # fmt: skip
    for painter in rng.permutation(np.array(painters, dtype=object))[: rng.integers(1, 5)]:
        painter(rng, image)
    return image


def _load_photographs(folder: Path) -> list[Image]:
    if not folder.is_dir():
        raise FileNotFoundError(f"no background folder {folder}; pass data.backgrounds=FOLDER")
    photographs: list[Image] = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in EXTENSIONS:
            continue
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            continue
        scale = min(1.0, _LONGEST_SIDE / max(image.shape[:2]))
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        photographs.append(np.ascontiguousarray(image[..., ::-1], np.uint8))
    if not photographs:
        raise FileNotFoundError(
            f"no readable photograph in {folder}; put {sorted(EXTENSIONS)} files there"
        )
    return photographs


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
