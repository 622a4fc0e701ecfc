"""Crops of persons: boxes, the maps between picture and crop, and the resampling itself.

Two resamplers, as in the paper's code, which agree on where keypoints go:

* `crop_torch` (prediction, training) places pixel *centres* by the box, so the picture is shifted
  against the keypoints by half of (scale - 1) crop pixels;
* OpenCV's with `opencv_matrix` and its kin (3DPW, SSP-3D; resampled by `fixed_point_warp`) places
  pixel *indices* by the box, as keypoints are.

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
from jaxtyping import Float
from torch import Tensor

BOX_SCALE_FACTOR = 1.2
"""Enlargement of a person's box before cropping."""

Interpolation = Literal["linear", "nearest"]
Pair = Sequence[float] | np.ndarray | Tensor
"""Two numbers: x, y or width, height."""

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
        boxes: Float[Tensor, "B 4"],
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

    def matrices(self) -> Float[Tensor, "B 2 3"]:
        """(B, 2, 3) affine maps from picture to crop, px."""
        scales = self._scales()
        shifts = self.sizes.new_tensor(self.output_size) * 0.5 - scales * self.centres
        return torch.cat((torch.diag_embed(scales), shifts[..., None]), dim=-1)

    def points_to_crop(self, points: Float[Tensor, "B K 2"]) -> Float[Tensor, "B K 2"]:
        """Crop pixels of points given in picture pixels, (B, K, 2) both."""
        frames = self._double()
        corners = frames.centres - frames.sizes / 2
        mapped = (points.double() - corners[:, None]) * frames._scales()[:, None]
        return mapped.to(points.dtype)

    def points_to_image(self, points: Float[Tensor, "B K 2"]) -> Float[Tensor, "B K 2"]:
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


def fit_aspect(sizes: Float[Tensor, "B 2"], output_size: tuple[int, int]) -> Float[Tensor, "B 2"]:
    """Widths and heights (B, 2), the shorter enlarged until the aspect is that of `output_size`."""
    aspect = output_size[1] / output_size[0]
    widths, heights = sizes.unbind(dim=-1)
    wide = torch.maximum(widths, heights / aspect)
    high = torch.maximum(heights, widths * aspect)
    return torch.stack((wide, high), dim=-1)


def crop_torch(
    images: Float[Tensor, "_ C H W"],
    frames: CropFrames,
    interpolation: Interpolation = "linear",
    outside: float = 0.0,
) -> Float[Tensor, "B C height width"]:
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
