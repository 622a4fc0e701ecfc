from __future__ import annotations

import numpy as np

from hierprob3d.model.picture.part_colours import part_colours

RED, GREEN, GREY = (53.2, 80.1, 67.2), (87.7, -86.2, 83.2), (53.6, 0, 0)
"""CIELAB of pure red and green, and of half grey."""


def person(x: float) -> np.ndarray:
    """Somebody upright, 40 px wide and 150 px high, from the left edge on."""
    points = np.full((17, 3), 0.9, np.float32)
    points[:5, :2] = (x + 20, 15)
    for left, y in ((5, 30), (7, 50), (9, 65), (11, 80), (13, 110), (15, 145)):
        points[left, :2], points[left + 1, :2] = (x + 35, y), (x + 5, y)
    return points


def test_parts_have_the_colours_they_are_painted_in() -> None:
    image = np.full((160, 200, 3), 128, np.uint8)
    image[25:80, :50] = (255, 0, 0)  # trunk and arms of the first
    image[80:, :50] = (0, 255, 0)  # legs
    image[40:50, 15:20] = 0  # something small before the trunk
    first, second = part_colours(image, np.stack([person(0), person(100)]))
    np.testing.assert_allclose(first, [GREY, RED, RED, GREEN, GREEN], atol=0.5)
    np.testing.assert_allclose(second, 5 * [GREY], atol=0.5)


def test_keypoints_outside_the_picture_see_its_border() -> None:
    image = np.full((160, 200, 3), 128, np.uint8)
    lost = np.full((1, 17, 3), np.nan, np.float32)
    for keypoints in (person(5000)[None], person(-5000)[None], lost):
        np.testing.assert_allclose(part_colours(image, keypoints)[0], 5 * [GREY], atol=0.5)
    assert part_colours(image, np.empty((0, 17, 3), np.float32)).shape == (0, 5, 3)
