"""Random backgrounds for synthetic pictures: cut from photographs or from drawn rooms."""

from __future__ import annotations

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
from .picture_folder import PictureFolder

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
        self._photographs = _photograph_source(folder, self.config, device)
        self._drawn_share = 1.0 if self._photographs is None else self.config.drawn_share
        self.digest = DRAWN if self._photographs is None else self._photographs.digest
        """How many photographs there are and the SHA-256 of their pixels (of their names, where
        they are streamed), or DRAWN."""
        self._drawn: PictureBank | None = None
        if self._drawn_share:
            self._drawn = PictureBank(_drawn_rooms(self.config.num_drawn), device)

    def sample(self, draws: Draws, num: int, size: int) -> Tensor:
        """(num, size, size, 3) RGB, 0..1."""
        is_drawn = draws.chance(self._drawn_share, num)
        drawn, photograph = (
            draws.below(max(0 if source is None else len(source), 1), num)
            for source in (self._drawn, self._photographs)
        )
        shares = [draws.uniform(*limits, num) for limits in (self.config.crop, _DRAWN_CROP)]
        place = draws.uniform(0, 1, num, 2)
        cut = torch.empty(num, size, size, 3, device=draws.device)
        if self._drawn is not None:
            cut[is_drawn] = self._drawn.cut(
                drawn[is_drawn], shares[1][is_drawn], place[is_drawn], size
            )
        seen = ~is_drawn
        if self._photographs is not None and self.config.whole:
            cut[seen] = self._photographs.pressed(photograph[seen], size)
        elif self._photographs is not None:
            cut[seen] = self._photographs.cut(photograph[seen], shares[0][seen], place[seen], size)
        return self._recorded(draws, cut / 255, is_drawn)

    def _recorded(self, draws: Draws, cut: Tensor, is_drawn: Tensor) -> Tensor:
        """Squares (N, S, S, 3) mirrored, brighter or darker, drawn ones in other colours."""
        num = len(cut)
        is_as_taken = draws.chance(1 - self.config.mirrored, num, 1, 1, 1)
        cut = torch.where(is_as_taken, cut, cut.flip(2))
        gain = draws.uniform(*self.config.gain, num, 1, 1, 1)
        recoloured = _recoloured(draws, cut) if self._drawn_share else cut
        return torch.where(is_drawn[:, None, None, None], recoloured, cut * gain).clamp(max=1)


def _recoloured(draws: Draws, pictures: Tensor) -> Tensor:
    """Pictures (N, H, W, 3) with channels exchanged, and each turned dark for light or not."""
    num = len(pictures)
    order = draws.uniform(0, 1, num, 3).argsort(-1)[:, None, None].expand_as(pictures)
    exchanged = pictures.gather(-1, order)
    return torch.where(draws.chance(0.5, num, 1, 1, 3), 1 - exchanged, exchanged)


def _photograph_source(
    folder: str | Path | None, config: BackgroundConfig, device: torch.device | str
) -> PictureBank | PictureFolder | None:
    """The photographs of a folder, in memory or, streamed, on the disk; None without a folder."""
    if folder is None:
        return None
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no background folder {folder}; pass data.backgrounds=FOLDER")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS)
    photographs = [] if config.streamed else _load_photographs(paths, config)
    if not (paths if config.streamed else photographs):
        raise FileNotFoundError(
            f"no readable photograph in {folder}; put {sorted(EXTENSIONS)} files there"
        )
    if config.streamed:
        return PictureFolder(folder, paths, device)
    return PictureBank(photographs, device)


def _load_photographs(paths: list[Path], config: BackgroundConfig) -> list[Image]:
    """Photographs in random order, until the memory allowed is full."""
    order = np.random.default_rng(_SEED).permutation(len(paths))
    photographs: list[Image] = []
    allowed = config.gigabytes * 1e9
    for photograph in _photographs(paths[index] for index in order):
        allowed -= BYTES_PER_PIXEL * photograph.shape[0] * photograph.shape[1]
        if allowed < 0 and photographs:
            _logger.info(
                "%d of %d photographs fill data.background_look.gigabytes=%g; to use all of them, "
                "set data.background_look.streamed=true",
                len(photographs), len(paths), config.gigabytes,
            )  # fmt: skip
            break
        photographs.append(photograph)
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
