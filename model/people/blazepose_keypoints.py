"""COCO keypoints, 33 landmarks and widths of detected people by BlazePose heavy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hierprob3d.model.body.skeleton import COCO_LANDMARKS, NUM_LANDMARKS
from hierprob3d.model.inference.network_source import NetworkSource, by_torch
from hierprob3d.model.network.device_batches import in_batches, on_device
from hierprob3d.model.picture.pixels import picture_to_tensor, shrink_picture

from .blazepose import BLAZEPOSE_PATH, BLAZEPOSE_SIZE, BlazePose, load_blazepose
from .blazepose_decoding import decode_landmarks, decode_widths, refine_landmarks
from .body_widths import NUM_WIDTHS
from .duplicates import shared_poses
from .keypoint_estimators import KeypointEstimator, MoveNetKeypoints, PersonKeypoints
from .movenet import default_batch_size
from .person_detectors import MAX_WORKING_SIDE, Detections
from .person_regions import Regions, crop_regions

_FACE = slice(5)
_VISIBLE = 0.5
_OF_MOVENET = _VISIBLE / MoveNetKeypoints.visibility_threshold
_MIN_FACE_SCORE = 0.3
_MIN_PRESENCE = 0.5
_CLEAR_SCORE = 0.3  # of MoveNet; Mask R-CNN's people all have more


class _Found(NamedTuple):
    """What is seen of P people."""

    landmarks: Tensor
    """(P, 33, 5) in px of the full pictures."""
    presence: Tensor
    """(P,) of people, 0..1."""
    widths: Tensor
    """(P, NUM_WIDTHS)."""


class BlazePoseKeypoints(KeypointEstimator):
    """Keypoints by BlazePose heavy on a turned region about each person, one pass a person.

    Where the detections carry rough poses (MoveNetDetector), these say where the hips are and what
    is up; otherwise the region is upright about the box. Whether there is a person is the
    detector's decision: the network says so of one empty region in sixteen. A box is not kept where
    both doubt it.

    Of people who stand before each other the network may see the same one twice: whom it fits less
    keeps the rough pose, and has no landmarks, or is not kept where it is the same person.

    Confidences are visibilities; a keypoint outside the picture has none. Eyes and ears, which
    BlazePose and COCO define differently, lie halfway to the rough pose's where the detector looked
    closely enough; landmarks stay the network's own.

    Args:
        weights: folder of BlazePose's weights; None: the bundled ones.
        device: where the network runs.
        batch_size: most people at once; None: what suits the device.
        source: gives what runs the network.
    """

    visibility_threshold = _VISIBLE
    always_visible: tuple[int, ...] = ()

    def __init__(
        self,
        weights: str | Path | None = None,
        device: str | torch.device = "cpu",
        batch_size: int | None = None,
        source: NetworkSource = by_torch,
    ) -> None:
        self.device = torch.device(device)
        path = Path(weights or BLAZEPOSE_PATH)
        self.network = source(
            lambda: load_blazepose(path, self.device, with_outline=True), BlazePose, path
        )
        self.batch_size = batch_size or default_batch_size(self.device)

    @torch.inference_mode()
    def estimate_batch(
        self, images: Sequence[np.ndarray], detections: Sequence[Detections]
    ) -> list[PersonKeypoints]:
        """Keypoints, landmarks and widths of the people of several pictures, all as one batch."""
        if not images:
            return []
        regions = [_regions(people) for people in detections]
        kept = [mine.finite for mine in regions]
        cut = [mine.select(good) for mine, good in zip(regions, kept, strict=True)]
        crops = torch.cat([_crops(*pair) for pair in zip(images, cut, strict=True)])
        counts = [len(mine) for mine in cut]
        found = self._look(crops, _concatenated(cut))
        of_pictures = zip(*(values.split(counts) for values in found), strict=True)
        people = [
            _to_people(image, rough, good, _Found(*mine))
            for image, rough, good, mine in zip(images, detections, kept, of_pictures, strict=True)
        ]
        for one, rough, mine, image in zip(people, detections, regions, images, strict=True):
            looked_closely = mine.sides.numpy() > max(image.shape) / 2
            _average_faces(one.keypoints, rough.keypoints, looked_closely)
        return people

    def _look(self, crops: Tensor, regions: Regions) -> _Found:
        """What is seen of all people."""

        def run(part: Tensor, people: Tensor) -> _Found:
            batch = on_device(part, self.device, torch.channels_last)
            output = {name: values.cpu() for name, values in self.network(batch).items()}
            landmarks = refine_landmarks(output["landmarks"], output["heatmap"])
            return _Found(
                decode_landmarks(landmarks, regions.select(people)),
                output["presence"].sigmoid(),
                decode_widths(output["outline"], landmarks),
            )

        found = in_batches(run, (crops, torch.arange(len(crops))), self.batch_size)
        nobody = _Found(
            crops.new_zeros(0, NUM_LANDMARKS, 5), crops.new_zeros(0), crops.new_zeros(0, NUM_WIDTHS)
        )
        return _Found(*map(torch.cat, zip(nobody, *found, strict=True)))


def _regions(detections: Detections) -> Regions:
    """The regions of one picture's people; not numbers where the detection is not."""
    boxes = torch.as_tensor(detections.boxes, dtype=torch.float32)
    if detections.keypoints is None:
        return Regions.around_boxes(boxes)
    regions = Regions.around_poses(torch.as_tensor(detections.keypoints, dtype=torch.float32))
    bad = ~torch.isfinite(boxes).all(1)
    return Regions(regions.centres, regions.sides.masked_fill(bad, torch.nan), regions.angles)


def _crops(image: np.ndarray, regions: Regions) -> Tensor:
    """(P, 3, 256, 256) what the network sees of one picture's people."""
    picture = shrink_picture(picture_to_tensor(image), MAX_WORKING_SIDE)
    shrink = picture.shape[2] / image.shape[1]
    small = Regions(regions.centres * shrink, regions.sides * shrink, regions.angles)
    return crop_regions(picture, small, BLAZEPOSE_SIZE)


def _concatenated(regions: Sequence[Regions]) -> Regions:
    return Regions(
        torch.cat([mine.centres for mine in regions]),
        torch.cat([mine.sides for mine in regions]),
        torch.cat([mine.angles for mine in regions]),
    )


def _average_faces(
    keypoints: np.ndarray, rough: np.ndarray | None, looked_closely: np.ndarray
) -> None:
    """Moves faces halfway to the detector's, in place: 2.6 px of error instead of 3.4.

    Args:
        keypoints: (P, 17, 3).
        rough: the same of the detector, or None.
        looked_closely: (P,) people whom the detector saw at no less than half of our scale;
            farther ones it places worse than we do.
    """
    if rough is None:
        return
    sure = looked_closely[:, None] & (rough[:, _FACE, 2] >= _MIN_FACE_SCORE)
    halfway = (keypoints[:, _FACE, :2] + rough[:, _FACE, :2]) / 2
    keypoints[:, _FACE, :2] = np.where(sure[..., None], halfway, keypoints[:, _FACE, :2])


def _to_people(
    image: np.ndarray, detections: Detections, good: Tensor, found: _Found
) -> PersonKeypoints:
    """One picture's result: `found` is of those people whose box is `good`."""
    height, width = image.shape[:2]
    landmarks = torch.full((len(good), NUM_LANDMARKS, 5), torch.nan)
    landmarks[good] = found.landmarks
    widths = torch.full((len(good), NUM_WIDTHS), torch.nan)
    widths[good] = found.widths
    kept = good.clone()
    scores = torch.as_tensor(detections.scores)[good]
    kept[good] = (found.presence >= _MIN_PRESENCE) | (scores >= _CLEAR_SCORE)
    keypoints = landmarks[:, COCO_LANDMARKS][..., [0, 1, 3]]
    points = keypoints[..., :2]
    inside = ((points >= 0) & (points < points.new_tensor((width, height)))).all(-1)
    keypoints[..., 2] = keypoints[..., 2].where(inside, 0)
    if detections.keypoints is not None:
        rough = torch.as_tensor(detections.keypoints)
        shared = shared_poses(torch.as_tensor(detections.boxes), keypoints, rough)
        others = shared.of_others
        keypoints[others] = rough[others] * rough.new_tensor([1, 1, _OF_MOVENET])
        landmarks[others], widths[others] = torch.nan, torch.nan
        kept &= ~shared.twice
    return PersonKeypoints(keypoints.numpy(), kept.numpy(), landmarks.numpy(), widths.numpy())
