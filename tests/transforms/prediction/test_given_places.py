"""Boxes and keypoints of a list take the place of what networks find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch

from hierprob3d.model.people.keypoint_estimators import PersonKeypoints
from hierprob3d.model.people.person_detectors import Detections
from hierprob3d.transforms.batch.batches import Batch
from hierprob3d.transforms.inputs.given_people import GivenPerson, given_text
from hierprob3d.transforms.inputs.items import Frame, picture_item
from hierprob3d.transforms.prediction.detection import detect_people, find_keypoints
from hierprob3d.transforms.tables.rows import given_names

IMAGE = np.zeros((100, 80, 3), np.uint8)
GIVEN = tuple(number for i in range(17) for number in (10.0 + i, 20.0 + 2 * i, 0.9))


class Detector:
    def detect_batch(self, images: Sequence[np.ndarray]) -> list[Detections]:
        return [Detections(np.array([[1, 1, 9, 9]], np.float32), np.ones(1, np.float32))
                for _ in images]  # fmt: skip


class Estimator:
    """Sees nobody anywhere, and counts how many boxes it is shown."""

    num_boxes = 0

    def estimate_batch(
        self, images: Sequence[np.ndarray], boxes: Sequence[Detections]
    ) -> list[PersonKeypoints]:
        self.num_boxes += sum(map(len, boxes))
        return [PersonKeypoints(np.zeros((len(b), 17, 3), np.float32), np.zeros(len(b), bool))
                for b in boxes]  # fmt: skip


def annotated(*given: list[GivenPerson] | None) -> tuple[Batch, Estimator]:
    items = [
        replace(picture_item(f"/{i}.jpg"), given=None if people is None else given_text(people))
        for i, people in enumerate(given)
    ]
    batch, estimator = Batch([Frame(item, IMAGE) for item in items]), Estimator()
    models = SimpleNamespace(detector=Detector(), keypoints=estimator)
    detect_people(batch, models, centre_only=False)
    find_keypoints(batch, models)
    return batch, estimator


def test_given_boxes_and_keypoints_are_the_people() -> None:
    boxed, seen = GivenPerson(bbox=(10, 10, 50, 90)), GivenPerson(keypoints=GIVEN)
    batch, estimator = annotated([boxed, seen], None, [seen])
    people = batch.people
    assert [item.uri for item in people.items] == ["/0.jpg", "/0.jpg", "/2.jpg"]
    assert people.person_indices == [0, 1, 0] and estimator.num_boxes == 3
    assert people.columns["bbox"][0].tolist() == [10, 10, 50, 90]
    assert bool(people.columns["bbox_score"].isnan().all())
    assert people.columns["keypoints"][0].abs().sum() == 0
    torch.testing.assert_close(people.columns["keypoints"][1:].flatten(1),
                               torch.tensor([GIVEN, GIVEN]))  # fmt: skip
    low, high = people.columns["bbox"][1, :2], people.columns["bbox"][1, 2:]
    assert bool((low < torch.tensor([10.0, 20.0])).all())
    assert bool((high > torch.tensor([26.0, 52.0])).all())
    assert given_names(people.items, people.person_indices) == ["bbox", "keypoints", "keypoints"]


def test_a_box_outside_its_picture_is_an_error_of_its_own() -> None:
    batch, _ = annotated([GivenPerson(bbox=(90, 0, 120, 50))], [GivenPerson(keypoints=GIVEN)])
    (failure,) = batch.failures
    assert failure.item.uri == "/0.jpg" and "lies outside the picture" in str(failure.error)
    assert [item.uri for item in batch.people.items] == ["/1.jpg"]
