"""uint8 pictures as detectors read them: checked, shrunk, resized and cut out as uint8.

Floats are made only of network-sized pictures, so a 20-megapixel photograph costs its own 60 MB
and not four times as much. Resizing is torch's antialiased bilinear filter in uint8, which stays
within 1 of 255 of the rounded float filter; MoveNet's boxes move by tenths of a pixel by it, and
keypoints at most by what one pixel's shift of the crop does to them.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor
from torch.nn import functional

from .crops import CropFrames


def picture_to_tensor(image: np.ndarray) -> UInt8[Tensor, "3 H W"]:
    """(3, H, W) uint8 view of an (H, W, 3) uint8 RGB array.

    Raises:
        ValueError: the array is something else, or empty.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(
            f"Expected an (H, W, 3) uint8 RGB picture, got shape {image.shape} of {image.dtype}."
        )
    # torch shares memory with writeable arrays only; decoders often return read-only ones.
    return torch.from_numpy(np.require(image, requirements=["C", "W"])).permute(2, 0, 1)


def resize_picture(
    picture: UInt8[Tensor, "3 _ _"], height: int, width: int
) -> UInt8[Tensor, "3 {height} {width}"]:
    """(3, height, width) uint8 version of a (3, H, W) uint8 picture, antialiased."""
    if picture.shape[-2:] == (height, width):
        return picture
    return functional.interpolate(
        picture[None], (height, width), mode="bilinear", align_corners=False, antialias=True
    )[0]


def shrink_picture(picture: UInt8[Tensor, "3 _ _"], max_side: int) -> UInt8[Tensor, "3 _ _"]:
    """The picture itself, or its version whose longer side is `max_side` if that is smaller."""
    height, width = picture.shape[-2:]
    if max(height, width) <= max_side:
        return picture
    return resize_picture(picture, *fitted_size(height, width, max_side))


def fitted_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Height and width of the same shape, to whole pixels, whose longer side is `side`."""
    scale = side / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def cut_square(
    picture: Shaped[Tensor, "3 _ _"], left: int, top: int, side: int
) -> Shaped[Tensor, "3 {side} {side}"]:
    """(3, side, side) part of a (3, H, W) picture, black where it reaches outside."""
    height, width = picture.shape[-2:]
    square = picture.new_zeros(side, side, 3).permute(2, 0, 1)
    rows = slice(max(top, 0), max(min(top + side, height), 0))
    cols = slice(max(left, 0), max(min(left + side, width), 0))
    if rows.start < rows.stop and cols.start < cols.stop:
        inside = picture[:, rows, cols]
        row, col = rows.start - top, cols.start - left
        square[:, row : row + inside.shape[1], col : col + inside.shape[2]] = inside
    return square


def crop_frames(
    picture: UInt8[Tensor, "3 _ _"], frames: CropFrames
) -> Float[Tensor, "B 3 height width"]:
    """Bilinear crops of one uint8 picture, the same as `crops.crop_torch` of its floats.

    Only the pixels that the crops read are turned to float: the frames are upright, so those
    are two picture rows per crop row and two columns per crop column.

    Args:
        picture: (3, H, W) uint8.
        frames: B rectangles; one that is not finite gives a crop that is not either.

    Returns:
        (B, 3, height, width) float 0..1, black outside the picture.
    """
    corners = frames.centres.double() - frames.sizes.double() / 2
    width, height = frames.output_size
    rows, row_weights = _taps(corners[:, 1], frames.sizes[:, 1], height, picture.shape[1])
    cols, col_weights = _taps(corners[:, 0], frames.sizes[:, 0], width, picture.shape[2])
    read = picture[:, rows[:, :, None], cols[:, None, :]].float() / 255
    weighted = read * row_weights[:, :, None] * col_weights[:, None, :]
    return weighted.unflatten(2, (2, height)).unflatten(4, (2, width)).sum((2, 4)).transpose(0, 1)


def _taps(starts: Tensor, lengths: Tensor, num_out: int, num_in: int) -> tuple[Tensor, Tensor]:
    """Pixels (B, 2 num_out) that each crop pixel lies between along one axis, and their weights.

    The nearer ones to the start come first, then all the farther ones; pixels outside the
    picture weigh 0.
    """
    centres = torch.arange(num_out, dtype=torch.float64) + 0.5
    positions = starts[:, None] + centres * (lengths[:, None] / num_out) - 0.5
    below = positions.floor()
    taps = torch.cat((below, below + 1), 1)
    weights = torch.cat((below + 1 - positions, positions - below), 1)
    weights = weights * ~((taps < 0) | (taps >= num_in))
    return taps.nan_to_num().clamp(0, num_in - 1).long(), weights.float()
