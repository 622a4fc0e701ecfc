from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hierprob3d.model.people.hrnet_keypoints import HRNetKeypoints
from hierprob3d.model.people.keypoint_estimators import MoveNetKeypoints
from hierprob3d.model.people.movenet import MULTIPOSE_PATH
from hierprob3d.model.people.person_detectors import Detections, MoveNetDetector, whole_picture


def floats(values: object) -> np.ndarray:
    return np.array(values, dtype=np.float32)


# Thunder's keypoints of astronaut.png, x y confidence, by the separate PyTorch port of MoveNet
# and its runner that were held against the TensorFlow graphs when the weights were converted.
# Nose .. hips; the knees and ankles are outside the picture. It resizes in float where we resize
# in uint8, hence the tolerances: 0.5 px and 0.01 in confidence.
ASTRONAUT = floats([
    [223.646, 126.544, 0.703], [248.527, 103.363, 0.864], [202.392, 100.551, 0.875],
    [274.194, 119.621, 0.834], [176.149, 113.923, 0.585], [329.395, 270.828, 0.798],
    [92.005, 259.278, 0.778], [329.424, 444.826, 0.264], [69.194, 434.984, 0.558],
    [311.552, 491.526, 0.170], [145.554, 504.314, 0.479], [276.526, 508.022, 0.745],
    [136.539, 508.586, 0.647],
])  # fmt: skip


@pytest.fixture(scope="module")
def estimator() -> MoveNetKeypoints:
    return MoveNetKeypoints()


@pytest.fixture(scope="module")
def people(astronaut: np.ndarray) -> Detections:
    return MoveNetDetector().detect(astronaut)


def repeat(people: Detections, boxes: np.ndarray) -> Detections:
    """The one detection of `people`, once per box."""
    assert people.keypoints is not None
    count = len(boxes)
    return Detections(
        floats(boxes), people.scores.repeat(count), people.keypoints.repeat(count, axis=0)
    )


def test_astronaut_s_keypoints_are_the_reference_s(
    estimator: MoveNetKeypoints, astronaut: np.ndarray, people: Detections
) -> None:
    found = estimator.estimate(astronaut, people)
    assert found.keypoints.shape == (1, 17, 3) and found.keypoints.dtype == np.float32
    assert found.kept.tolist() == [True]
    np.testing.assert_allclose(found.keypoints[0, :13, :2], ASTRONAUT[:, :2], atol=0.5)
    np.testing.assert_allclose(found.keypoints[0, :13, 2], ASTRONAUT[:, 2], atol=0.01)
    assert (found.keypoints[0, 13:, 2] < 0.1).all()


def test_people_of_a_batch_are_treated_as_if_alone(
    estimator: MoveNetKeypoints, astronaut: np.ndarray, people: Detections
) -> None:
    wide = np.pad(astronaut, ((0, 7), (0, 300), (0, 0)))
    pictures = [astronaut, wide, astronaut[:30, :20]]
    detections = [people, repeat(people, np.tile(people.boxes, (2, 1))), people.select([])]
    together = estimator.estimate_batch(pictures, detections)
    small_batches = MoveNetKeypoints(batch_size=2).estimate_batch(pictures, detections)
    assert [len(found.keypoints) for found in together] == [1, 2, 0]
    for picture, mine, one, other in zip(
        pictures, detections, together, small_batches, strict=True
    ):
        alone = estimator.estimate(picture, mine)
        for found in (one, other):
            np.testing.assert_allclose(found.keypoints, alone.keypoints, atol=0.02)
            np.testing.assert_array_equal(found.kept, alone.kept)


def test_no_pictures_give_no_keypoints(estimator: MoveNetKeypoints) -> None:
    assert estimator.estimate_batch([], []) == []


def test_large_pictures_give_the_keypoints_of_their_small_version(
    estimator: MoveNetKeypoints, astronaut: np.ndarray, people: Detections
) -> None:
    # 3072 px is above the working size, so this goes through the shrinking.
    large = np.asarray(Image.fromarray(astronaut).resize((3072, 3072), Image.Resampling.BICUBIC))
    assert people.keypoints is not None
    rough = people.keypoints * floats([6, 6, 1])
    found = estimator.estimate(large, Detections(people.boxes * 6, people.scores, rough))
    np.testing.assert_allclose(found.keypoints[0, :7, :2] / 6, ASTRONAUT[:7, :2], atol=2)


def test_without_rough_poses_the_central_person_is_taken(
    estimator: MoveNetKeypoints, astronaut: np.ndarray, people: Detections
) -> None:
    found = estimator.estimate(astronaut, Detections(people.boxes, people.scores))
    np.testing.assert_allclose(found.keypoints[0, :7, :2], ASTRONAUT[:7, :2], atol=2)
    # A picture that is already cropped: the box is the whole picture.
    found = estimator.estimate(astronaut, whole_picture(512, 512))
    np.testing.assert_allclose(found.keypoints[0, :7, :2], ASTRONAUT[:7, :2], atol=8)
    assert found.kept.all()


def test_a_rough_pose_of_somebody_else_is_kept(
    estimator: MoveNetKeypoints, astronaut: np.ndarray, people: Detections
) -> None:
    assert people.keypoints is not None
    elsewhere = people.keypoints + floats([300, 0, 0])
    found = estimator.estimate(astronaut, Detections(people.boxes, people.scores, elsewhere))
    np.testing.assert_array_equal(found.keypoints, elsewhere)


def test_boxes_without_a_person_are_not_kept(
    estimator: MoveNetKeypoints, people: Detections
) -> None:
    blank = np.full((512, 512, 3), 90, np.uint8)
    assert estimator.estimate(blank, people).kept.tolist() == [False]


def test_a_box_that_is_not_a_number_spoils_only_its_own_person(
    estimator: MoveNetKeypoints, astronaut: np.ndarray, people: Detections
) -> None:
    boxes = np.tile(people.boxes, (3, 1))
    boxes[1, 2] = np.nan
    found = estimator.estimate(astronaut, repeat(people, boxes))
    assert found.kept.tolist() == [True, False, True]
    assert np.isnan(found.keypoints[1, :, :2]).all()
    np.testing.assert_allclose(found.keypoints[2, :13, :2], ASTRONAUT[:, :2], atol=0.5)


@pytest.mark.parametrize("box", [[5, 5, 5, 5], [900, 900, 950, 990], [-80, -60, -10, -2]])
def test_boxes_of_no_size_or_outside_are_not_kept(
    estimator: MoveNetKeypoints, astronaut: np.ndarray, box: list[int]
) -> None:
    found = estimator.estimate(astronaut, Detections(floats([box]), floats([1])))
    assert found.kept.tolist() == [False]
    assert np.isfinite(found.keypoints).all()


def test_the_smallest_picture_is_read(estimator: MoveNetKeypoints) -> None:
    found = estimator.estimate(np.zeros((1, 1, 3), np.uint8), whole_picture(1, 1))
    assert found.kept.tolist() == [False]


def test_multipose_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="multipose network; thunder is needed"):
        MoveNetKeypoints(MULTIPOSE_PATH)


@pytest.fixture(scope="module")
def hrnet(golden_checkpoints: Path) -> HRNetKeypoints:
    return HRNetKeypoints(next(golden_checkpoints.glob("*hrnet*.pth")))


@pytest.fixture(scope="module")
def golden_photo(golden: Path) -> np.ndarray:
    path = golden.parent / "photos" / "00002.png"
    if not path.is_file():
        pytest.skip(f"demo picture of the original not found: {path}")
    return np.asarray(Image.open(path).convert("RGB"))


def golden_keypoints(golden: Path) -> np.ndarray:
    """The original's keypoints of 00002.png without detector, px of the picture."""
    with np.load(golden / "b_hrnet.npz") as recorded:
        # The crop is 288 x 384; its frame is the 3:4 box enlarged by 1.2 about the centre.
        centre = recorded["0_bbox_centre"][::-1]
        size = 1.2 * np.array([recorded["0_bbox_width"], recorded["0_bbox_height"]])
        points = (recorded["0_joints2D"] / (288, 384) - 0.5) * size + centre
        return np.concatenate((points, recorded["0_conf"][:, None]), axis=1)


def test_hrnet_gives_the_original_s_keypoints(
    hrnet: HRNetKeypoints, golden: Path, golden_photo: np.ndarray
) -> None:
    found = hrnet.estimate(golden_photo, whole_picture(512, 512))
    expected = golden_keypoints(golden)
    np.testing.assert_allclose(found.keypoints[0, :, :2], expected[:, :2], atol=1e-3)
    np.testing.assert_allclose(found.keypoints[0, :, 2], expected[:, 2], atol=5e-4)
    assert found.kept.tolist() == [True]


def test_hrnet_treats_people_of_a_batch_as_if_alone(
    hrnet: HRNetKeypoints, golden_photo: np.ndarray
) -> None:
    boxes = floats([[0, 0, 512, 512], [0, np.nan, 9, 9], [100, 30, 300, 500]])
    people = Detections(boxes, floats([1, 1, 1]))
    together = hrnet.estimate_batch([golden_photo, golden_photo], [people.select([]), people])
    assert together[0].keypoints.shape == (0, 17, 3)
    assert together[1].kept.tolist() == [True, False, True]
    alone = hrnet.estimate(golden_photo, people.select([2]))
    np.testing.assert_allclose(together[1].keypoints[2], alone.keypoints[0], atol=1e-3)
    assert hrnet.estimate_batch([], []) == []
