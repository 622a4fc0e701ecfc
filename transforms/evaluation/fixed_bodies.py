"""What metrics say of bodies that are always the same: by it a metric is known from another."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hierprob3d.model.estimate.metrics import (
    BodyPoints,
    iou_of_counts,
    joints2d_errors,
    silhouette_counts,
)
from hierprob3d.model.picture.proxy import PROXY_SIZE
from hierprob3d.transforms.tables.evaluation_schema import NUM_EVAL_JOINTS

from .evaluator import Evaluator

_NUM_PEOPLE, _NUM_VERTICES, _NUM_KEYPOINTS, _SIDE = 2, 40, 17, 16
_DIGITS = 6


@torch.inference_mode()
def measured(evaluator: Evaluator) -> dict[str, float]:
    """Means over two fixed people, by column: equal where metrics and protocol are the same.

    To about five digits: machines add up in other orders.
    """
    several = (_NUM_PEOPLE, 1 + evaluator.config.num_hypotheses)
    found, true = _points(evaluator, *several), _points(evaluator, _NUM_PEOPLE)
    columns = evaluator.point_columns(found, true)
    places = PROXY_SIZE * _waves(*several, _NUM_KEYPOINTS, 2), PROXY_SIZE * _waves(2, 17, 2, at=1)
    masks = _waves(*several, _SIDE, _SIDE) > 0, _waves(_NUM_PEOPLE, _SIDE, _SIDE, at=1) > 0
    columns |= {
        "joints2D-L2E": joints2d_errors(*places),
        "silhouette-IOU": iou_of_counts(silhouette_counts(*masks)),
    }
    return {name: _rounded(values.mean().item()) for name, values in columns.items()}


def _points(evaluator: Evaluator, *people: int) -> BodyPoints:
    """Points of as many bodies as these axes have; of targets others than of predictions."""
    at = len(people)
    numbers = (_NUM_VERTICES, _NUM_VERTICES, NUM_EVAL_JOINTS)
    return BodyPoints(
        *(_waves(*people, number, 3, at=at + place).to(evaluator.device)
          for place, number in enumerate(numbers))
    )  # fmt: skip


def _waves(*shape: int, at: float = 0.0) -> Tensor:
    """Numbers from -1 to 1 in no order that alignments could find."""
    steps = torch.arange(math.prod(shape), dtype=torch.float64) + at / 7
    return torch.sin(12.9898 * steps + at).float().reshape(shape)


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
