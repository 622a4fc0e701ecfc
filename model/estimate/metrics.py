"""Distances between predicted and true bodies, under the names the paper's code gives them.

A *hypothesis* is one body proposed for a person: the mode or a sample. Every function takes a batch
of persons, each with its hypotheses, and returns one number per person and hypothesis in the unit
of its input (metres for points, pixels for keypoints). Reducing hypotheses to one number per person
is a matter of the protocol: see `best_of`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64, Num
from torch import Tensor

from hierprob3d.configs.metric_table import POINT_METRICS

ALIGNMENTS = ("none", "scale", "similarity")
"""How a prediction is moved onto its target before distances are taken: not at all; translated and
scaled to the target's mean and root-mean-square size (SC); rotated, too, by Procrustes (PA)."""

POINTS_AT_ONCE = 160_000
"""About 2 MB of coordinates; between 80,000 and 320,000 the time hardly changes."""


@dataclass(frozen=True)
class BodyPoints:
    """Points of bodies in metres: (B, N, P, 3) for N hypotheses a person, (B, P, 3) for targets."""

    vertices: Tensor
    reposed: Tensor
    """Vertices in the T-pose."""
    joints: Tensor
    """The 14 joints common to Human3.6M and LSP."""


def body_errors(
    prediction: BodyPoints, target: BodyPoints, names: Iterable[str]
) -> dict[str, Tensor]:
    """Mean distance in metres of each hypothesis, (B, N), for each of `POINT_METRICS` in `names`.

    Metrics of the same points share the work that does not depend on the alignment. Persons are
    taken as many at once as fit a processor's cache: on CPU that is four times faster than all.
    """
    by_points: dict[str, list[str]] = {}
    for name in names:
        by_points.setdefault(POINT_METRICS[name].points, []).append(name)
    errors: dict[str, Tensor] = {}
    for points, members in by_points.items():
        alignments = [POINT_METRICS[name].alignment for name in members]
        predicted, true = getattr(prediction, points), getattr(target, points)[:, None]
        at_once = max(1, POINTS_AT_ONCE // (predicted.shape[1] * predicted.shape[2]))
        means = [
            point_errors(some_predicted, some_true, alignments).mean(-1)
            for some_predicted, some_true in zip(
                predicted.split(at_once), true.split(at_once), strict=True
            )
        ]
        errors.update(zip(members, torch.cat(means).unbind(-1), strict=True))
    return errors


def point_errors(
    source: Float[Tensor, "*#batch P 3"],
    target: Float[Tensor, "*#batch P 3"],
    alignments: Sequence[str],
) -> Float[Tensor, "*batch A P"]:
    """(..., A, P) distances of (..., P, 3) points to their targets under each of A alignments.

    Every alignment is an affine map of the centred source, so that one matrix product applies them
    all and leaves x, y and z in rows of their own, where arithmetic is fastest.
    """
    source_mean, target_mean = source.mean(-2, keepdim=True), target.mean(-2, keepdim=True)
    source, target = source - source_mean, target - target_mean
    maps = torch.stack([alignment_map(source, target, alignment) for alignment in alignments], -3)
    moved = (maps.flatten(-3, -2) @ source.mT).unflatten(-2, (len(alignments), 3))
    difference = moved.sub_(target.mT.contiguous().unsqueeze(-3))
    if "none" in alignments:  # the only alignment that leaves the means apart
        apart = (source_mean - target_mean).mT
        for index in (i for i, alignment in enumerate(alignments) if alignment == "none"):
            difference[..., index, :, :].add_(apart)
    return difference.square_().sum(-2).sqrt_()


def alignment_map(
    source: Float[Tensor, "*#batch P 3"], target: Float[Tensor, "*#batch P 3"], alignment: str
) -> Float[Tensor, "*batch 3 3"]:
    """(..., 3, 3) matrix that brings (..., P, 3) points, both about their mean, onto the target.

    Of "similarity" the one that leaves the least sum of squared distances, mirroring excluded
    (orthogonal Procrustes; Umeyama 1991). A set with a NaN gives NaN, alone.
    """
    if alignment == "similarity":
        return _similarity_map(source, target)
    identity = torch.eye(3, dtype=source.dtype, device=source.device)
    if alignment == "scale":
        return identity * (_sum_of_squares(target) / _sum_of_squares(source)).sqrt()
    if alignment == "none":
        # torch.broadcast_shapes would load SymPy.
        return identity.expand(*torch.broadcast_tensors(source, target)[0].shape[:-2], 3, 3)
    raise ValueError(f"unknown alignment {alignment!r}; known: {', '.join(ALIGNMENTS)}")


def _similarity_map(source: Tensor, target: Tensor) -> Tensor:
    """Scale times rotation, in float64: a 3 x 3 problem is too small to save on."""
    covariance = (source.mT @ target).double()
    # LAPACK refuses NaN for the whole batch; the scale carries it to its own set instead.
    finite = covariance.isfinite().all(-1).all(-1)[..., None, None]
    left, singular, right_t = torch.linalg.svd(
        covariance.where(finite, torch.zeros_like(covariance))
    )
    proper = torch.ones_like(singular)
    proper[..., 2] = torch.det(left @ right_t).sign()
    rotation = right_t.mT @ (proper[..., None] * left.mT)
    scale = (singular * proper).sum(-1)[..., None, None] / _sum_of_squares(source).double()
    return (scale * rotation).where(finite, torch.full_like(rotation, torch.nan)).to(source.dtype)


def _sum_of_squares(points: Tensor) -> Tensor:
    """(..., 1, 1) sum of squared coordinates, as the squared length of one long vector."""
    return torch.linalg.vector_norm(points, dim=(-2, -1), keepdim=True).square()


def best_of(errors: Float[Tensor, "B N"], num_hypotheses: int) -> Float[Tensor, " B"]:
    """(B,) least of the first `num_hypotheses` columns of (B, N) errors."""
    if not 1 <= num_hypotheses <= errors.shape[-1]:
        raise ValueError(f"best of {num_hypotheses} asked of {errors.shape[-1]} hypotheses")
    return errors[..., :num_hypotheses].amin(-1)


def joints2d_errors(
    prediction: Float[Tensor, "B N K 2"], target: Float[Tensor, "B K 2"]
) -> Float[Tensor, "B N K"]:
    """(B, N, K) pixel distances of (B, N, K, 2) keypoints to the (B, K, 2) given ones."""
    return torch.linalg.vector_norm(prediction - target[:, None], dim=-1)


def silhouette_counts(
    prediction: Bool[Tensor, "B N H W"], target: Bool[Tensor, "B _ _"]
) -> Int64[Tensor, "B N 4"]:
    """(B, N, 4) true and false positive, true and false negative pixels of N masks a person.

    Args:
        prediction: (B, N, H, W) bool.
        target: (B, H, W) bool.
    """
    if prediction.shape[-2:] != target.shape[-2:]:
        sizes = tuple(prediction.shape[-2:]), tuple(target.shape[-2:])
        raise ValueError(f"silhouettes of {sizes[0]} against {sizes[1]} pixels")
    both = (prediction & target[:, None]).sum((-2, -1))
    predicted, true = prediction.sum((-2, -1)), target.sum((-2, -1))[:, None]
    num_pixels = target.shape[-2] * target.shape[-1]
    false_positive, false_negative = predicted - both, true - both
    true_negative = num_pixels - both - false_positive - false_negative
    return torch.stack([both, false_positive, true_negative, false_negative], -1)


def iou_of_counts(counts: Num[Tensor, "*batch 4"]) -> Float[Tensor, "*batch"]:
    """(...) intersection over union of (..., 4) pixel counts; two empty masks agree fully (1)."""
    true_positive, false_positive, _, false_negative = counts.double().unbind(-1)
    union = true_positive + false_positive + false_negative
    return torch.where(union > 0, true_positive / union.clamp(min=1), 1.0)
