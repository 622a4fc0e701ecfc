"""Cameras: weak perspective on the 256 crop, perspective, and the way back to the full image.

Conventions, from the body to the picture:

1. Body frame: metres, y up, x to the body's left, z forward. The network's global rotation turns
   the body about its origin.
2. The paper then turns everything by pi about x (`half_turn_x`): (x, y, z) -> (x, -y, -z). After
   it y points down the picture and z away from the viewer.
3. Weak perspective camera (s, tx, ty): u = s (x + tx), v = s (y + ty), normalised to -1..1 across
   the square crop, x to the right and y down.
4. Crop pixels: (u + 1) size / 2, so -1 and 1 are the outer borders 0 and `size`.
5. Full image, with the crop record (cx, cy, side) in pixels: x_image = cx + (x_crop / size - 1/2)
   side, and the same for y.

Steps 3 to 5 together, the *full-frame formula* of a body point after step 2:

    x_image = cx + side / 2 * s * (x + tx)
    y_image = cy + side / 2 * s * (y + ty)

A pinhole camera that sees the whole W x H picture with focal length f (pixels of the picture) and
the principal point in its middle sees nearly the same of a body moved by `full_frame_translation`:

    x_image = W / 2 + f (x + Tx) / (z + Tz)        Tx = tx + 2 (cx - W / 2) / (s side)
    y_image = H / 2 + f (y + Ty) / (z + Tz)        Ty = ty + 2 (cy - H / 2) / (s side)
                                                   Tz = 2 f / (s side)

At the depth of the body frame's origin (z = 0) both are the same to the last digit; a point nearer
or farther moves away from the middle, or towards it, by its share z / Tz.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Num
from torch import Tensor


def half_turn_x(points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Points turned by pi about x, exactly: (x, -y, -z).

    Args:
        points: (..., 3).

    Returns:
        (..., 3) points in the frame that the cameras of this module look at.
    """
    return points * points.new_tensor([1.0, -1.0, -1.0])


def project_weak_perspective(
    points: Float[Tensor, "*#batch N 3"], camera: Float[Tensor, "*#batch 3"]
) -> Float[Tensor, "*batch N 2"]:
    """Normalised image points s (x + tx), s (y + ty); -1..1 spans the crop, y down.

    Args:
        points: (..., N, 3) metres, after the half turn about x.
        camera: (..., 3) scale, x and y translation (metres); broadcast over points.

    Returns:
        (..., N, 2) normalised points.
    """
    camera = camera.unsqueeze(-2)
    return camera[..., :1] * (points[..., :2] + camera[..., 1:])


def normalised_to_pixels(
    points: Float[Tensor, "*batch 2"], size: float
) -> Float[Tensor, "*batch 2"]:
    """Pixels of a square picture: -1 becomes 0 and 1 becomes `size`.

    Args:
        points: (..., 2) normalised points.
        size: side of the picture in pixels.

    Returns:
        (..., 2) pixels.
    """
    return (points + 1) * (size / 2)


def pixels_to_normalised(
    points: Float[Tensor, "*batch 2"], size: float
) -> Float[Tensor, "*batch 2"]:
    """Inverse of `normalised_to_pixels`.

    Args:
        points: (..., 2) pixels of a square picture.
        size: its side in pixels.

    Returns:
        (..., 2) normalised points, -1..1 across the picture.
    """
    return points * (2 / size) - 1


def project_to_crop(
    points: Float[Tensor, "*#batch N 3"], camera: Float[Tensor, "*#batch 3"], size: float = 256
) -> Float[Tensor, "*batch N 2"]:
    """Pixels of the crop of points in the *body frame*.

    Args:
        points: (..., N, 3) metres, body frame (before the half turn).
        camera: (..., 3) weak-perspective camera of the crop.
        size: side of the crop in its own pixels.

    Returns:
        (..., N, 2) px of the crop.
    """
    return normalised_to_pixels(project_weak_perspective(half_turn_x(points), camera), size)


def project_body(
    points: Float[Tensor, "*#batch N 3"],
    camera: Float[Tensor, "*#batch 3"],
    crop: Float[Tensor, "*#batch 3"],
) -> Float[Tensor, "*batch N 2"]:
    """Full-image pixels of points in the *body frame*: the full-frame formula of this module.

    Args:
        points: (..., N, 3) metres, body frame (before the half turn).
        camera: (..., 3) weak-perspective camera of the crop.
        crop: (..., 3) crop record: centre x, centre y, side (px of the full image).

    Returns:
        (..., N, 2) px of the full image.
    """
    return crop_to_image(project_to_crop(points, camera, 1.0), crop.unsqueeze(-2), 1.0)


def intrinsics(focal: float, width: float, height: float) -> Float[Tensor, "3 3"]:
    """Camera matrix (3, 3) with square pixels and the principal point in the picture's middle."""
    return torch.tensor([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]])


def full_frame_translation(
    camera: Float[Tensor, "P 3"],
    crop: Float[Tensor, "P 3"],
    image_size: Num[Tensor, "P 2"],
    focal_px: Float[Tensor, " P"],
) -> Float[Tensor, "P 3"]:
    """Where bodies stand before a pinhole camera that sees the whole picture: T of this module.

    The picture alone does not tell the focal length: sizes and angles are right for any, distances
    grow with it.

    Args:
        camera: (P, 3) weak-perspective cameras of the crops.
        crop: (P, 3) crop records: centre x, centre y, side (px of the full image).
        image_size: (P, 2) width and height of the picture, px.
        focal_px: (P,) focal length, px of the picture.

    Returns:
        (P, 3) metres, to be added to points after the half turn about x.
    """
    metres_per_pixel = 2 / (camera[:, :1] * crop[:, 2:])
    shift = camera[:, 1:] + (crop[:, :2] - image_size / 2) * metres_per_pixel
    return torch.cat([shift, focal_px[:, None] * metres_per_pixel], dim=-1)


def project_perspective(
    points: Float[Tensor, "*#batch N 3"],
    camera_matrix: Float[Tensor, "*#batch 3 3"],
    translation: Float[Tensor, "*#batch 3"],
    rotation: Float[Tensor, "*#batch 3 3"] | None = None,
) -> Float[Tensor, "*batch N 2"]:
    """Pixels of points seen by a pinhole camera: K (R p + t), divided by depth.

    Args:
        points: (..., N, 3) metres.
        camera_matrix: (..., 3, 3) intrinsics in pixels.
        translation: (..., 3) metres, in the camera's frame (z forward).
        rotation: (..., 3, 3) world to camera; None where the points are already turned.

    Returns:
        (..., N, 2) pixels.
    """
    if rotation is not None:
        points = points @ rotation.mT
    homogeneous = (points + translation.unsqueeze(-2)) @ camera_matrix.mT
    return homogeneous[..., :2] / homogeneous[..., 2:]


def crop_to_image(
    points: Float[Tensor, "*batch 2"], crop: Float[Tensor, "*#batch 3"], size: float = 256
) -> Float[Tensor, "*batch 2"]:
    """Full-image pixels of crop pixels: centre + (p / size - 1/2) side.

    Args:
        points: (..., 2) px of the crop.
        crop: (..., 3) centre x, centre y, side (px of the full image); broadcast.
        size: side of the crop in its own pixels.

    Returns:
        (..., 2) px of the full image.
    """
    return crop[..., :2] + (points / size - 0.5) * crop[..., 2:]


def image_to_crop(
    points: Float[Tensor, "*batch 2"], crop: Float[Tensor, "*#batch 3"], size: float = 256
) -> Float[Tensor, "*batch 2"]:
    """Crop pixels of full-image pixels; inverse of `crop_to_image`.

    Args:
        points: (..., 2) px of the full image.
        crop: (..., 3) centre x, centre y, side (px of the full image); broadcast.
        size: side of the crop in its own pixels.

    Returns:
        (..., 2) px of the crop.
    """
    return ((points - crop[..., :2]) / crop[..., 2:] + 0.5) * size
