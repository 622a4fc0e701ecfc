"""Photographed skin and clothes: whole-body textures such as the paper's, seen by pixels."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hierprob3d.model.files.npz_files import read_arrays
from hierprob3d.training.random.draws import Draws

from .surface import SurfacePixels
from .texture_maps import TextureMap

PAPER_SIZE = (1200, 800)
"""Rows and columns of the paper's textures, a 6 x 4 grid of DensePose's parts."""

_KINDS = ("grey", "nongrey")
_GREY_SHARE = 0.05
"""Share of draws from the grey textures (uncoloured scans), as the paper's."""


class Textures:
    """Draws textures and gives the colours that pixels see on them.

    All textures are held as they are on one device: 2.6 GB for the paper's 917, and as much again
    while they are read.

    Args:
        path: npz with `grey` and `nongrey`, (N, H, W, 3) uint8 RGB each, of which one may be empty.
        texture_map: where the faces lie on them.
        device: where they are held and looked up.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds something else, or DensePose textures of another size than the paper's.
    """

    def __init__(
        self, path: str | Path, texture_map: TextureMap, device: torch.device | str = "cpu"
    ) -> None:
        self.path = Path(path)
        arrays = _read_textures(self.path)
        size = arrays["grey"].shape[1:3]
        if texture_map.face_parts is not None and size != PAPER_SIZE:
            raise ValueError(
                f"{path}: textures are {size[0]} x {size[1]} px; DensePose's grid of 24 parts is "
                f"{PAPER_SIZE[0]} x {PAPER_SIZE[1]}"
            )
        self._num_grey = len(arrays["grey"])
        self._pictures = torch.cat([torch.from_numpy(arrays[kind]).to(device) for kind in _KINDS])
        self._corners = texture_map.corners.to(device)

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def draw(self, draws: Draws, num: int) -> Tensor:
        """(num,) indices of textures, one in twenty of them grey where there are both kinds."""
        counts = (self._num_grey, len(self._pictures) - self._num_grey)
        shares = (_GREY_SHARE, 1 - _GREY_SHARE)
        kind = draws.choice([s if n else 0.0 for s, n in zip(shares, counts, strict=True)], num)
        grey, other = (draws.below(max(count, 1), num) for count in counts)
        return torch.where(kind == 0, grey, self._num_grey + other)

    def albedo(self, drawn: Tensor, pixels: SurfacePixels) -> Tensor:
        """Colours (N, 3), 0..1, of N pixels.

        Args:
            drawn: (B,) texture of each person.
            pixels: what they see, of a body with the faces of the texture map.
        """
        place = pixels.blend(self._corners[pixels.face])  # (N, xy)
        return bilinear(self._pictures, drawn[pixels.person], place)


def bilinear(pictures: Tensor, picture: Tensor, place: Tensor) -> Tensor:
    """Values (N, C), 0..1, of uint8 pictures between their pixels.

    Args:
        pictures: (B, H, W, C) uint8.
        picture: (N,) index of a picture.
        place: (N, 2) x and y, 0 at the first pixel's centre and 1 at the last's; clamped to it.
    """
    height, width = pictures.shape[1:3]
    last = place.new_tensor([width - 1, height - 1])
    position = place.clamp(0, 1) * last
    low = position.floor().minimum(last - 1).clamp(min=0)
    share = position - low
    x0, y0 = low.long().unbind(-1)
    x1, y1 = (x0 + 1).clamp(max=width - 1), (y0 + 1).clamp(max=height - 1)
    right, down = share[:, :1], share[:, 1:]
    top = pictures[picture, y0, x0] * (1 - right) + pictures[picture, y0, x1] * right
    bottom = pictures[picture, y1, x0] * (1 - right) + pictures[picture, y1, x1] * right
    return (top * (1 - down) + bottom * down) / 255


def _read_textures(path: Path) -> dict[str, np.ndarray]:
    """Both arrays of a texture file, checked."""
    if not path.is_file():
        raise FileNotFoundError(f"no textures at {path}; pass an npz with data.textures=PATH")
    arrays = read_arrays(path, _KINDS)
    for kind in _KINDS:
        if kind not in arrays:
            raise ValueError(f"{path} has no array {kind!r}; textures need 'grey' and 'nongrey'")
        _check(path, kind, arrays[kind])
    grey, nongrey = arrays["grey"].shape, arrays["nongrey"].shape
    if grey[1:] != nongrey[1:]:
        raise ValueError(f"{path}: grey is {grey} and nongrey {nongrey}; sizes must agree")
    if not grey[0] + nongrey[0]:
        raise ValueError(f"{path} holds no texture; leave data.textures out to draw clothes")
    return arrays


def _check(path: Path, kind: str, array: np.ndarray) -> None:
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3 or 0 in array.shape[1:]:
        raise ValueError(
            f"{path}: {kind} must hold (N, H, W, 3) uint8 RGB pictures, it is {array.dtype} of "
            f"shape {array.shape}"
        )
