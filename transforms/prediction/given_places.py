"""Boxes and keypoints that a list gives, in the shape of what networks find."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hierprob3d.model.body.skeleton import NUM_KEYPOINTS, NUM_LANDMARKS
from hierprob3d.model.people.body_widths import NUM_WIDTHS
from hierprob3d.model.people.keypoint_estimators import PersonKeypoints
from hierprob3d.model.people.person_detectors import Detections
from hierprob3d.transforms.inputs.given_people import GivenPerson, given_people
from hierprob3d.transforms.inputs.items import Frame, Item

_MARGIN = 0.15
"""Of the box about given keypoints, on each side: heads and feet reach beyond their joints."""


def are_placed(item: Item) -> bool:
    """Whether it is given where an item's people are."""
    people = given_people(item.given)
    return bool(people) and people[0].is_placed


def given_detections(frame: Frame) -> Detections:
    """The boxes given for a decoded frame, without scores, in the order of the list.

    Raises:
        ValueError: One lies outside the picture.
    """
    assert frame.image is not None
    height, width = frame.image.shape[:2]
    boxes = np.array([_box(person) for person in given_people(frame.item.given)], np.float32)
    inside = (boxes[:, :2] < [width, height]).all(1) & (boxes[:, 2:] > 0).all(1)
    if not inside.all():
        box = ", ".join(f"{number:g}" for number in boxes[~inside][0])
        raise ValueError(f"the box given, {box}, lies outside the picture of {width} x {height} px")
    return Detections(boxes, np.full(len(boxes), np.nan, np.float32))


def given_keypoints(item: Item, num_people: int) -> np.ndarray:
    """(P, 17, 3) float32 keypoints given for an item's people; NaN where they are not."""
    keypoints = np.full((num_people, NUM_KEYPOINTS, 3), np.nan, np.float32)
    if are_placed(item):
        for place, person in enumerate(given_people(item.given)):
            if person.keypoints is not None:
                keypoints[place] = np.reshape(person.keypoints, (-1, 3))
    return keypoints


def with_given(estimate: PersonKeypoints | None, given: np.ndarray) -> PersonKeypoints:
    """Keypoints with those that are given in the place of the network's.

    Args:
        estimate: Of the network; None where all are given.
        given: See `given_keypoints`.
    """
    if estimate is None:
        return PersonKeypoints(given, np.ones(len(given), bool))
    known = ~np.isnan(given)
    landmarks, widths = estimate.landmarks, estimate.widths
    nothing = np.float32(np.nan)
    if landmarks is not None:  # those of a person whose keypoints are given are not the person's
        landmarks = np.where(known[:, :1, :1], nothing, landmarks)
    if widths is not None:
        widths = np.where(known[:, 0, :1], nothing, widths)
    keypoints = np.where(known, given, estimate.keypoints)
    return PersonKeypoints(keypoints, estimate.kept, landmarks, widths)


def landmarks_of(estimate: PersonKeypoints) -> np.ndarray:
    """(P, 33, 5) landmarks; NaN where there are none, as keypoints were given."""
    if estimate.landmarks is not None:
        return estimate.landmarks
    return np.full((len(estimate.kept), NUM_LANDMARKS, 5), np.nan, np.float32)


def widths_of(estimate: PersonKeypoints) -> np.ndarray:
    """(P, NUM_WIDTHS) widths; NaN where there are none, as keypoints were given."""
    if estimate.widths is not None:
        return estimate.widths
    return np.full((len(estimate.kept), NUM_WIDTHS), np.nan, np.float32)


def kept_people(boxes: Detections, estimates: PersonKeypoints, keep_all: bool) -> np.ndarray:
    """(P,) bool: who stays; the keypoint network may only doubt what a detector found."""
    if keep_all or boxes.instead_of_nobody:
        return np.ones(len(boxes), bool)
    return estimates.kept | np.isnan(boxes.scores)


def _box(person: GivenPerson) -> Sequence[float]:
    if person.bbox is not None:
        return person.bbox
    points = np.reshape(np.array(person.keypoints), (-1, 3))
    seen = points[points[:, 2] > 0, :2]
    low, high = seen.min(0), seen.max(0)
    margin = _MARGIN * (high - low).max()
    return [*(low - margin), *(high + margin)]
