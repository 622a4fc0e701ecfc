"""COCO keypoints and 33 landmarks of detected people by BlazePose heavy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hierprob3d.model.body.skeleton import COCO_LANDMARKS, NUM_LANDMARKS
from hierprob3d.model.network.device_batches import in_batches, on_device
from hierprob3d.model.picture.pixels import picture_to_tensor, shrink_picture

from .blazepose import BLAZEPOSE_PATH, BLAZEPOSE_SIZE, load_blazepose
from .blazepose_decoding import decode_landmarks
from .keypoint_estimators import KeypointEstimator, PersonKeypoints
from .movenet import default_batch_size
from .person_detectors import MAX_WORKING_SIDE, Detections
from .person_regions import Regions, crop_regions


class BlazePoseKeypoints(KeypointEstimator):
    """Keypoints by BlazePose heavy on a turned region about each person, one pass a person.

    Where the detections carry rough poses (MoveNetDetector), these say where the hips are and what
    is up; otherwise the region is upright about the box. The network tells badly whether there is
    a person at all, so that this stays the detector's decision.

    Confidences are visibilities; a keypoint outside the picture has none.

    Args:
        weights: folder of BlazePose's weights; None: the bundled ones.
        device: where the network runs.
        batch_size: most people at once; None: what suits the device.
    """

    visibility_threshold = 0.5
    always_visible: tuple[int, ...] = ()

    def __init__(
        self,
        weights: str | Path | None = None,
        device: str | torch.device = "cpu",
        batch_size: int | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.network = load_blazepose(weights or BLAZEPOSE_PATH, self.device)
        self.batch_size = batch_size or default_batch_size(self.device)

    @torch.inference_mode()
    def estimate_batch(
        self, images: Sequence[np.ndarray], detections: Sequence[Detections]
    ) -> list[PersonKeypoints]:
        """Keypoints and landmarks of the people of several pictures, all people as one batch."""
        if not images:
            return []
        regions = [_regions(people) for people in detections]
        kept = [mine.finite for mine in regions]
        cut = [mine.select(good) for mine, good in zip(regions, kept, strict=True)]
        crops = torch.cat([_crops(*pair) for pair in zip(images, cut, strict=True)])
        found = self._landmarks(crops, _concatenated(cut)).split([len(mine) for mine in cut])
        return [
            _to_people(image, good, landmarks)
            for image, good, landmarks in zip(images, kept, found, strict=True)
        ]

    def _landmarks(self, crops: Tensor, regions: Regions) -> Tensor:
        """Landmarks (P, 33, 5) in px of the full pictures."""

        def run(part: Tensor, people: Tensor) -> Tensor:
            batch = on_device(part, self.device, torch.channels_last)
            output = {name: values.cpu() for name, values in self.network(batch).items()}
            return decode_landmarks(output, regions.select(people))

        found = in_batches(run, (crops, torch.arange(len(crops))), self.batch_size)
        return torch.cat([crops.new_zeros(0, NUM_LANDMARKS, 5), *found])


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


def _to_people(image: np.ndarray, kept: Tensor, found: Tensor) -> PersonKeypoints:
    """One picture's result: `found` is of those people alone who are kept."""
    height, width = image.shape[:2]
    landmarks = torch.full((len(kept), NUM_LANDMARKS, 5), torch.nan)
    landmarks[kept] = found
    keypoints = landmarks[:, COCO_LANDMARKS][..., [0, 1, 3]]
    points = keypoints[..., :2]
    inside = ((points >= 0) & (points < points.new_tensor((width, height)))).all(-1)
    keypoints[..., 2] = keypoints[..., 2].where(inside, 0)
    return PersonKeypoints(keypoints.numpy(), kept.numpy(), landmarks.numpy())
