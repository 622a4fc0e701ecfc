"""Crops of persons: boxes, the maps between picture and crop, and the resampling itself.

Two resamplers, as in the paper's code, which agree on where keypoints go:

* `crop_torch` (prediction, training) places pixel *centres* by the box, so the picture is shifted
  against the keypoints by half of (scale - 1) crop pixels;
* `crop_opencv` (3DPW, SSP-3D) places pixel *indices* by the box, as keypoints are.

The published weights were trained and measured with these; neither is corrected here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

BOX_SCALE_FACTOR = 1.2
"""Enlargement of a person's box before cropping."""

Interpolation = Literal["linear", "nearest"]
Pair = Sequence[float] | np.ndarray | Tensor
"""Two numbers: x, y or width, height."""

_OPENCV_FLAGS = {"linear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST}
_TORCH_MODES = {"linear": "bilinear", "nearest": "nearest"}


@dataclass(frozen=True)
class CropFrames:
    """Upright rectangles of pictures, each stretched over a crop of `output_size`."""

    centres: Tensor
    """(B, 2) x, y of the rectangles' centres, px of the picture."""

    sizes: Tensor
    """(B, 2) widths and heights, px of the picture."""

    output_size: tuple[int, int]
    """Width and height of the crops, px."""

    @classmethod
    def around(
        cls,
        boxes: Tensor,
        output_size: tuple[int, int],
        scale_factor: float = BOX_SCALE_FACTOR,
    ) -> CropFrames:
        """Frames that hold the boxes: widened or heightened to the crop's aspect, then enlarged.

        Args:
            boxes: (B, 4) x0, y0, x1, y1, px of the picture; they are not changed.
            output_size: Width and height of the crops, px.
            scale_factor: Enlargement about the centre.
        """
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2.0
        sizes = fit_aspect(boxes[:, 2:] - boxes[:, :2], output_size)
        return cls(centres, sizes * scale_factor, output_size)

    def matrices(self) -> Tensor:
        """(B, 2, 3) affine maps from picture to crop, px."""
        scales = self._scales()
        shifts = self.sizes.new_tensor(self.output_size) * 0.5 - scales * self.centres
        return torch.cat((torch.diag_embed(scales), shifts[..., None]), dim=-1)

    def points_to_crop(self, points: Tensor) -> Tensor:
        """Crop pixels of points given in picture pixels, (B, K, 2) both."""
        frames = self._double()
        corners = frames.centres - frames.sizes / 2
        mapped = (points.double() - corners[:, None]) * frames._scales()[:, None]
        return mapped.to(points.dtype)

    def points_to_image(self, points: Tensor) -> Tensor:
        """Picture pixels of points given in crop pixels, (B, K, 2) both."""
        frames = self._double()
        corners = frames.centres - frames.sizes / 2
        mapped = points.double() / frames._scales()[:, None] + corners[:, None]
        return mapped.to(points.dtype)

    def _scales(self) -> Tensor:
        """(B, 2) crop pixels per picture pixel."""
        return self.sizes.new_tensor(self.output_size) / self.sizes

    def _double(self) -> CropFrames:
        return replace(self, centres=self.centres.double(), sizes=self.sizes.double())


def fit_aspect(sizes: Tensor, output_size: tuple[int, int]) -> Tensor:
    """Widths and heights (B, 2), the shorter enlarged until the aspect is that of `output_size`."""
    aspect = output_size[1] / output_size[0]
    widths, heights = sizes.unbind(dim=-1)
    wide = torch.maximum(widths, heights / aspect)
    high = torch.maximum(heights, widths * aspect)
    return torch.stack((wide, high), dim=-1)


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


def crop_torch(
    images: Tensor,
    frames: CropFrames,
    interpolation: Interpolation = "linear",
    outside: float = 0.0,
) -> Tensor:
    """Crops by bilinear or nearest sampling, batched.

    Args:
        images: (B, C, H, W) float, or (1, C, H, W) for many frames of one picture.
        frames: B rectangles.
        interpolation: "nearest" for labels.
        outside: Value beyond the picture's border.

    Returns:
        (B, C, height, width) of the frames' `output_size`.
    """
    theta = _sampling_matrices(frames, (images.shape[-1], images.shape[-2])).to(images)
    width, height = frames.output_size
    count = theta.shape[0]
    grid = functional.affine_grid(theta, [count, 1, height, width], align_corners=False)
    shifted = images - outside if outside else images
    crops = functional.grid_sample(
        shifted.expand(count, -1, -1, -1),
        grid,
        mode=_TORCH_MODES[interpolation],
        padding_mode="zeros",
        align_corners=False,
    )
    return crops + outside if outside else crops


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
        matrix: (2, 3) affine map from picture to crop, px: `opencv_matrix` and its kin.
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


def opencv_matrix(
    centre: Pair,
    size: Pair,
    output_size: tuple[int, int],
) -> np.ndarray:
    """(2, 3) float32 map from a rectangle of the picture onto the crop.

    Args:
        centre: x, y of the rectangle, px.
        size: Its width and height, px, final: `CropFrames.around` gives them.
        output_size: Width and height of the crop, px.
    """
    output = np.asarray(output_size, dtype=np.float32)
    scale = output / np.asarray(size)
    matrix = np.zeros((2, 3), dtype=np.float32)
    matrix[[0, 1], [0, 1]] = scale
    matrix[:, 2] = output * 0.5 - scale * np.asarray(centre)
    return matrix


def solved_opencv_matrix(
    centre: Pair,
    size: Pair,
    output_size: tuple[int, int],
) -> np.ndarray:
    """As `opencv_matrix`, float64, solved from three point pairs: 3DPW's crops are made with it."""
    source = _centre_right_below(np.asarray(centre), np.asarray(size))
    output = np.asarray(output_size, dtype=np.float32)
    return cv2.getAffineTransform(source, _centre_right_below(output * 0.5, output))


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


def _sampling_matrices(frames: CropFrames, image_size: tuple[int, int]) -> Tensor:
    """(B, 2, 3) maps from crop to picture, both scaled to -1..1 between their outer borders."""
    picture = frames.sizes.new_tensor(image_size)
    relative = frames.sizes / picture
    # The roundabout corner keeps the paper's rounding: equal neighbours decide thin edges.
    corners = -frames.matrices()[:, :, 2] / frames._scales()
    shifts = corners / (picture * 0.5) + relative - 1.0
    return torch.cat((torch.diag_embed(relative), shifts[..., None]), dim=-1)


def _centre_right_below(centre: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(3, 2) float32: centre, middle of the right side and of the lower side of a rectangle."""
    right, below = np.array([size[0] * 0.5, 0.0]), np.array([0.0, size[1] * 0.5])
    return np.stack((centre, centre + right, centre + below)).astype(np.float32)


def _first_and_last(flags: Tensor) -> tuple[Tensor, Tensor]:
    """Index of the first and of the last true entry along the last dimension."""
    numbers = flags.int()
    return numbers.argmax(dim=-1), flags.shape[-1] - 1 - numbers.flip(-1).argmax(dim=-1)
