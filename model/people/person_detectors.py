"""People in pictures: boxes, scores and, from MoveNet, rough poses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hierprob3d.model.body.skeleton import NUM_KEYPOINTS
from hierprob3d.model.inference.network_source import NetworkSource, by_torch
from hierprob3d.model.network.device_batches import in_batches, on_device
from hierprob3d.model.picture.pixels import (
    fitted_size,
    picture_to_tensor,
    resize_picture,
    shrink_picture,
)

from .duplicates import without_duplicates, without_overlaps
from .movenet import MULTIPOSE_PATH, SIZE_MULTIPLE, MoveNet, default_batch_size, load_movenet
from .movenet_decoding import decode_people

MAX_WORKING_SIDE = 2048
"""Larger pictures are shrunk to this longer side before anything else, px.

Nothing is lost: the smallest people that are found (a tenth of it) still have 200 px.
"""

_SIDES = (256, 384)
_FALLBACK_SIDES = (160, 512)
_MAX_OVERLAP = 0.6
_PERSON_LABEL = 1
"""Of Mask R-CNN."""


@dataclass(frozen=True)
class Detections:
    """The people found in one picture, best first; px of the full picture.

    Attributes:
        boxes: (P, 4) float32 x0 y0 x1 y1.
        scores: (P,) float32, 0..1. The scale differs between detectors.
        keypoints: (P, 17, 3) float32 rough x, y, score, or None where the detector has none.
        instead_of_nobody: whether nobody was found, and the box is the whole picture instead.
    """

    boxes: np.ndarray
    scores: np.ndarray
    keypoints: np.ndarray | None = None
    instead_of_nobody: bool = False

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, people: np.ndarray | Sequence[int]) -> Detections:
        """Only the people named by an index list or a boolean mask, in that order."""
        people = np.asarray(people)
        people = people if people.dtype == bool else people.astype(np.int64)
        keypoints = None if self.keypoints is None else self.keypoints[people]
        return Detections(
            self.boxes[people], self.scores[people], keypoints, self.instead_of_nobody
        )


@runtime_checkable
class PersonDetector(Protocol):
    """What the pipeline needs of a detector."""

    network: nn.Module
    """What looks at the pictures; another engine's form of it may take its place."""

    min_score: float
    """Confidence above which somebody counts as a person."""

    def detect(self, image: np.ndarray) -> Detections:
        """People of one (H, W, 3) uint8 RGB picture."""
        ...

    def detect_batch(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """People of several pictures, sizes may differ."""
        ...


def whole_picture(width: int, height: int) -> Detections:
    """One person who fills the picture: for pictures that are already cropped."""
    box = np.array([[0, 0, width, height]], dtype=np.float32)
    return Detections(box, np.ones(1, dtype=np.float32))


def whole_picture_for_nobody(width: int, height: int) -> Detections:
    """The whole picture as the box of somebody whom no detector found: the score is 0."""
    box = whole_picture(width, height).boxes
    return Detections(box, np.zeros(1, dtype=np.float32), instead_of_nobody=True)


def centre_person(detections: Detections, width: int, height: int) -> Detections:
    """The person whose box centre is nearest to the picture's centre, the first one on a tie.

    The paper's rule; it considers people scored above 0.95, which is MaskRCNNDetector's default.
    Nobody detected gives the whole picture, also as in the paper's code.

    Args:
        detections: everybody found.
        width: of the picture, px.
        height: of the picture, px.
    """
    if not len(detections):
        return whole_picture_for_nobody(width, height)
    if len(detections) == 1:
        return detections
    centres = (detections.boxes[:, :2] + detections.boxes[:, 2:]) * 0.5
    distances = ((centres - np.array([width / 2, height / 2])) ** 2).sum(axis=1)
    return detections.select([int(np.argmin(distances))])


class MoveNetDetector:
    """People by MoveNet multipose at two sizes, merged; two further sizes where nobody is found.

    Found reliably: people of at least a fifth of the picture's longer side.

    Args:
        weights: multipose safetensors file; None: the bundled one.
        device: where the network runs.
        min_score: lowest person score kept; 0.2 finds most people, 0.3 only clear ones.
        max_people: most people returned per picture.
        batch_size: most pictures of equal size at once; None: what suits the device.
        source: gives what runs the network.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        device: str | torch.device = "cpu",
        min_score: float = 0.2,
        max_people: int = 12,
        batch_size: int | None = None,
        source: NetworkSource = by_torch,
    ) -> None:
        if not 1 <= max_people <= 100:
            raise ValueError(f"max_people must be 1..100, got {max_people}.")
        self.device = torch.device(device)
        path = Path(weights or MULTIPOSE_PATH)
        self.network = source(lambda: _load_multipose(path, self.device), MoveNet, path)
        self.min_score = min_score
        self.max_people = max_people
        self.batch_size = batch_size or default_batch_size(self.device)

    def detect(self, image: np.ndarray) -> Detections:
        """People of one (H, W, 3) uint8 RGB picture."""
        return self.detect_batch([image])[0]

    @torch.inference_mode()
    def detect_batch(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """People of several (H, W, 3) uint8 RGB pictures; those of like shape run as one batch."""
        sizes = [image.shape[:2] for image in images]
        pictures = [shrink_picture(picture_to_tensor(im), MAX_WORKING_SIDE) for im in images]
        found = self._detect_at(pictures, sizes, _SIDES)
        missing = [index for index, people in enumerate(found) if not len(people)]
        retried = self._detect_at(
            [pictures[i] for i in missing], [sizes[i] for i in missing], _FALLBACK_SIDES
        )
        for index, people in zip(missing, retried, strict=True):
            found[index] = people
        return found

    def _detect_at(
        self, pictures: list[Tensor], sizes: list[tuple[int, int]], sides: tuple[int, ...]
    ) -> list[Detections]:
        """People of each picture, candidates of all `sides` merged; `sizes` are the originals'."""
        if not pictures:
            return []
        inputs, scales, owners = [], [], []
        for owner, (picture, (height, width)) in enumerate(zip(pictures, sizes, strict=True)):
            for side in sides:
                rows, cols = fitted_size(height, width, side)
                inputs.append(_pad_to_multiple(resize_picture(picture, rows, cols)))
                scales.append((width / cols, height / rows))
                owners.append(owner)
        boxes, points, scores = self._run(inputs)
        to_full = torch.tensor(scales)[:, None]
        limits = torch.tensor([(width, height) for height, width in sizes])[owners]
        boxes = torch.minimum(boxes * to_full.tile(2), limits[:, None].tile(2))
        points = torch.cat((points[..., :2] * to_full[..., None, :], points[..., 2:]), -1)
        picture_of = torch.tensor(owners).repeat_interleave(self.max_people)
        return self._merge(
            boxes.flatten(0, 1), scores.flatten(), points.flatten(0, 1), picture_of, len(pictures)
        )

    def _run(self, inputs: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (M, K, 4), keypoints (M, K, 17, 3), scores (M, K) in px of each input, on CPU."""
        boxes = torch.empty(len(inputs), self.max_people, 4)
        points = torch.empty(len(inputs), self.max_people, NUM_KEYPOINTS, 3)
        scores = torch.empty(len(inputs), self.max_people)

        def run(members: Tensor) -> None:
            stacked = torch.stack([inputs[index] for index in members.tolist()])
            batch = on_device(stacked, self.device, torch.channels_last)
            people = decode_people(self.network(batch), self.max_people)
            boxes[members] = people.boxes.cpu()
            points[members] = people.keypoints.cpu()
            scores[members] = people.scores.cpu()

        for members in _of_equal_size(inputs):
            in_batches(run, (torch.tensor(members),), self.batch_size)
        return boxes, points, scores

    def _merge(
        self, boxes: Tensor, scores: Tensor, points: Tensor, picture_of: Tensor, num_pictures: int
    ) -> list[Detections]:
        """Per picture the best candidates that do not repeat a better one."""
        # A score that is not a number fails the comparison and is dropped.
        good = (scores >= self.min_score) & (boxes[:, 2:] > boxes[:, :2]).all(1)
        boxes, scores, points, picture_of = (
            values[good] for values in (boxes, scores, points, picture_of)
        )
        found = []
        for picture in range(num_pictures):
            mine = (picture_of == picture).nonzero()[:, 0]
            mine = mine[scores[mine].argsort(descending=True, stable=True)]
            mine = mine[without_overlaps(boxes[mine], _MAX_OVERLAP)]
            mine = mine[without_duplicates(boxes[mine], points[mine])][: self.max_people]
            found.append(
                Detections(boxes[mine].numpy(), scores[mine].numpy(), points[mine].numpy())
            )
        return found


def _load_multipose(path: Path, device: torch.device) -> MoveNet:
    network = load_movenet(path, device)
    if not network.multi:
        raise ValueError(f"{path} finds one person only; the multipose network is needed.")
    return network


class MaskRCNNDetector:
    """People by torchvision's Mask R-CNN (ResNet-50 FPN, COCO), the paper's detector.

    Args:
        weights: the published state dict, a .pth file; None: torchvision's own copy, downloaded
            into its cache at first use.
        device: where the network runs.
        min_score: people must score above it; the paper's value is 0.95.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        device: str | torch.device = "cpu",
        min_score: float = 0.95,
    ) -> None:
        from .mask_rcnn import load_mask_rcnn  # takes torchvision, which other detectors do without

        self.device = torch.device(device)
        self.min_score = min_score
        self.network: nn.Module = load_mask_rcnn(weights, self.device, min_score)

    @torch.inference_mode()
    def detect(self, image: np.ndarray) -> Detections:
        """People of one (H, W, 3) uint8 RGB picture, best first."""
        height, width = image.shape[:2]
        picture = shrink_picture(picture_to_tensor(image), MAX_WORKING_SIDE)
        found = self.network([picture.to(self.device).float() / 255])[0]
        people = found["labels"] == _PERSON_LABEL
        to_full = torch.tensor([width / picture.shape[2], height / picture.shape[1]]).tile(2)
        boxes = found["boxes"][people].cpu() * to_full
        return Detections(boxes.numpy(), found["scores"][people].cpu().numpy())

    def detect_batch(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """People of several pictures.

        One at a time: the network pads pictures of a batch to a common size, so that a picture's
        boxes would depend on its company.
        """
        return [self.detect(image) for image in images]


def _pad_to_multiple(picture: Tensor) -> Tensor:
    """Black rows and columns added below and right up to the network's size rule."""
    height, width = picture.shape[-2:]
    return functional.pad(picture, (0, -width % SIZE_MULTIPLE, 0, -height % SIZE_MULTIPLE))


def _of_equal_size(pictures: list[Tensor]) -> list[list[int]]:
    """Indices of pictures of equal size."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, picture in enumerate(pictures):
        groups.setdefault(tuple(picture.shape[-2:]), []).append(index)
    return list(groups.values())
