from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from hierprob3d.model.picture.crops import BOX_SCALE_FACTOR, solved_opencv_matrix
from hierprob3d.model.picture.fixed_point_warp import warp_fixed_point


def test_crops_of_3dpw_are_the_original_bytes(golden: Path) -> None:
    folder = golden / "h_pw3d"
    with np.load(folder / "3dpw_test.npz") as labels, np.load(folder / "intermediates.npz") as made:
        rows = zip(labels["imgname"], labels["center"], labels["wh"], made["crop_sha"], strict=True)
        for name, centre, side, sha256 in rows:
            sequence, frame = str(name).split("_image_")
            image = cv2.imread(str(folder / "imageFiles" / sequence / f"image_{frame[:5]}.jpg"))
            size = side * BOX_SCALE_FACTOR
            matrix = solved_opencv_matrix(centre, (size, size), (512, 512))
            crop = warp_fixed_point(image, matrix, (512, 512))
            assert hashlib.sha256(crop.tobytes()).hexdigest() == sha256


@pytest.mark.parametrize("channels", [(), (3,)])
def test_a_shift_by_whole_pixels_copies(channels: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, *channels), dtype=np.uint8)
    matrix = np.array([[1.0, 0.0, -4.0], [0.0, 1.0, -7.0]])
    warped = warp_fixed_point(image, matrix, (26, 15))
    np.testing.assert_array_equal(warped[:13], image[7:, 4:])
    assert not warped[13:].any()  # below the picture


def test_positions_are_rounded_to_the_32nd_of_a_pixel() -> None:
    image = np.array([[0, 255]], np.uint8)
    matrix = np.array([[1.0, 0.0, -0.51], [0.0, 1.0, 0.0]])  # 0.51 px is nearest to 16 / 32
    assert warp_fixed_point(image, matrix, (1, 1)).item() == 128
