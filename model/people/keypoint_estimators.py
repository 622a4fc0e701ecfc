"""The 17 COCO keypoints of detected people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from hierprob3d.model.body.skeleton import NUM_KEYPOINTS
from hierprob3d.model.inference.network_source import NetworkSource, by_torch
from hierprob3d.model.network.device_batches import in_batches, on_device
from hierprob3d.model.picture.pixels import (
    cut_square,
    picture_to_tensor,
    resize_picture,
    shrink_picture,
)

from .movenet import THUNDER_PATH, THUNDER_SIZE, MoveNet, default_batch_size, load_movenet
from .movenet_decoding import average_with_mirrored, decode_person, pose_agreement
from .person_detectors import MAX_WORKING_SIDE, Detections

_MOVENET_CROP_SCALE = 1.25
_MIN_AGREEMENT = 0.4
_MIN_POSE_SCORE = 0.2
_NUM_BEST_KEYPOINTS = 6


@dataclass(frozen=True)
class PersonKeypoints:
    """Keypoints of the P people of one picture, in the order of their detections.

    Attributes:
        keypoints: (P, 17, 3) float32 x, y (px of the full picture), confidence; x and y are not
            numbers where the person's box is not made of numbers.
        kept: (P,) bool; False where the box turned out to hold no person.
        landmarks: (P, 33, 5) float32 x, y (px of the full picture), z (px, from the hips, smaller
            is nearer), visibility, presence, in the order of `LANDMARK_NAMES`; not
            numbers where the box is not. None where the estimator gives no landmarks.
        widths: (P, NUM_WIDTHS) float32 of `body_widths`, likewise; None where the estimator sees no
            silhouettes.
    """

    keypoints: np.ndarray
    kept: np.ndarray
    landmarks: np.ndarray | None = None
    widths: np.ndarray | None = None


@runtime_checkable
class KeypointEstimator(Protocol):
    """What the pipeline needs of a keypoint estimator."""

    network: nn.Module
    """What looks at the crops; another engine's form of it may take its place."""

    visibility_threshold: float
    """Keypoints of lower confidence count as not visible (each network has its own scale)."""

    always_visible: tuple[int, ...]
    """Keypoints that count as visible whatever their confidence."""

    def estimate(self, image: np.ndarray, detections: Detections) -> PersonKeypoints:
        """Keypoints of the people of one (H, W, 3) uint8 RGB picture."""
        return self.estimate_batch([image], [detections])[0]

    def estimate_batch(
        self, images: Sequence[np.ndarray], detections: Sequence[Detections]
    ) -> list[PersonKeypoints]:
        """Keypoints of the people of several pictures, all people as one batch."""
        ...


class MoveNetKeypoints(KeypointEstimator):
    """Keypoints by MoveNet thunder on a square about each person, averaged with its mirror image.

    Where the detections carry rough poses (MoveNetDetector), they say which person of the square
    is meant, and a pose far from the rough one (another person's) gives way to it. A box whose
    six best keypoints average below 0.2 is not kept. Boxes without rough poses take the person
    nearest to the square's centre.

    Args:
        weights: thunder safetensors file; None: the bundled one.
        device: where the network runs.
        batch_size: most people at once; None: what suits the device.
        source: gives what runs the network.
    """

    visibility_threshold = 0.3
    always_visible: tuple[int, ...] = ()

    def __init__(
        self,
        weights: str | Path | None = None,
        device: str | torch.device = "cpu",
        batch_size: int | None = None,
        source: NetworkSource = by_torch,
    ) -> None:
        self.device = torch.device(device)
        path = Path(weights or THUNDER_PATH)
        self.network = source(lambda: _load_thunder(path, self.device), MoveNet, path)
        self.batch_size = batch_size or default_batch_size(self.device)

    @torch.inference_mode()
    def estimate_batch(
        self, images: Sequence[np.ndarray], detections: Sequence[Detections]
    ) -> list[PersonKeypoints]:
        """Keypoints of the people of several pictures, all people as one batch."""
        if not images:
            return []
        cut = [_square_crops(*pair) for pair in zip(images, detections, strict=True)]
        crops = torch.cat([crop for crop, _ in cut])
        frames = torch.cat([frame for _, frame in cut])
        rough = torch.cat([_rough_poses(people) for people in detections])
        keypoints, kept = self._keypoints(crops, frames, rough)
        counts = [len(people) for people in detections]
        return [
            PersonKeypoints(mine.numpy(), good.numpy())
            for mine, good in zip(keypoints.split(counts), kept.split(counts), strict=True)
        ]

    def _keypoints(self, crops: Tensor, frames: Tensor, rough: Tensor) -> tuple[Tensor, Tensor]:
        """Keypoints (P, 17, 3) in px of the full pictures, and which people are kept (P,)."""
        # frames: (P, 4) left, top of each crop and full-picture px per crop px along x and y.
        origin, scale = frames[:, None, :2], frames[:, None, 2:]
        prior = torch.cat(((rough[..., :2] - origin) / scale, rough[..., 2:]), -1)
        found = self._run(crops, prior)
        found = torch.cat((found[..., :2] * scale + origin, found[..., 2:]), -1)
        kept = found[..., 2].topk(_NUM_BEST_KEYPOINTS, -1)[0].mean(-1) >= _MIN_POSE_SCORE
        kept = kept & torch.isfinite(frames).all(-1)
        # Without a rough pose the agreement is not a number, and the comparison is false.
        sides = frames[:, 2:].amax(-1) * THUNDER_SIZE
        other_person = pose_agreement(found, rough, sides) < _MIN_AGREEMENT
        return torch.where(other_person[:, None, None], rough, found), kept

    def _run(self, crops: Tensor, prior: Tensor) -> Tensor:
        """Thunder's keypoints (P, 17, 3) in px of the (P, 3, 256, 256) crops."""

        def run(part: Tensor, rough: Tensor) -> Tensor:
            batch = on_device(part, self.device, torch.channels_last)
            maps = average_with_mirrored(self.network(batch), self.network(batch.flip(-1)))
            return decode_person(maps, on_device(rough, self.device)).cpu()

        found = in_batches(run, (crops, prior), self.batch_size)
        return torch.cat([crops.new_zeros(0, NUM_KEYPOINTS, 3, dtype=torch.float32), *found])


def _load_thunder(path: Path, device: torch.device) -> MoveNet:
    network = load_movenet(path, device)
    if network.multi:
        raise ValueError(f"{path} is a multipose network; thunder is needed.")
    return network


def _square_crops(image: np.ndarray, detections: Detections) -> tuple[Tensor, Tensor]:
    """Thunder's view of each person of a picture.

    Returns:
        crops (P, 3, 256, 256) uint8, black where the square leaves the picture or the box is not
        finite, and frames (P, 4): left, top and px per crop px along x and y, all in px of the
        full picture.
    """
    height, width = image.shape[:2]
    picture = shrink_picture(picture_to_tensor(image), MAX_WORKING_SIDE)
    shrink = np.array([width / picture.shape[2], height / picture.shape[1]])
    crops = picture.new_zeros(len(detections), 3, THUNDER_SIZE, THUNDER_SIZE)
    frames = np.full((len(detections), 4), np.nan, dtype=np.float32)
    for person in np.flatnonzero(np.isfinite(detections.boxes).all(axis=1)):
        low, high = detections.boxes[person].reshape(2, 2) / shrink
        side = max(2, round(float((high - low).max()) * _MOVENET_CROP_SCALE))
        left, top = (round(float(corner)) for corner in (low + high - side) / 2)
        square = cut_square(picture, left, top, side)
        crops[person] = resize_picture(square, THUNDER_SIZE, THUNDER_SIZE)
        frames[person] = (*(shrink * (left, top)), *(shrink * side / THUNDER_SIZE))
    return crops, torch.from_numpy(frames)


def _rough_poses(detections: Detections) -> Tensor:
    """(P, 17, 3) poses of the detector, not a number where it has none."""
    if detections.keypoints is None:
        return torch.full((len(detections), NUM_KEYPOINTS, 3), torch.nan)
    return torch.as_tensor(detections.keypoints, dtype=torch.float32)
