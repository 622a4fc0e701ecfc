"""Points after the alignments that metrics apply to distances only."""

from __future__ import annotations

from torch import Tensor

from hierprob3d.model.estimate.metrics import alignment_map


def scale_align(source: Tensor, target: Tensor) -> Tensor:
    """(..., P, 3) source points moved and scaled to the mean and RMS size of the target's."""
    return _align(source, target, "scale")


def similarity_align(source: Tensor, target: Tensor) -> Tensor:
    """(..., P, 3) source points after the rotation, scale and shift that bring them nearest."""
    return _align(source, target, "similarity")


def _align(source: Tensor, target: Tensor, alignment: str) -> Tensor:
    source_mean, target_mean = source.mean(-2, keepdim=True), target.mean(-2, keepdim=True)
    source, target = source - source_mean, target - target_mean
    return source @ alignment_map(source, target, alignment).mT + target_mean
