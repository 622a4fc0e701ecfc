"""Random backgrounds for synthetic pictures: cut from photographs or from drawn rooms."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from hierprob3d.configs.synthetic_people import BackgroundConfig
from hierprob3d.training.random.draws import Draws

from .drawn_rooms import draw_room
from .picture_bank import BYTES_PER_PIXEL, Image, PictureBank

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
_LONGEST_SIDE = 900
"""Pixels a photograph is reduced to when it is loaded; crops are 256 px or less of it."""
_DRAWN_SIZE = 320
_DRAWN_CROP = (0.6, 1.0)
"""Range of the side of the square cut from a drawn picture, over its side."""
DRAWN = "drawn"
"""Stands in descriptions for the digest of files where there are none."""
_SEED = 0
"""Seed of the drawn pictures, and of the choice from a folder that does not fit."""

_logger = logging.getLogger(__name__)


class Backgrounds:
    """Draws square backgrounds, all of a batch at once.

    Args:
        folder: photographs without people, searched recursively; None draws everything.
        config: see BackgroundConfig.
        device: where pictures are held and cut.

    Raises:
        FileNotFoundError: the folder does not exist or holds no readable photograph.
    """

    def __init__(
        self,
        folder: str | Path | None,
        config: BackgroundConfig | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config = config or BackgroundConfig()
        photographs = [] if folder is None else _load_photographs(Path(folder), self.config)
        self._num_photographs = len(photographs)
        self._drawn_share = self.config.drawn_share if photographs else 1.0
        self.digest = _digest(photographs)
        """How many photographs there are and the SHA-256 of their pixels, or DRAWN."""
        drawn = _drawn_rooms(self.config.num_drawn) if self._drawn_share else []
        self._bank = PictureBank([*photographs, *drawn], device)

    def sample(self, draws: Draws, num: int, size: int) -> Tensor:
        """(num, size, size, 3) RGB, 0..1."""
        is_drawn = draws.chance(self._drawn_share, num)
        picture = self._pick(draws, is_drawn)
        shorter = self._bank.sizes[picture, 0].amin(-1)
        crops = [draws.uniform(*limits, num) for limits in (self.config.crop, _DRAWN_CROP)]
        side = torch.where(is_drawn, crops[1], crops[0]) * shorter
        room = self._bank.sizes[picture, 0].flip(-1) - side[:, None]
        corner = room * draws.uniform(0, 1, num, 2)
        cut = self._bank.crop(picture, corner, side, size) / 255
        cut = torch.where(draws.chance(0.5, num, 1, 1, 1), cut, cut.flip(2))
        gain = draws.uniform(*self.config.gain, num, 1, 1, 1)
        recoloured = _recoloured(draws, cut) if self._drawn_share else cut
        return torch.where(is_drawn[:, None, None, None], recoloured, cut * gain).clamp(max=1)

    def _pick(self, draws: Draws, is_drawn: Tensor) -> Tensor:
        """Index (num,) of a photograph or a drawn picture."""
        num_drawn = len(self._bank) - self._num_photographs
        drawn = self._num_photographs + draws.below(max(num_drawn, 1), len(is_drawn))
        photographs = draws.below(max(self._num_photographs, 1), len(is_drawn))
        return torch.where(is_drawn, drawn, photographs)


def _recoloured(draws: Draws, pictures: Tensor) -> Tensor:
    """Pictures (N, H, W, 3) with channels exchanged, and each turned dark for light or not."""
    num = len(pictures)
    order = draws.uniform(0, 1, num, 3).argsort(-1)[:, None, None].expand_as(pictures)
    exchanged = pictures.gather(-1, order)
    return torch.where(draws.chance(0.5, num, 1, 1, 3), 1 - exchanged, exchanged)


def _load_photographs(folder: Path, config: BackgroundConfig) -> list[Image]:
    """Photographs of a folder in random order, until the memory allowed is full."""
    if not folder.is_dir():
        raise FileNotFoundError(f"no background folder {folder}; pass data.backgrounds=FOLDER")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS)
    order = np.random.default_rng(_SEED).permutation(len(paths))
    photographs: list[Image] = []
    allowed = config.gigabytes * 1e9
    for photograph in _photographs(paths[index] for index in order):
        allowed -= BYTES_PER_PIXEL * photograph.shape[0] * photograph.shape[1]
        if allowed < 0 and photographs:
            _logger.info(
                "%d of %d photographs fill data.background_look.gigabytes=%g; the others are left",
                len(photographs), len(paths), config.gigabytes,
            )  # fmt: skip
            break
        photographs.append(photograph)
    if not photographs:
        raise FileNotFoundError(
            f"no readable photograph in {folder}; put {sorted(EXTENSIONS)} files there"
        )
    return photographs


def _photographs(paths: Iterator[Path]) -> Iterator[Image]:
    """(H, W, 3) RGB photographs at the size that is kept; files that are none are passed over."""
    for path in paths:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            continue
        scale = min(1.0, _LONGEST_SIDE / max(image.shape[:2]))
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        yield np.ascontiguousarray(image[..., ::-1], np.uint8)


@cache
def _drawn_rooms(num: int) -> list[Image]:
    rng = np.random.default_rng(_SEED)
    return [draw_room(rng, _DRAWN_SIZE) for _ in range(num)]


def _digest(photographs: list[Image]) -> str:
    if not photographs:
        return DRAWN
    digest = hashlib.sha256()
    for photograph in photographs:
        digest.update(photograph.tobytes())
    return f"{len(photographs)} photographs, sha256 {digest.hexdigest()}"
