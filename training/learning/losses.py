"""The paper's training loss: likelihoods of pose and shape, and errors of what they imply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from hierprob3d.configs.training_phases import LossWeights
from hierprob3d.model.rotation.matrix_fisher import MatrixFisher
from hierprob3d.model.rotation.rotations import ProperFactors


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the network says of B people, and what its bodies imply.

    Attributes:
        pose_F: (B, 23, 3, 3).
        shape_mean: (B, 10).
        shape_std: (B, 10).
        global_rotmat: (B, 3, 3).
        joints2d: (B, K, 17, 2) projected keypoints of K bodies, -1..1 across the crop.
        joints3d: (B, J, 3) metres, of the mode.
        vertices: (B, V, 3) metres, of the mode.
        global_F: (B, 3, 3), or None of a network without `NetworkConfig.global_spread`.
        pose_svd: proper decomposition of pose_F, or None: the loss makes its own.
    """

    pose_F: Tensor
    shape_mean: Tensor
    shape_std: Tensor
    global_rotmat: Tensor
    joints2d: Tensor
    joints3d: Tensor
    vertices: Tensor
    global_F: Tensor | None = None
    pose_svd: ProperFactors | None = None


@dataclass(frozen=True, kw_only=True)
class Target:
    """The truth; shapes as in Prediction, without the K of joints2d.

    Attributes:
        pose_rotmats: (B, 23, 3, 3).
        betas: (B, 10).
        global_rotmat: (B, 3, 3).
        joints2d: (B, 17, 2) -1..1 across the crop.
        visible: (B, 17) bool: keypoints that count.
        joints3d: (B, J, 3).
        vertices: (B, V, 3).
    """

    pose_rotmats: Tensor
    betas: Tensor
    global_rotmat: Tensor
    joints2d: Tensor
    visible: Tensor
    joints3d: Tensor
    vertices: Tensor


@dataclass(frozen=True, kw_only=True)
class LossTerms:
    """Unweighted terms, and the weighted sum of all but the readout's error; scalars."""

    total: Tensor
    pose: Tensor
    shape: Tensor
    joints2d: Tensor
    global_rotmat: Tensor
    vertices: Tensor
    joints3d: Tensor
    global_pose: Tensor
    readout: Tensor


def no_loss(device: torch.device) -> LossTerms:
    """Terms of a loss in which none has a weight."""
    return LossTerms(**{term.name: torch.zeros((), device=device) for term in fields(LossTerms)})


def pose_shape_loss(
    prediction: Prediction,
    target: Target,
    weights: LossWeights,
    reduction: str = "mean",
    log_normalizer: str = "exact",
) -> LossTerms:
    """Loss of a batch (paper, section 3.4), and the likelihood of the global rotation.

    Args:
        prediction: see Prediction.
        target: see Target.
        weights: weights of the terms.
        reduction: "mean" or "sum", over people, joints and coordinates.
        log_normalizer: rule of log c(F) in the pose term: "exact", or the paper's "trapezoid".

    Raises:
        ValueError: the global likelihood has a weight, and the prediction no global_F.
    """
    reductions: dict[str, Callable[[Tensor], Tensor]] = {"mean": _mean_or_zero, "sum": torch.sum}
    reduce = reductions[reduction]
    pose = MatrixFisher(prediction.pose_F, prediction.pose_svd)
    pose_nll = weights.overregularisation * pose.log_normalizer(log_normalizer)
    pose_nll = pose_nll - (prediction.pose_F * target.pose_rotmats).sum((-2, -1))
    shape = torch.distributions.Normal(prediction.shape_mean, prediction.shape_std)
    shape_nll = -shape.log_prob(target.betas).sum(-1)
    seen = target.visible[:, None].expand(prediction.joints2d.shape[:-1])
    offset2d = (prediction.joints2d - target.joints2d[:, None])[seen]
    terms = {
        "pose": reduce(pose_nll),
        "shape": reduce(shape_nll),
        "joints2d": reduce(offset2d**2),
        "global_rotmat": reduce((prediction.global_rotmat - target.global_rotmat) ** 2),
        "vertices": reduce((prediction.vertices - target.vertices) ** 2),
        "joints3d": reduce((prediction.joints3d - target.joints3d) ** 2),
        "global_pose": reduce(_global_nll(prediction, target, weights)),
    }
    total = torch.stack([value * getattr(weights, name) for name, value in terms.items()]).sum()
    return LossTerms(total=total, **terms, readout=torch.zeros_like(total))


def _global_nll(prediction: Prediction, target: Target, weights: LossWeights) -> Tensor:
    """(B,) negative log-density of the true global rotations; none without a global_F."""
    if prediction.global_F is not None:
        return -MatrixFisher(prediction.global_F).log_prob(target.global_rotmat)
    if weights.global_pose:
        raise ValueError(
            f"loss.global_pose is {weights.global_pose}: it needs a network with global_spread"
        )
    return prediction.shape_mean.new_zeros(0)


def _mean_or_zero(values: Tensor) -> Tensor:
    """Mean, or 0 where there is nothing: a batch without a visible keypoint must not give NaN."""
    return values.sum() / max(values.numel(), 1)
