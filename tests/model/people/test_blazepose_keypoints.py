"""BlazePose's keypoints and landmarks of people whom a detector found."""

from __future__ import annotations

import numpy as np
import pytest

from hierprob3d.model.people.blazepose_keypoints import BlazePoseKeypoints
from hierprob3d.model.people.person_detectors import Detections, MoveNetDetector, whole_picture

# Landmarks of astronaut.png, x y z visibility presence, by the separate PyTorch port and runner
# that reproduce MediaPipe's own. Nose, left eye, left ear, shoulders, elbows, wrists, hips. It
# shrinks in float where we do in uint8, hence the tolerances.
PLACES = (0, 2, 7, 11, 12, 13, 14, 15, 16, 23, 24)
ASTRONAUT = np.array([
    [219.029, 125.258, -792.897, 0.997, 0.993], [245.463, 111.513, -759.800, 0.991, 0.985],
    [266.160, 121.876, -528.817, 0.995, 0.974], [297.961, 239.231, -363.204, 0.998, 0.994],
    [110.239, 232.344, -385.874, 0.998, 0.992], [314.958, 390.527, -396.424, 0.674, 0.972],
    [64.955, 388.489, -499.678, 0.567, 0.965], [283.335, 507.909, -622.590, 0.052, 0.859],
    [128.106, 494.227, -774.598, 0.095, 0.904], [252.417, 498.466, 26.202, 0.980, 0.976],
    [131.101, 501.776, -26.429, 0.982, 0.976],
])  # fmt: skip


@pytest.fixture(scope="module")
def estimator() -> BlazePoseKeypoints:
    return BlazePoseKeypoints()


@pytest.fixture(scope="module")
def people(astronaut: np.ndarray) -> Detections:
    return MoveNetDetector().detect(astronaut)


def repeat(people: Detections, count: int) -> Detections:
    return people.select(np.zeros(count, np.int64))


def test_astronaut_s_landmarks_are_the_reference_s(
    estimator: BlazePoseKeypoints, astronaut: np.ndarray, people: Detections
) -> None:
    found = estimator.estimate(astronaut, people)
    assert found.landmarks is not None and found.landmarks.shape == (1, 33, 5)
    assert found.keypoints.dtype == found.landmarks.dtype == np.float32
    assert found.kept.tolist() == [True]
    shown = found.landmarks[0, PLACES]
    np.testing.assert_allclose(shown[:, :2], ASTRONAUT[:, :2], atol=1)
    np.testing.assert_allclose(shown[:, 2], ASTRONAUT[:, 2], atol=6)
    np.testing.assert_allclose(shown[:, 3:], ASTRONAUT[:, 3:], atol=0.02)


def test_keypoints_are_coco_s_and_those_outside_the_picture_not_seen(
    estimator: BlazePoseKeypoints, astronaut: np.ndarray, people: Detections
) -> None:
    found = estimator.estimate(astronaut[:420], people)
    assert found.landmarks is not None
    keypoints, landmarks = found.keypoints[0], found.landmarks[0]
    np.testing.assert_array_equal(keypoints[5:7], landmarks[11:13][:, [0, 1, 3]])
    np.testing.assert_array_equal(keypoints[11:13, :2], landmarks[23:25, :2])
    assert (keypoints[11:13, 1] > 420).all() and (landmarks[23:25, 3] > 0.5).all()
    assert (keypoints[11:, 2] == 0).all() and (keypoints[:7, 2] > 0.9).all()


def test_faces_lie_halfway_to_those_of_a_detector_that_looked_closely(
    estimator: BlazePoseKeypoints, astronaut: np.ndarray, people: Detections
) -> None:
    assert people.keypoints is not None
    far = np.pad(astronaut, ((0, 2500), (0, 0), (0, 0)))  # for its eyes a small person
    for picture, share in ((astronaut, 0.5), (far, 0.0)):
        found = estimator.estimate(picture, people)
        assert found.landmarks is not None
        own = found.landmarks[:, [0, 2, 5, 7, 8], :2]
        expected = own + share * (people.keypoints[:, :5, :2] - own)
        np.testing.assert_allclose(found.keypoints[:, :5, :2], expected, atol=1e-3)


def test_people_of_a_batch_are_treated_as_if_alone(
    estimator: BlazePoseKeypoints, astronaut: np.ndarray, people: Detections
) -> None:
    wide = np.pad(astronaut, ((0, 7), (300, 0), (0, 0)))
    bad = repeat(people, 2)
    bad.boxes[0, 2] = np.nan
    pictures, detections = [astronaut[:30, :20], wide, astronaut], [people.select([]), bad, people]
    nobody, two, one = estimator.estimate_batch(pictures, detections)
    assert len(nobody.keypoints) == 0 and nobody.landmarks is not None
    assert two.kept.tolist() == [False, True]
    assert two.landmarks is not None and np.isnan(two.landmarks[0]).all()
    assert np.isnan(two.keypoints[0, :, :2]).all()
    alone = estimator.estimate(astronaut, people)
    np.testing.assert_allclose(one.keypoints, alone.keypoints, atol=0.02)
    assert two.widths is not None and one.widths is not None and alone.widths is not None
    assert np.isnan(two.widths[0]).all()
    np.testing.assert_allclose(one.widths, alone.widths, atol=0.02)
    chest = alone.widths[0, 2:6]  # at 15 and 30 % of the way down from the shoulders
    assert ((chest > 0.2) & (chest < 0.9)).all()
    assert estimator.estimate_batch([], []) == []


def test_large_pictures_give_the_keypoints_of_their_small_version(
    estimator: BlazePoseKeypoints, astronaut: np.ndarray, people: Detections
) -> None:
    assert people.keypoints is not None
    large = astronaut.repeat(5, axis=0).repeat(5, axis=1)  # above the working size
    rough = people.keypoints * np.array([5, 5, 1], np.float32)
    found = estimator.estimate(large, Detections(people.boxes * 5, people.scores, rough))
    small = estimator.estimate(astronaut, people)
    np.testing.assert_allclose(found.keypoints[0, :7, :2] / 5, small.keypoints[0, :7, :2], atol=2)


def test_without_rough_poses_the_box_is_the_region(
    estimator: BlazePoseKeypoints, astronaut: np.ndarray
) -> None:
    found = estimator.estimate(astronaut, whole_picture(512, 512))
    np.testing.assert_allclose(found.keypoints[0, 0, :2], ASTRONAUT[0, :2], atol=25)
    assert found.kept.tolist() == [True]


def test_a_box_that_both_doubt_is_not_kept(
    estimator: BlazePoseKeypoints, people: Detections
) -> None:
    blank = np.full((512, 512, 3), 90, np.uint8)
    doubtful, clear = (
        Detections(people.boxes, np.array([score], np.float32), people.keypoints)
        for score in (0.21, 0.5)
    )
    assert estimator.estimate(blank, doubtful).kept.tolist() == [False]
    assert estimator.estimate(blank, clear).kept.tolist() == [True]


def test_who_is_seen_in_another_s_place_keeps_the_detector_s_pose(
    estimator: BlazePoseKeypoints, astronaut: np.ndarray, people: Detections
) -> None:
    assert people.keypoints is not None
    three = repeat(people, 3)
    assert three.keypoints is not None
    three.keypoints[1, :11, :2] += [90, -60]  # all but the hips, which the region is about
    found = estimator.estimate(astronaut, three)
    assert found.landmarks is not None and found.widths is not None
    assert found.kept.tolist() == [True, True, False]
    assert np.isfinite(found.landmarks[0]).all() and np.isfinite(found.widths[0]).all()
    assert np.isnan(found.landmarks[1]).all() and np.isnan(found.widths[1]).all()
    np.testing.assert_array_equal(found.keypoints[1, :, :2], three.keypoints[1, :, :2])
    scale = estimator.visibility_threshold / 0.3  # thunder's
    np.testing.assert_allclose(found.keypoints[1, :, 2], three.keypoints[1, :, 2] * scale, 1e-6)


def test_the_smallest_picture_is_read(estimator: BlazePoseKeypoints) -> None:
    found = estimator.estimate(np.zeros((1, 1, 3), np.uint8), whole_picture(1, 1))
    assert np.isfinite(found.keypoints).all()
