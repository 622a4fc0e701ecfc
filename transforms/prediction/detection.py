"""Stages `detect` and `keypoints`: the people of a batch of frames, with their COCO keypoints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from hierprob3d.model.body.skeleton import NUM_KEYPOINTS
from hierprob3d.model.people.keypoint_estimators import PersonKeypoints
from hierprob3d.model.people.person_detectors import Detections, centre_person, whole_picture
from hierprob3d.transforms.batch.batches import Batch
from hierprob3d.transforms.batch.isolation import People, call_each, call_isolated, successes
from hierprob3d.transforms.batch.models import Models
from hierprob3d.transforms.inputs.items import Frame

from .given_places import (
    are_placed,
    given_detections,
    given_keypoints,
    kept_people,
    landmarks_of,
    widths_of,
    with_given,
)

DETECT = "detect"
KEYPOINTS = "keypoints"
LANDMARKS = "landmarks"
WIDTHS = "widths"
"""Of `body_widths`, (P, NUM_WIDTHS); not numbers where no silhouette was looked for."""
ROUGH_KEYPOINTS = "rough_keypoints"
"""Poses of the person detector, (P, 17, 3) as keypoints are; not numbers where it gives none."""
WHOLE_PICTURE = "whole_picture"


def detect_people(batch: Batch, models: Models, centre_only: bool) -> None:
    """Boxes by place of the frame in the batch; frames whose detection failed are left out.

    Where a list gives boxes or keypoints, those are the people, and nobody is looked for.

    Args:
        batch: Its decoded frames are looked at.
        models: Their detector; without one every picture holds one person who fills it.
        centre_only: Keep only the person nearest to the middle, or where nobody is found the
            whole picture.
    """
    frames, images = batch.decoded, batch.images
    detect = _whole_pictures if models.detector is None else models.detector.detect_batch
    placed = [place for place, frame in enumerate(frames) if are_placed(frame.item)]
    asked = [place for place in range(len(frames)) if place not in placed]
    found = call_isolated(detect, [images[place] for place in asked])
    detected = successes(DETECT, [frames[p].item for p in asked], found, batch.failures)
    given = call_each(given_detections, [frames[place] for place in placed])
    taken = successes(DETECT, [frames[p].item for p in placed], given, batch.failures)
    boxes = {asked[i]: people for i, people in detected.items()}
    if centre_only:
        boxes = {
            place: centre_person(people, images[place].shape[1], images[place].shape[0])
            for place, people in boxes.items()
        }
    boxes |= {placed[i]: people for i, people in taken.items()}
    batch.detections = dict(sorted(boxes.items()))


def find_keypoints(batch: Batch, models: Models) -> None:
    """The people of all frames, with columns frame, bbox, bbox_score, whole_picture and keypoints.

    Where the keypoint model finds landmarks, (P, 33, 5) as of `PersonKeypoints`, they are a column
    `landmarks`, and where it sees silhouettes, their widths a column `widths`; otherwise there is
    none.

    A detection in which the keypoint network sees no person is dropped, except where it is no
    detection: pictures given as cropped, or taken whole because nobody was found, or boxes that a
    list gives. Keypoints that a list gives are taken as they are.
    """
    frames, images = batch.decoded, batch.images
    places = [place for place, people in batch.detections.items() if len(people)]
    given = {p: given_keypoints(frames[p].item, len(batch.detections[p])) for p in places}
    asked = [place for place in places if np.isnan(given[place]).any()]
    pairs = [(images[place], batch.detections[place]) for place in asked]
    found = call_isolated(lambda some: models.keypoints.estimate_batch(*_unzip(some)), pairs)
    of_places = [frames[place].item for place in asked]
    estimates = successes(KEYPOINTS, of_places, found, batch.failures)
    known: dict[int, PersonKeypoints | None] = {p: None for p in places if p not in asked}
    known |= {asked[i]: estimate for i, estimate in estimates.items()}
    batch.people = _gather(
        frames,
        [(p, batch.detections[p], with_given(known[p], given[p])) for p in sorted(known)],
        keep_all=models.detector is None,
    )
    columns = batch.people.columns
    names = [name for name in (KEYPOINTS, LANDMARKS, WIDTHS) if name in columns]
    found_points = {name: columns.pop(name) for name in names}
    batch.add(KEYPOINTS, lambda _: found_points, may_be_nan=(LANDMARKS, WIDTHS))


def _whole_pictures(images: Sequence[np.ndarray]) -> list[Detections]:
    return [whole_picture(image.shape[1], image.shape[0]) for image in images]


def _gather(
    frames: Sequence[Frame],
    found: Sequence[tuple[int, Detections, PersonKeypoints]],
    keep_all: bool,
) -> People:
    """One batch of people from the detections and keypoints of several frames."""
    people = People()
    columns: dict[str, list[np.ndarray]] = {
        "frame": [], "bbox": [], "bbox_score": [], WHOLE_PICTURE: [], KEYPOINTS: [],
        ROUGH_KEYPOINTS: [],
    }  # fmt: skip
    for place, boxes, estimate in found:
        kept = kept_people(boxes, estimate, keep_all)
        count = int(kept.sum())
        people.items += [frames[place].item] * count
        people.person_indices += range(count)
        columns["frame"].append(np.full(count, place))
        columns["bbox"].append(boxes.boxes[kept])
        columns["bbox_score"].append(boxes.scores[kept])
        columns[WHOLE_PICTURE].append(np.full(count, boxes.instead_of_nobody))
        columns[KEYPOINTS].append(estimate.keypoints[kept])
        for name, of_estimate in ((LANDMARKS, landmarks_of), (WIDTHS, widths_of)):
            if any(getattr(other, name) is not None for _, _, other in found):
                columns.setdefault(name, []).append(of_estimate(estimate)[kept])
        columns[ROUGH_KEYPOINTS].append(_rough_keypoints(boxes)[kept])
    if found:
        people.columns = {
            name: torch.from_numpy(np.concatenate(parts)) for name, parts in columns.items()
        }
    return people


def _rough_keypoints(boxes: Detections) -> np.ndarray:
    if boxes.keypoints is not None:
        return boxes.keypoints
    return np.full((len(boxes), NUM_KEYPOINTS, 3), np.nan, dtype=np.float32)


def _unzip(
    pairs: Sequence[tuple[np.ndarray, Detections]],
) -> tuple[list[np.ndarray], list[Detections]]:
    return [image for image, _ in pairs], [boxes for _, boxes in pairs]
