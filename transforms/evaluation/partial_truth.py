"""Distances to a truth of which only a part is known: NaN stands for what is not.

Rows whose truth is whole go through the same arithmetic as ever, so that their numbers do not
depend on what else is in a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from hierprob3d.configs.evaluation import EvaluateConfig
from hierprob3d.configs.metric_table import POINT_METRICS
from hierprob3d.model.estimate.metrics import BodyPoints, body_errors, point_errors
from hierprob3d.model.picture.cameras import half_turn_x
from hierprob3d.transforms.datasets.eval_item import EvalItem
from hierprob3d.transforms.tables.evaluation_schema import metric_columns

MIN_KNOWN_JOINTS = 4
"""Fewer do not fix a similarity: such rows have no distance between joints."""

_OF_TRUTH = (
    "joint_errors_m", "joint_errors_pa_m", "pose_nll", "pose_error_deg", "shape_nll",
    "shape_central_probability",
)  # fmt: skip
NO_RANK = -1
"""Rank of a truth that is not known among the draws."""


def columns_of_truth(config: EvaluateConfig) -> tuple[str, ...]:
    """Columns that are NaN where the truth is not known, of datasets that may lack some of it."""
    if config.dataset != "npz":
        return ()
    return (*metric_columns(config), *_OF_TRUTH)


def with_true_joints(points: BodyPoints, items: Sequence[EvalItem]) -> BodyPoints:
    """The true points, joints replaced by those of items that have their own.

    Args:
        points: (B, ...) of the true bodies, upright.
        items: B of them; theirs are in the camera frame.
    """
    if all(item.true_joints3d is None for item in items):
        return points
    joints = points.joints.clone()
    for row, item in enumerate(items):
        if item.true_joints3d is not None:
            joints[row] = half_turn_x(torch.from_numpy(item.true_joints3d).to(joints))
    return BodyPoints(points.vertices, points.reposed, joints)


def known_body_errors(
    points: BodyPoints, target: BodyPoints, names: Iterable[str]
) -> dict[str, Tensor]:
    """As `body_errors`; of a row with some unknown joints over the others."""
    names = tuple(names)
    errors = body_errors(points, target, names)
    of_joints = [name for name in names if POINT_METRICS[name].points == "joints"]
    for rows, joints in _partly_known(target.joints):
        some = BodyPoints(
            points.vertices[rows], points.reposed[rows], points.joints[rows][:, :, joints]
        )
        true = BodyPoints(
            target.vertices[rows], target.reposed[rows], target.joints[rows][:, joints]
        )
        for name, values in body_errors(some, true, of_joints).items():
            errors[name][rows] = values
    return errors


def known_joint_errors(joints: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 14) distances unaligned and after Procrustes, NaN for joints that are not known."""
    alignments = ("none", "similarity")
    unaligned, aligned = point_errors(joints, target, alignments).unbind(1)
    for rows, known in _partly_known(target):
        some = point_errors(joints[rows][:, known], target[rows][:, known], alignments)
        places = torch.tensor(rows)[:, None], known.nonzero()[:, 0][None]
        unaligned[places], aligned[places] = some.unbind(1)
    return unaligned, aligned


def known_mean(values: Tensor, dim: int | tuple[int, ...]) -> Tensor:
    """Mean over what is not NaN."""
    return values.nanmean(dim) if bool(values.isnan().any()) else values.mean(dim)


def true_joints2d(items: Sequence[EvalItem]) -> np.ndarray:
    """(B, 17, 2) keypoints that projections are compared with, NaN where one is not known."""
    return np.stack(
        [item.joints2d if item.true_joints2d is None else item.true_joints2d for item in items]
    )


def _partly_known(joints: Tensor) -> list[tuple[list[int], Tensor]]:
    """Rows with enough but not all joints, and which these are (14,) bool, by what is known."""
    known = joints.isfinite().all(-1)  # (B, 14)
    count = known.sum(-1)
    partly = (count >= MIN_KNOWN_JOINTS) & (count < known.shape[1])
    groups: dict[tuple[bool, ...], list[int]] = {}
    for row in partly.nonzero()[:, 0].tolist():
        groups.setdefault(tuple(known[row].tolist()), []).append(row)
    return [(rows, torch.tensor(mask, device=joints.device)) for mask, rows in groups.items()]
