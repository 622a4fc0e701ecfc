"""Crops as the paper's code makes them in training and on OpenCV's path, for comparisons only."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor

from hierprob3d.model.picture.crops import BOX_SCALE_FACTOR, CropFrames, Interpolation, Pair

_OPENCV_FLAGS = {"linear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST}


def jitter_frames(
    frames: CropFrames,
    size_range: tuple[float, float],
    centre_range: tuple[float, float],
    scale_factor: float = BOX_SCALE_FACTOR,
    generator: torch.Generator | None = None,
) -> CropFrames:
    """Frames at random sizes and places about the given ones: the paper's box augmentation.

    Args:
        frames: Frames enlarged by `scale_factor`.
        size_range: Bounds of the uniform change of the scale factor; the paper's are -0.3, 0.2.
        centre_range: Bounds of the uniform shift down and right, px; the paper's are -5, 5.
        scale_factor: The factor that the frames carry.
        generator: Source of the draws.
    """
    count, device = frames.sizes.shape[0], frames.sizes.device
    change = _uniform((count, 1), size_range, device, generator)
    shift = _uniform((count, 2), centre_range, device, generator).flip(-1)  # drawn as (y, x)
    sizes = frames.sizes * ((scale_factor + change) / scale_factor)
    return replace(frames, centres=frames.centres + shift, sizes=sizes)


def crop_opencv(
    image: np.ndarray,
    matrix: np.ndarray,
    output_size: tuple[int, int],
    interpolation: Interpolation = "linear",
    outside: float = 0.0,
) -> np.ndarray:
    """Crop by OpenCV's affine warp.

    Args:
        image: (H, W) or (H, W, C), uint8 or float32.
        matrix: (2, 3) affine map from picture to crop, px: `crops.opencv_matrix` and its kin.
        output_size: Width and height of the crop, px.
        interpolation: "nearest" for labels.
        outside: Value beyond the picture's border, all channels.

    Returns:
        (height, width) or (height, width, C) of the input's type.
    """
    return cv2.warpAffine(
        image,
        matrix,
        dsize=output_size,
        flags=_OPENCV_FLAGS[interpolation],
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(outside,) * 4,
    )


def uncrop_matrix(
    centre: Pair,
    size: Pair,
    crop_size: tuple[int, int],
) -> np.ndarray:
    """(2, 3) float32 map from the crop back onto its rectangle of the picture."""
    crop = np.asarray(crop_size, dtype=np.float32)
    scale = np.asarray(size) / crop
    matrix = np.zeros((2, 3), dtype=np.float32)
    matrix[[0, 1], [0, 1]] = scale
    matrix[:, 2] = np.asarray(centre) - scale * crop * 0.5
    return matrix


def mask_boxes(masks: Tensor) -> Tensor:
    """Boxes (B, 4) float x0, y0, x1, y1: the first and last column and row that are not zero.

    Args:
        masks: (B, H, W), any type.

    Raises:
        ValueError: A mask is zero everywhere.
    """
    inside = masks != 0
    columns, rows = inside.any(dim=1), inside.any(dim=2)
    empty = (~rows.any(dim=1)).nonzero().flatten().tolist()
    if empty:
        raise ValueError(f"Masks without any pixel have no box: number {empty} of the batch.")
    (x0, x1), (y0, y1) = _first_and_last(columns), _first_and_last(rows)
    return torch.stack((x0, y0, x1, y1), dim=-1).float()


def joints_boxes(joints2d: Tensor, visible: Tensor, single_joint_side: float) -> Tensor:
    """Boxes (B, 4) x0, y0, x1, y1 around the visible joints.

    Args:
        joints2d: (B, K, 2) x, y, px.
        visible: (B, K) bool.
        single_joint_side: Side of the box that starts at the only visible point, px.

    Raises:
        ValueError: A person has no visible joint.
    """
    hidden = (~visible.any(dim=1)).nonzero().flatten().tolist()
    if hidden:
        raise ValueError(f"No visible joint to make a box of: number {hidden} of the batch.")
    seen = visible[..., None]
    least = joints2d.masked_fill(~seen, torch.inf).amin(dim=1)
    most = joints2d.masked_fill(~seen, -torch.inf).amax(dim=1)
    point = (least == most).all(dim=-1, keepdim=True)
    return torch.cat((least, torch.where(point, least + single_joint_side, most)), dim=-1)


def _uniform(
    shape: tuple[int, ...],
    bounds: tuple[float, float],
    device: torch.device,
    generator: torch.Generator | None,
) -> Tensor:
    low, high = bounds
    return torch.rand(shape, generator=generator, device=device) * (high - low) + low


def _first_and_last(flags: Tensor) -> tuple[Tensor, Tensor]:
    """Index of the first and of the last true entry along the last dimension."""
    numbers = flags.int()
    return numbers.argmax(dim=-1), flags.shape[-1] - 1 - numbers.flip(-1).argmax(dim=-1)
