"""What one step of the lift's training learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hierprob3d.model.body.skeleton import JOINT_FLIP
from hierprob3d.model.network.lift_input import LiftInput
from hierprob3d.model.picture.proxy import PROXY_SIZE

from .views import Views


@dataclass(frozen=True)
class LiftBatch:
    """B people: what is seen of them, and the truth.

    Attributes:
        seen: what the network is given.
        joints2d: (B, 24, 2) SMPL joints, px of the 256 px crop.
        rotmats: (B, 24, 3, 3) relative to the parents, the global rotation first.
        betas: (B, 10).
    """

    seen: LiftInput
    joints2d: Tensor
    rotmats: Tensor
    betas: Tensor

    @classmethod
    def of(cls, seen: LiftInput, views: Views) -> LiftBatch:
        """Of views and what detectors would say of them."""
        return cls(seen, views.joints2d, views.rotmats, views.betas)

    @classmethod
    def joined(cls, parts: Sequence[LiftBatch]) -> LiftBatch:
        """The people of all parts, one after the other."""
        return cls(
            LiftInput.joined(*(part.seen for part in parts)),
            torch.cat([part.joints2d for part in parts]),
            torch.cat([part.rotmats for part in parts]),
            torch.cat([part.betas for part in parts]),
        )

    def without_landmarks(self) -> LiftBatch:
        """Those with keypoints, as if nobody had looked for their landmarks."""
        some = self._some(self.seen.keypoints.isfinite().all(-1).any(1))
        return replace(some, seen=LiftInput.of_keypoints(some.seen.keypoints))

    def having_landmarks(self) -> LiftBatch:
        """Those with landmarks."""
        return self._some(self.seen.landmarks.isfinite().flatten(1).all(1))

    def _some(self, people: Tensor) -> LiftBatch:
        return LiftBatch(
            self.seen[people], self.joints2d[people], self.rotmats[people], self.betas[people]
        )

    def mirrored(self, chosen: Tensor) -> LiftBatch:
        """The people, those `chosen` (B,) bool replaced by their mirror images."""
        image = self.seen.mirrored()
        joints2d = self.joints2d[:, list(JOINT_FLIP)].clone()
        joints2d[..., 0] = PROXY_SIZE - joints2d[..., 0]
        signs = self.rotmats.new_tensor([-1.0, 1.0, 1.0])
        rotmats = signs[:, None] * self.rotmats[:, list(JOINT_FLIP)] * signs

        def either(flipped: Tensor, plain: Tensor) -> Tensor:
            return torch.where(chosen.view(-1, *[1] * (plain.ndim - 1)), flipped, plain)

        seen = LiftInput(
            either(image.keypoints, self.seen.keypoints),
            either(image.landmarks, self.seen.landmarks),
        )
        return LiftBatch(
            seen, either(joints2d, self.joints2d), either(rotmats, self.rotmats), self.betas
        )


def one_finder_missing(seen: LiftInput, no_keypoints: Tensor, no_landmarks: Tensor) -> LiftInput:
    """People of whom some, (B,) bool each, have been looked at by one of the two finders only."""
    return LiftInput(
        seen.keypoints.masked_fill(no_keypoints[:, None, None], torch.nan),
        seen.landmarks.masked_fill(no_landmarks[:, None, None], torch.nan),
    )


def depth_missing(seen: LiftInput, no_depth: Tensor) -> LiftInput:
    """People of whom some, (B,) bool, have flat landmarks."""
    return LiftInput(
        seen.keypoints, torch.where(no_depth[:, None, None], seen.flat().landmarks, seen.landmarks)
    )


def keypoints_missing(seen: LiftInput, lost: Tensor) -> LiftInput:
    """People without the keypoints (B, 17) bool."""
    return LiftInput(seen.keypoints.masked_fill(lost[..., None], torch.nan), seen.landmarks)
