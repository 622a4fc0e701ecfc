"""A batch in parts: for several processes, and for batches that do not fit into memory at once.

The loss of a batch is a mean over its people, and over its visible keypoints. Each part's loss is
multiplied by its share of these, so that the losses and gradients of the parts add up to those of
the whole batch. What a part computes does not depend on how parts are spread over processes.
Only BatchNorm sees the difference: it normalises each part by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hierprob3d.configs.training_phases import LossWeights
from hierprob3d.training.random.draws import seeded_generator

from .losses import LossTerms


@dataclass(frozen=True)
class BatchPart:
    """Some rows of a batch.

    Attributes:
        number: of the part in the batch.
        rows: of the batch.
        people_share: share of the batch's people.
        keypoint_share: () share of the batch's visible keypoints.
    """

    number: int
    rows: slice
    people_share: float
    keypoint_share: Tensor

    def generator(self, first: torch.Generator) -> torch.Generator:
        """The part's own generator; the first part goes on with that of the batch."""
        if self.number == 0:
            return first
        return seeded_generator(first.device, first.initial_seed(), self.number)


def check_batch(batch_size: int, num_ranks: int, accumulate: int) -> None:
    """Raises ValueError where a part of a batch would be too small for BatchNorm."""
    if batch_size < 2 * num_ranks * accumulate:
        raise ValueError(
            f"optimiser.batch_size={batch_size} is too small for {num_ranks} processes and "
            f"optimiser.accumulate={accumulate}: each part needs two people"
        )


def batch_parts(visible: Tensor, num_parts: int) -> list[BatchPart]:
    """Parts of a batch whose sizes differ by one person at most.

    Args:
        visible: (B, 17) bool: keypoints that count in the loss.
        num_parts: how many; see `check_batch`.
    """
    num_people, total = len(visible), visible.sum().clamp(min=1)
    bounds = [number * num_people // num_parts for number in range(num_parts + 1)]
    rows = [slice(start, end) for start, end in zip(bounds[:-1], bounds[1:], strict=True)]
    return [
        BatchPart(number, some, (some.stop - some.start) / num_people, visible[some].sum() / total)
        for number, some in enumerate(rows)
    ]


def share_of_loss(terms: LossTerms, weights: LossWeights, part: BatchPart) -> LossTerms:
    """What a part's terms contribute to those of the whole batch."""
    shares = {name: value * part.people_share for name, value in vars(terms).items()}
    shares["joints2d"] = terms.joints2d * part.keypoint_share
    # The total holds the keypoint term with the share of people.
    correction = terms.joints2d * (part.keypoint_share - part.people_share)
    shares["total"] = shares["total"] + weights.joints2d * correction
    return LossTerms(**shares)


def sum_of_shares(shares: Sequence[LossTerms]) -> LossTerms:
    """Terms of several parts together, without their graphs."""
    sums = {
        name: torch.stack([getattr(terms, name).detach() for terms in shares]).sum()
        for name in vars(shares[0])
    }
    return LossTerms(**sums)
