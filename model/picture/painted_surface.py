"""The surface of a body in colours, as pictures show it, by the rasterizer that is wanted.

OpenCV's rasterizer, the default, takes a fifth of the time of ours (`rasterizer`), and gives no
more than colours and depth. Both give the same colours, except for a pixel in a thousand where the
surface cuts through itself.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from .rasterizer import interpolate, rasterize, wanted_backend

OPENCV = "opencv"

_NEAREST, _DEPTH = 1.0, 0.1
"""Distance of the nearest point from OpenCV's camera, and of the farthest from that one."""

_EMPTY = 2.0
"""Distance where nothing is."""


def paint_surface(
    screen: Float[Tensor, "V 3"],
    faces: Int[Tensor, "F 3"],
    colours: Float[Tensor, "V 3"],
    height: int,
    width: int,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """RGB 0..1 (H, W, 3) of the nearest face of every pixel, and where there is one (H, W).

    Args:
        screen: (V, 3) x, y in px of the picture, y down, and depth; finite.
        faces: (F, 3) vertex indices.
        colours: (V, 3) RGB 0..1, light included.
        height: rows of the picture.
        width: columns of the picture.
    """
    backend = wanted_backend(OPENCV)
    if backend == OPENCV:
        return _painted_by_opencv(screen, faces, colours, height, width)
    fragments = rasterize(screen[None], faces, height, width, backend=backend)
    painted = interpolate(fragments, faces, colours[None])[0].clamp(0, 1)
    return painted.cpu().numpy(), fragments.mask[0].cpu().numpy()


def _painted_by_opencv(
    screen: Tensor, faces: Tensor, colours: Tensor, height: int, width: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    painted = np.zeros((height, width, 3), np.float32)
    depth = np.full((height, width), _EMPTY, np.float32)
    # Where a posed body cuts through itself, one pixel in thousands would show a face from behind.
    settings = cv2.TriangleRasterizeSettings().setCullingMode(cv2.RASTERIZE_CULLING_CW)
    settings.setShadingType(cv2.RASTERIZE_SHADING_SHADED)
    cv2.triangleRasterize(
        _seen_from_origin(screen.float().cpu().numpy(), height, width),
        faces.int().cpu().numpy(),
        colours.float().clamp(0, 1).contiguous().cpu().numpy(),
        painted, depth, np.eye(3, 4, dtype=np.float32), math.pi / 2, _NEAREST / 2, _EMPTY, settings,
    )  # fmt: skip
    return painted, depth < _EMPTY


def _seen_from_origin(screen: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Points (V, 3) that OpenCV's camera, which sees in perspective, has where `screen` says."""
    x, y, depth = screen.T
    low, high = depth.min(), depth.max()
    distance = _NEAREST + (depth - low) * np.float32(_DEPTH / max(high - low, 1e-12))
    per_pixel = distance * np.float32(2 / height)
    points = np.empty_like(screen)
    np.multiply(x - np.float32(width / 2), per_pixel, out=points[:, 0])
    np.multiply(np.float32(height / 2) - y, per_pixel, out=points[:, 1])
    np.negative(distance, out=points[:, 2])
    return points
