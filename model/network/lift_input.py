"""What the lift reads of people: coordinates, and how sure their finders are.

Two finders are known, and either may be absent: one of COCO's keypoints (MoveNet, at best on a
crop of the person, or else as its detector gives them), and one of landmarks (BlazePose). Nothing
is left out for being weak: its confidence says how weak it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from hierprob3d.model.body.skeleton import (
    COCO_FLIP,
    COCO_LANDMARKS,
    LANDMARK_FLIP,
    NUM_KEYPOINTS,
    NUM_LANDMARKS,
)
from hierprob3d.model.picture.proxy import PROXY_SIZE

LEAST_CONFIDENCE = 0.1
"""Keypoints of lower confidence are noise, and count as absent."""

GIVEN_CONFIDENCE = 0.9
"""Of keypoints that are said to be there, by a file or as the truth."""

WEAK_CONFIDENCE = 0.2
"""Of keypoints in the picture that are said to be uncertain."""

NUM_INPUTS = 4 * NUM_KEYPOINTS + 5 * NUM_LANDMARKS + 4

HAS_LANDMARKS = NUM_INPUTS - 4
"""Column of the network's numbers that is 1 with landmarks, and 0 without."""

_LEAST_WEIGHT = 0.05
_LEAST_SIZE = 4.0
"""px of the crop."""
_FURTHEST = 6.0
"""Landmarks further out are guesses gone wild: places in sizes of the person."""


class Frame(NamedTuple):
    """Where people are in their crops: what places are relative to."""

    centre: Tensor
    """(B, 2) px of the crop."""

    size: Tensor
    """(B, 1) px: root mean square distance of the points from the centre."""


@dataclass(frozen=True)
class LiftInput:
    """B people in px of their 256 px crops, y down."""

    keypoints: Tensor
    """(B, 17, 3) x, y, confidence on MoveNet's scale, COCO's order; not numbers where absent."""

    landmarks: Tensor
    """(B, 33, 5) x, y, z, visibility, presence of BlazePose; not numbers where there are none."""

    @classmethod
    def of_keypoints(cls, keypoints: Float[Tensor, "B 17 3"]) -> LiftInput:
        """Of people whose landmarks nobody looked for."""
        return cls(keypoints, keypoints.new_full((len(keypoints), NUM_LANDMARKS, 5), torch.nan))

    def __len__(self) -> int:
        return len(self.keypoints)

    def __getitem__(self, people: slice | Tensor) -> LiftInput:
        return LiftInput(self.keypoints[people], self.landmarks[people])

    def to(self, device: torch.device) -> LiftInput:
        """The same people on another device."""
        return LiftInput(self.keypoints.to(device), self.landmarks.to(device))

    @staticmethod
    def joined(*parts: LiftInput) -> LiftInput:
        """The people of all parts, one after the other."""
        return LiftInput(
            torch.cat([part.keypoints for part in parts]),
            torch.cat([part.landmarks for part in parts]),
        )

    def mirrored(self) -> LiftInput:
        """The same people in the mirror image of their crops."""
        keypoints = self.keypoints[:, list(COCO_FLIP)].clone()
        landmarks = self.landmarks[:, list(LANDMARK_FLIP)].clone()
        keypoints[..., 0] = PROXY_SIZE - keypoints[..., 0]
        landmarks[..., 0] = PROXY_SIZE - landmarks[..., 0]
        return LiftInput(keypoints, landmarks)

    def flat(self) -> LiftInput:
        """The same people, their landmarks without depth."""
        landmarks = self.landmarks.clone()
        landmarks[..., 2] *= 0  # what is no number stays none
        return LiftInput(self.keypoints, landmarks)

    def apart(self, frame: Frame) -> Float[Tensor, "B 17"]:
        """(B, 17) sizes of the person between both finders' places of each keypoint; 0: unknown."""
        of_coco = self.landmarks[:, list(COCO_LANDMARKS), :2]
        distance = (self.keypoints[..., :2] - of_coco).norm(dim=-1) / frame.size
        is_weak = ~(self.keypoints[..., 2] >= LEAST_CONFIDENCE)
        return distance.masked_fill(is_weak, 0).nan_to_num().clamp(max=_FURTHEST)

    def numbers(self) -> tuple[Tensor, Frame]:
        """What the network computes with: (B, NUM_INPUTS), 0 where something is absent."""
        finite = torch.isfinite(self.keypoints).all(-1)
        present = (finite & (self.keypoints[..., 2] >= LEAST_CONFIDENCE)).float()
        has_landmarks = torch.isfinite(self.landmarks).flatten(1).all(1).float()[:, None]
        keypoints, landmarks = self.keypoints.nan_to_num(), self.landmarks.nan_to_num()
        score = keypoints[..., 2] * present
        seen = has_landmarks * landmarks[..., 3]
        frame = _frame(keypoints, present, landmarks, has_landmarks)
        places = (keypoints[..., :2] - frame.centre[:, None]) / frame.size[:, None]
        outer = (landmarks[..., :2] - frame.centre[:, None]) / frame.size[:, None]
        outer = outer.clamp(-_FURTHEST, _FURTHEST) * has_landmarks[..., None]
        depth = (landmarks[..., 2] / frame.size).clamp(-_FURTHEST, _FURTHEST) * has_landmarks
        numbers = [
            (places * present[..., None]).flatten(1), score, present,
            outer.flatten(1), depth, seen, has_landmarks * landmarks[..., 4], has_landmarks,
            frame.centre * (2 / PROXY_SIZE) - 1, frame.size * (4 / PROXY_SIZE) - 1,
        ]  # fmt: skip
        return torch.cat(numbers, dim=1), frame


def _frame(keypoints: Tensor, present: Tensor, landmarks: Tensor, has_landmarks: Tensor) -> Frame:
    """Centre and size of the points, each counting by its confidence."""
    of_coco = landmarks[:, list(COCO_LANDMARKS)]
    points = torch.cat([keypoints[..., :2], of_coco[..., :2]], dim=1)
    weights = [
        present * keypoints[..., 2].clamp(_LEAST_WEIGHT, 1),
        has_landmarks * of_coco[..., 3].clamp(_LEAST_WEIGHT, 1),
    ]
    weight = torch.cat(weights, dim=1)[..., None]
    total = weight.sum(1).clamp_min(1e-3)
    centre = (points * weight).sum(1) / total
    squared = (points - centre[:, None]).square().sum(-1, keepdim=True)
    size = ((squared * weight).sum(1) / total).sqrt().clamp_min(_LEAST_SIZE)
    return Frame(centre, size)
