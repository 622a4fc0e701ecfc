from __future__ import annotations

import numpy as np

from hierprob3d.model.picture.drawing import SPREAD_RAMP
from hierprob3d.model.picture.overlays import add_spread_legend, draw_keypoints
from tests.model.picture.grey_pictures import drawn_pixels, grey


def test_keypoints_below_the_threshold_are_left_out() -> None:
    keypoints = np.zeros((1, 17, 3))
    keypoints[0, 5] = (40.0, 50.0, 0.9)  # left shoulder
    keypoints[0, 7] = (80.0, 50.0, 0.2)  # left elbow
    picture = draw_keypoints(grey(100, 120), keypoints, threshold=0.3)
    rows, columns = np.nonzero(drawn_pixels(picture))
    assert abs(rows.mean() - 50) < 1 and abs(columns.mean() - 40) < 1
    limb = draw_keypoints(grey(100, 120), keypoints, threshold=0.1)
    assert drawn_pixels(limb)[50, 60], "the upper arm must be drawn"


def test_left_and_right_have_colours_of_their_own() -> None:
    keypoints = np.zeros((1, 17, 3))
    keypoints[0, 9] = (20.0, 20.0, 1.0)  # left wrist
    keypoints[0, 10] = (60.0, 20.0, 1.0)  # right wrist
    picture = draw_keypoints(grey(40, 80), keypoints, threshold=0.5)
    left, right = picture[20, 20].astype(int), picture[20, 60].astype(int)
    assert left[0] > left[2] and right[2] > right[0]


def test_keypoints_far_outside_and_nan_are_harmless() -> None:
    keypoints = np.full((1, 17, 3), np.nan)
    keypoints[0, 5] = (1e9, -1e9, 1.0)
    np.testing.assert_array_equal(draw_keypoints(grey(30, 30), keypoints), grey(30, 30))


def test_legend_shows_the_whole_ramp_below_the_picture() -> None:
    picture = add_spread_legend(grey(100, 400))
    assert picture.shape[1] == 400 and picture.shape[0] > 100
    np.testing.assert_array_equal(picture[:100], grey(100, 400))
    strip = picture[100:].reshape(-1, 3).astype(float) / 255
    for colour in (SPREAD_RAMP[0], SPREAD_RAMP[-1]):
        assert np.abs(strip - np.asarray(colour)).sum(-1).min() < 0.05
