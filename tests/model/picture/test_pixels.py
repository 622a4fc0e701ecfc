from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from hierprob3d.model.picture.crops import CropFrames, crop_torch
from hierprob3d.model.picture.pixels import (
    crop_frames,
    cut_square,
    fitted_size,
    picture_to_tensor,
    resize_picture,
    shrink_picture,
)


def random_picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_read_only_and_mirrored_arrays_are_accepted() -> None:
    image = random_picture(5, 7)
    image.flags.writeable = False
    expected = image.transpose(2, 0, 1)
    np.testing.assert_array_equal(picture_to_tensor(image), expected)
    np.testing.assert_array_equal(picture_to_tensor(image[:, ::-1]), expected[..., ::-1])


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused_with_their_shape(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8 RGB picture, got shape"):
        picture_to_tensor(image)


@pytest.mark.parametrize("size", [(96, 128), (31, 400), (300, 20)])
def test_resizing_stays_within_one_of_the_float_filter(size: tuple[int, int]) -> None:
    picture = picture_to_tensor(random_picture(150, 201))
    exact = functional.interpolate(picture[None].float(), size, mode="bilinear", antialias=True)[0]
    difference = resize_picture(picture, *size).float() - exact
    assert difference.abs().max() <= 1.5  # one step beyond the rounding
    assert difference.mean().abs() < 0.25


def test_shrinking_keeps_small_pictures_and_the_shape_of_large_ones() -> None:
    picture = picture_to_tensor(random_picture(30, 40))
    assert shrink_picture(picture, 40) is picture
    assert shrink_picture(picture, 20).shape == (3, 15, 20)
    # A line of one pixel keeps that pixel.
    assert shrink_picture(picture[:, :1], 20).shape == (3, 1, 20)


def test_fitted_size_enlarges_too() -> None:
    assert fitted_size(1, 1, 256) == (256, 256)
    assert fitted_size(300, 100, 256) == (256, 85)


@pytest.mark.parametrize(
    ("left", "top", "side"), [(2, 3, 4), (-3, -2, 9), (5, 6, 10), (-30, 0, 5), (0, 90, 5)]
)
def test_cut_square_agrees_with_a_padded_picture(left: int, top: int, side: int) -> None:
    picture = picture_to_tensor(random_picture(10, 12))
    padded = functional.pad(picture, (100, 100, 100, 100))
    expected = padded[:, top + 100 : top + 100 + side, left + 100 : left + 100 + side]
    torch.testing.assert_close(cut_square(picture, left, top, side), expected)


def test_crop_frames_agrees_with_crops_of_the_float_picture() -> None:
    picture = picture_to_tensor(random_picture(60, 90))
    # Inside, far enlarged, larger than the picture on every side, and beyond its corner.
    boxes = torch.tensor(
        [[20.0, 10, 50, 55], [40, 30, 43, 33], [-9, -30, 120, 80], [80, 50, 99, 70]]
    )
    frames = CropFrames.around(boxes, (24, 32))
    expected = crop_torch(picture[None].float() / 255, frames)
    torch.testing.assert_close(crop_frames(picture, frames), expected, atol=2e-4, rtol=0)


def test_a_frame_that_is_not_finite_spoils_only_its_own_crop() -> None:
    picture = picture_to_tensor(random_picture(60, 90))
    frames = CropFrames(
        torch.tensor([[30.0, 20.0], [torch.nan, 20.0]]), torch.full((2, 2), 30.0), (24, 32)
    )
    finite = crop_frames(picture, frames).isfinite().flatten(1).all(1)
    assert finite.tolist() == [True, False]
