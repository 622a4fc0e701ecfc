from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import hierprob3d.model.people.person_detectors as person_detectors
from hierprob3d.model.people.mask_rcnn import build_mask_rcnn
from hierprob3d.model.people.movenet import THUNDER_PATH
from hierprob3d.model.people.person_detectors import (
    Detections,
    MaskRCNNDetector,
    MoveNetDetector,
    centre_person,
    whole_picture,
)

# Box, score and the rough nose, left shoulder and right hip of the one person of astronaut.png,
# by the separate PyTorch port of MoveNet and its runner that were held against the TensorFlow
# graphs when the weights were converted. It resizes in float where we resize in uint8, hence the
# tolerances: 0.5 px and 0.01 in score.
ASTRONAUT_BOX = (23.851, 11.586, 365.080, 508.625)
ASTRONAUT_SCORE = 0.467
ASTRONAUT_ROUGH = {0: (222.271, 122.677), 5: (305.018, 258.224), 12: (126.896, 495.141)}


@pytest.fixture(scope="module")
def detector() -> MoveNetDetector:
    return MoveNetDetector()


def floats(values: object) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def assert_same(found: Detections, expected: Detections, px: float, score: float = 1e-4) -> None:
    assert len(found) == len(expected)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=px)
    np.testing.assert_allclose(found.scores, expected.scores, atol=score)


def test_astronaut_is_found_where_the_reference_finds_her(
    detector: MoveNetDetector, astronaut: np.ndarray
) -> None:
    found = detector.detect(astronaut)
    assert found.boxes.shape == (1, 4)
    assert found.boxes.dtype == found.scores.dtype == np.float32
    np.testing.assert_allclose(found.boxes[0], ASTRONAUT_BOX, atol=0.5)
    np.testing.assert_allclose(found.scores[0], ASTRONAUT_SCORE, atol=0.01)
    assert found.keypoints is not None and found.keypoints.shape == (1, 17, 3)
    for joint, point in ASTRONAUT_ROUGH.items():
        np.testing.assert_allclose(found.keypoints[0, joint, :2], point, atol=0.5)


def test_pictures_of_a_batch_are_treated_as_if_alone(
    detector: MoveNetDetector, astronaut: np.ndarray
) -> None:
    odd = astronaut[:301, 3:]
    pictures = [astronaut, np.zeros((77, 33, 3), np.uint8), odd, astronaut[:, ::-1], odd]
    together = detector.detect_batch(pictures)
    assert [len(found) for found in together] == [1, 0, 1, 1, 1]
    for picture, found in zip(pictures, together, strict=True):
        assert_same(found, detector.detect(picture), px=0.05)


def test_batches_of_any_size_give_the_same(
    detector: MoveNetDetector, astronaut: np.ndarray
) -> None:
    pictures = [astronaut, astronaut[::-1], astronaut[:, ::-1]]
    batched = MoveNetDetector(batch_size=2).detect_batch(pictures)
    for found, expected in zip(batched, detector.detect_batch(pictures), strict=True):
        assert_same(found, expected, px=0.05)


def test_grey_and_read_only_pictures_are_fine(
    detector: MoveNetDetector, astronaut: np.ndarray
) -> None:
    grey = np.repeat(astronaut.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    grey.flags.writeable = False
    found = detector.detect(grey)
    np.testing.assert_allclose(found.boxes[0], ASTRONAUT_BOX, atol=25)


def test_large_pictures_give_the_boxes_of_their_small_version(
    detector: MoveNetDetector, astronaut: np.ndarray
) -> None:
    # 3072 px is above the working size, so this goes through the shrinking.
    large = np.asarray(Image.fromarray(astronaut).resize((3072, 3072), Image.Resampling.BICUBIC))
    found = detector.detect(large)
    np.testing.assert_allclose(found.boxes[0] / 6, ASTRONAUT_BOX, atol=2)


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 1), (2, 3), (333, 517)])
def test_pictures_without_people_give_empty_detections(
    detector: MoveNetDetector, shape: tuple[int, int]
) -> None:
    found = detector.detect(np.full((*shape, 3), 128, np.uint8))
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)
    assert found.keypoints is not None and found.keypoints.shape == (0, 17, 3)


def test_no_pictures_give_no_detections(detector: MoveNetDetector) -> None:
    assert detector.detect_batch([]) == []


def test_close_people_stay_two_and_repeats_become_one(detector: MoveNetDetector) -> None:
    boxes = torch.tensor(
        [[0.0, 0, 10, 20], [0, 1, 10, 20], [5, 0, 15, 20], [0, 0, 10, 20], [3, 3, 3, 9]]
    )
    scores = torch.tensor([0.5, 0.9, 0.4, float("nan"), 0.8])
    points = torch.arange(5.0)[:, None, None].expand(5, 17, 3)
    found = detector._merge(boxes, scores, points, torch.zeros(5, dtype=torch.long), 2)
    # 1 repeats 0 (IoU 0.95) with a better score, 2 overlaps it by a third, 3 has no score, 4 no
    # width.
    np.testing.assert_array_equal(found[0].scores, floats([0.9, 0.4]))
    assert found[0].keypoints is not None
    np.testing.assert_array_equal(found[0].keypoints[:, 0, 0], [1, 2])
    assert len(found[1]) == 0


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="max_people must be 1..100"):
        MoveNetDetector(max_people=0)
    with pytest.raises(ValueError, match="one person only"):
        MoveNetDetector(THUNDER_PATH)


def test_select_keeps_the_order_asked_for() -> None:
    people = Detections(np.arange(12.0).reshape(3, 4), np.array([0.3, 0.2, 0.1]))
    np.testing.assert_array_equal(people.select([2, 0]).scores, [0.1, 0.3])
    np.testing.assert_array_equal(people.select(np.array([False, True, False])).scores, [0.2])
    assert len(people.select([])) == 0


# The cases of the original's runs on a 960 x 720 picture with detections put in by hand: boxes
# (x0 y0 x1 y1) above its threshold, and the centre (vertical, horizontal) of the box it took.
@pytest.mark.parametrize(
    ("boxes", "golden_case"),
    [
        ([[0, 0, 300, 600], [300, 30, 670, 700]], 0),
        ([[60, 20, 170, 260]], 1),
        ([[20, 100, 940, 640]], 5),
        ([[0, 0, 100, 100], [860, 620, 960, 720]], 6),
    ],
)
def test_centre_person_is_the_original_s_choice(
    golden: Path, boxes: list[list[int]], golden_case: int
) -> None:
    people = Detections(floats(boxes), np.linspace(0.99, 0.96, len(boxes), dtype=np.float32))
    chosen = centre_person(people, width=960, height=720).boxes[0]
    with np.load(golden / "i2_detector.npz") as recorded:
        centre = recorded[f"{golden_case}_centre"]
    np.testing.assert_allclose([chosen[1::2].mean(), chosen[0::2].mean()], centre, atol=1e-3)


def test_centre_person_takes_the_first_of_equals() -> None:
    boxes = floats([[0, 0, 10, 10], [90, 90, 100, 100], [90, 0, 100, 10]])
    people = Detections(boxes, floats([0.96, 0.97, 0.98]))
    np.testing.assert_array_equal(centre_person(people, 100, 100).scores, floats([0.96]))


def test_the_whole_picture_stands_for_nobody_found() -> None:
    nobody = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    chosen = centre_person(nobody, width=30, height=20)
    assert chosen.instead_of_nobody and chosen.scores.tolist() == [0]
    np.testing.assert_array_equal(chosen.boxes, floats([[0, 0, 30, 20]]))
    assert not whole_picture(30, 20).instead_of_nobody


def test_whole_picture_is_one_box() -> None:
    people = whole_picture(width=30, height=20)
    np.testing.assert_array_equal(people.boxes, [[0, 0, 30, 20]])
    assert people.keypoints is None


@pytest.fixture(scope="module")
def mask_rcnn_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole state dict of random weights that calls nearly everything a person."""
    torch.manual_seed(0)
    state = build_mask_rcnn(0.95).state_dict()
    state["roi_heads.box_predictor.cls_score.bias"][1] += 20
    path = tmp_path_factory.mktemp("mask_rcnn") / "weights.pth"
    torch.save(state, path)
    return path


def test_mask_rcnn_gives_boxes_in_px_of_the_picture(mask_rcnn_file: Path) -> None:
    detector = MaskRCNNDetector(mask_rcnn_file)
    detector.network.transform.min_size, detector.network.transform.max_size = (64,), 128
    picture = np.random.default_rng(0).integers(0, 256, (90, 300, 3), dtype=np.uint8)
    found = detector.detect(picture)
    assert len(found) > 0
    assert found.keypoints is None
    assert (found.scores > 0.95).all() and (np.diff(found.scores) <= 0).all()
    assert (found.boxes[:, 2:] <= (300, 90)).all() and found.boxes[:, 2].max() > 128
    assert_same(detector.detect_batch([picture[:50], picture])[1], found, px=1e-3)


def test_mask_rcnn_shrinks_what_is_larger_than_its_working_size(
    mask_rcnn_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = MaskRCNNDetector(mask_rcnn_file)
    detector.network.transform.min_size, detector.network.transform.max_size = (64,), 128
    picture = np.random.default_rng(0).integers(0, 256, (100, 300, 3), dtype=np.uint8)
    monkeypatch.setattr(person_detectors, "MAX_WORKING_SIDE", 150)
    boxes = detector.detect(picture).boxes
    assert 150 < boxes[:, 2].max() <= 300 and boxes[:, 3].max() <= 100
