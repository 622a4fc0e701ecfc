"""Pictures of all sizes in one tensor, from which squares are cut and scaled in batches."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Image = NDArray[np.uint8]

NUM_LEVELS = 3
"""Every picture is held at full, half and quarter size, so that shrinking averages."""

BYTES_PER_PIXEL = 4 * sum(4.0**-level for level in range(NUM_LEVELS))


class PictureBank:
    """Pictures on one device.

    Args:
        pictures: (H, W, 3) uint8 RGB each, of any size.
        device: where they are held.
    """

    def __init__(self, pictures: Sequence[Image], device: torch.device | str) -> None:
        self.digest = _digest(pictures)
        """How many pictures there are, and the SHA-256 of their pixels."""
        levels = [_pyramid(picture) for picture in pictures]
        sizes = np.array([[level.shape[:2] for level in pyramid] for pyramid in levels])
        flat = [_packed(level) for pyramid in levels for level in pyramid]
        ends = np.cumsum([len(part) for part in flat]).reshape(sizes.shape[:2])
        self._pixels = torch.from_numpy(np.concatenate(flat)).to(device)  # int32, one a pixel
        self.sizes = torch.from_numpy(sizes).to(device)
        """(N, NUM_LEVELS, 2) height and width of every picture at every level."""
        self._starts = torch.from_numpy(ends).to(device) - self.sizes.prod(-1)

    def __len__(self) -> int:
        return len(self.sizes)

    def cut(self, picture: Tensor, share: Tensor, place: Tensor, size: int) -> Tensor:
        """Squares within pictures.

        Args:
            picture: (B,) index of the picture.
            share: (B,) side of the square over the picture's shorter side.
            place: (B, 2) how far right and down it lies, from 0 to 1.
            size: side of the result, px.

        Returns:
            (B, size, size, 3) 0..255, float32.
        """
        extent = self.sizes[picture, 0]
        side = share * extent.amin(-1)
        corner = (extent.flip(-1) - side[:, None]) * place
        return self.crop(picture, corner, side[:, None].expand(-1, 2), size)

    def pressed(self, picture: Tensor, size: int) -> Tensor:
        """(B, size, size, 3) whole pictures (B,), pressed into squares, 0..255, float32."""
        extent = self.sizes[picture, 0].flip(-1).float()
        return self.crop(picture, torch.zeros_like(extent), extent, size)

    def crop(self, picture: Tensor, corner: Tensor, side: Tensor, size: int) -> Tensor:
        """Parts of pictures, scaled by bilinear interpolation between averaged pixels.

        Args:
            picture: (B,) index of the picture.
            corner: (B, 2) left and top of the part, px of the full picture.
            side: (B, 2) its width and height, px; it should lie within the picture.
            size: side of the result, px.

        Returns:
            (B, size, size, 3) 0..255, float32.
        """
        level = (side[:, 0] / size).log2().round().clamp(0, NUM_LEVELS - 1).long()
        extent, full = self.sizes[picture, level], self.sizes[picture, 0]
        steps = (torch.arange(size, device=side.device) + 0.5) / size
        place = corner[..., None] + side[..., None] * steps  # (B, xy, size)
        place = place * (extent / full).flip(-1)[..., None] - 0.5
        low = place.floor()
        (x0, y0), (across, down) = low.long().unbind(1), (place - low).unbind(1)
        height, width = (extent - 1)[..., None].unbind(1)
        start = self._starts[picture, level][:, None, None]
        rows = [
            start + (y.clamp(min=0).minimum(height) * (width + 1))[..., None] for y in (y0, y0 + 1)
        ]
        left, right = (x.clamp(min=0).minimum(width)[:, None] for x in (x0, x0 + 1))
        across, down = across[:, None, :, None], down[:, :, None, None]
        top, bottom = (
            torch.lerp(self._colours(row + left), self._colours(row + right), across)
            for row in rows
        )
        return torch.lerp(top, bottom, down)

    def _colours(self, index: Tensor) -> Tensor:
        """(..., 3) float32 colours 0..255 of pixels (...)."""
        packed = self._pixels.take(index)
        return packed[..., None].view(torch.uint8)[..., :3].float()


def _digest(pictures: Sequence[Image]) -> str:
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(picture.tobytes())
    return f"{len(pictures)} photographs, sha256 {digest.hexdigest()}"


def _pyramid(picture: Image) -> list[Image]:
    levels = [picture]
    for _ in range(NUM_LEVELS - 1):
        height, width = (max(1, round(extent / 2)) for extent in levels[-1].shape[:2])
        halved = cv2.resize(levels[-1], (width, height), interpolation=cv2.INTER_AREA)
        levels.append(np.asarray(halved, np.uint8))
    return levels


def _packed(picture: Image) -> NDArray[np.int32]:
    """Pixels (H W,) as one number each, in order of rows."""
    padded = np.zeros((picture.shape[0] * picture.shape[1], 4), np.uint8)
    padded[:, :3] = picture.reshape(-1, 3)
    return padded.view(np.int32)[:, 0]
