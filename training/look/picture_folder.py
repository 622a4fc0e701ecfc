"""Pictures of a folder, each read when it is drawn: for folders that do not fit into memory."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from .picture_bank import Image

_MOST_UNREADABLE = 100
"""So many unreadable files in a row are no pictures at all."""

_logger = logging.getLogger(__name__)


class PictureFolder:
    """Pictures on a disk, cut and scaled by the threads of this process.

    Args:
        folder: where they lie.
        paths: of the pictures.
        device: where their squares go.
    """

    def __init__(self, folder: Path, paths: Sequence[Path], device: torch.device | str) -> None:
        self._folder, self._paths, self._device = folder, list(paths), device
        self._threads = ThreadPoolExecutor(min(16, os.cpu_count() or 1))

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def digest(self) -> str:
        """How many pictures there are, and the SHA-256 of their names: reading all takes hours."""
        names = "\n".join(str(path.relative_to(self._folder)) for path in self._paths)
        digest = hashlib.sha256(names.encode()).hexdigest()
        return f"{len(self._paths)} photographs, sha256 of their names {digest}"

    def cut(self, picture: Tensor, share: Tensor, place: Tensor, size: int) -> Tensor:
        """Squares of pictures; arguments and result as of `PictureBank.cut`."""
        square = partial(self._square, size)
        squares = self._threads.map(square, picture.tolist(), share.tolist(), place.tolist())
        return self._stacked(list(squares), size)

    def pressed(self, picture: Tensor, size: int) -> Tensor:
        """Whole pictures; arguments and result as of `PictureBank.pressed`."""

        def press(index: int) -> Image:
            return np.asarray(cv2.resize(self._read(index), (size, size)), np.uint8)

        return self._stacked(list(self._threads.map(press, picture.tolist())), size)

    def _stacked(self, squares: list[Image], size: int) -> Tensor:
        pixels = np.array(squares, np.uint8).reshape(-1, size, size, 3)
        return torch.from_numpy(pixels).to(self._device).float()

    def _square(self, size: int, index: int, share: float, place: tuple[float, float]) -> Image:
        image = self._read(index)
        height, width = image.shape[:2]
        side = max(1, round(share * min(height, width)))
        left, top = round((width - side) * place[0]), round((height - side) * place[1])
        square = image[top : top + side, left : left + side]
        way = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(square, (size, size), interpolation=way), np.uint8)

    def _read(self, index: int) -> Image:
        """(H, W, 3) RGB; in place of a file that is no picture, the next one that is."""
        for number in range(index, index + _MOST_UNREADABLE):
            path = self._paths[number % len(self._paths)]
            image = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if image is not None:
                return np.ascontiguousarray(image[..., ::-1], np.uint8)
            _logger.warning("%s cannot be read; the next picture is taken", path)
        raise ValueError(f"{self._folder}: {_MOST_UNREADABLE} files in a row cannot be read")
