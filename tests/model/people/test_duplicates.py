"""One person found twice is one; neighbours in each other's boxes stay two."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import nms

from hierprob3d.configs.synthetic_people import BackgroundConfig
from hierprob3d.configs.training import DataConfig
from hierprob3d.model.files.bundled import ASSETS
from hierprob3d.model.people import person_detectors
from hierprob3d.model.people.duplicates import (
    keypoint_similarity,
    shared_poses,
    without_duplicates,
    without_overlaps,
)
from hierprob3d.model.people.person_detectors import MoveNetDetector
from hierprob3d.training.assessment.evaluation_set import HELDBACK_POSES
from hierprob3d.training.people.people_setup import PoseChoice, configured_people

BOX = torch.tensor([10.0, 10.0, 110.0, 310.0])
NUM_FACE = 5


def person(seed: int, num_seen: int = 17) -> torch.Tensor:
    """Keypoints all over the box, of which the first are seen."""
    random = torch.Generator().manual_seed(seed)
    places = torch.rand(17, 2, generator=random) * (BOX[2:] - BOX[:2]) + BOX[:2]
    scores = (torch.arange(17) < num_seen).float()
    return torch.cat([places, scores[:, None]], dim=-1)


def test_a_part_of_a_person_is_that_person() -> None:
    whole = person(0)
    head = whole.clone()
    head[:NUM_FACE, :2] += 0.5
    head[NUM_FACE:, :2] += 90  # guesses
    head[NUM_FACE:, 2] = 0.1
    boxes = torch.stack([BOX, torch.tensor([40.0, 20.0, 90.0, 70.0])])
    assert without_duplicates(boxes, torch.stack([whole, head])) == [0]


def test_people_in_one_box_stay_two() -> None:
    both = torch.stack([person(0), person(1)])
    assert without_duplicates(torch.stack([BOX, BOX]), both) == [0, 1]
    child = person(0)
    child[:, :2] = BOX[:2] + 30 + (child[:, :2] - BOX[:2]) / 2  # in the same posture
    small = torch.tensor([40.0, 40.0, 90.0, 190.0])
    assert without_duplicates(torch.stack([BOX, small]), torch.stack([person(0), child])) == [0, 1]


def test_too_few_keypoints_tell_nothing() -> None:
    both = torch.stack([person(0, num_seen=2)] * 2)
    assert without_duplicates(torch.stack([BOX, BOX]), both) == [0, 1]
    assert without_duplicates(torch.empty(0, 4), torch.empty(0, 17, 3)) == []


def test_a_pose_seen_twice_is_that_of_the_person_whom_it_fits() -> None:
    front, behind, far = person(0), person(1), person(2)
    nearly = front.clone()
    nearly[:, :2] += 1
    boxes = BOX.expand(4, 4)
    rough = torch.stack([behind, front, far, nearly])
    shared = shared_poses(boxes, torch.stack([front, front, far, front]), rough)
    assert shared.of_others.tolist() == [True, False, False, False]
    assert shared.twice.tolist() == [False, False, False, True]


def test_of_nobody_and_of_boxes_that_are_no_numbers_no_pose_is_shared() -> None:
    nothing = shared_poses(torch.empty(0, 4), torch.empty(0, 17, 3), torch.empty(0, 17, 3))
    assert [len(people) for people in nothing] == [0, 0]
    unknown = torch.full((2, 17, 3), torch.nan)
    shared = shared_poses(torch.full((2, 4), torch.nan), unknown, unknown)
    assert not shared.of_others.any() and not shared.twice.any()


def test_similarity_is_coco_s() -> None:
    first, second = person(0, num_seen=3), person(0, num_seen=4)
    second[:3, 0] += torch.tensor([1.0, 2.0, 3.0])
    area = 100 * 300
    sigmas = np.array([0.026, 0.025, 0.025])
    expected = np.exp(-np.array([1.0, 4.0, 9.0]) / (2 * area * (2 * sigmas) ** 2)).mean()
    found = keypoint_similarity(torch.stack([BOX, BOX]), torch.stack([first, second]))
    assert found[0, 1] == found[1, 0] == pytest.approx(expected, abs=1e-6)
    assert found[0, 0] == 1


def test_a_small_photograph_has_one_person() -> None:
    data = io.BytesIO()
    with Image.open(ASSETS / "demo" / "astronaut.png") as file:
        file.convert("RGB").resize((256, 256)).save(data, "JPEG", quality=75)
    assert len(MoveNetDetector().detect(np.asarray(Image.open(data)))) == 1


def crowd(num: int) -> np.ndarray:
    """A picture of people who stand before each other, a third of a person's side apart."""
    few = BackgroundConfig(num_drawn=1)
    data = replace(DataConfig(), val_poses=str(HELDBACK_POSES), background_look=few)
    upright = replace(data.synthesis, truncation_probability=0, occluder_probability=0,
                      extreme_crop_probability=0)  # fmt: skip
    source = configured_people(
        replace(data, synthesis=upright), PoseChoice.for_validation(data), "cpu"
    )
    people = source.sample(torch.Generator().manual_seed(5), num)
    picture = np.full((256, 256 + 96 * (num - 1), 3), 110, np.uint8)
    for place, (rgb, mask) in enumerate(zip(people.rgb, people.silhouette, strict=True)):
        there = picture[:, 96 * place : 96 * place + 256]
        there[mask.bool()] = (rgb.permute(1, 2, 0)[mask.bool()] * 255).byte()
    return picture


def test_neighbours_in_a_crowd_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rendered people whose boxes overlap by more than a third; nobody is taken for another."""
    picture, detector = crowd(5), MoveNetDetector()
    found = detector.detect(picture)
    monkeypatch.setattr(person_detectors, "without_duplicates", lambda boxes, _: range(len(boxes)))
    assert len(found) >= 4
    np.testing.assert_array_equal(found.boxes, detector.detect(picture).boxes)


def test_boxes_that_overlap_are_those_that_torchvision_suppresses() -> None:
    generator = torch.Generator().manual_seed(3)
    low = torch.rand(60, 2, generator=generator) * 50
    boxes = torch.cat([low, low + 5 + torch.rand(60, 2, generator=generator) * 60], dim=1)
    best_first = torch.arange(60, 0, -1).float()
    for overlap in (0.2, 0.6):
        expected = nms(boxes, best_first, overlap).tolist()
        assert without_overlaps(boxes, overlap) == expected and len(expected) < 55
    assert without_overlaps(boxes[:0], 0.6) == []
