"""How well a predicted distribution, not only its mode, describes the true body."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from hierprob3d.model.rotation.matrix_fisher import MatrixFisher


def pose_nll(
    pose_F: Float[Tensor, "B J 3 3"], true_rotmats: Float[Tensor, "B J 3 3"]
) -> Float[Tensor, "B J"]:
    """(B, J) negative log-density of true rotations under matrix-Fisher parameters, in nats.

    Densities are with respect to the uniform distribution on rotations: 0 = knows nothing.

    Args:
        pose_F: (B, J, 3, 3).
        true_rotmats: (B, J, 3, 3).
    """
    return -MatrixFisher(pose_F).log_prob(true_rotmats)


def shape_nll(
    mean: Float[Tensor, "B coefficients"],
    std: Float[Tensor, "B coefficients"],
    true_betas: Float[Tensor, "B coefficients"],
) -> Float[Tensor, "B coefficients"]:
    """(B, 10) negative log-density of true shape coefficients under Gaussians, in nats."""
    z = (true_betas - mean) / std
    return 0.5 * z.square() + std.log() + 0.5 * math.log(2 * math.pi)


def density_rank(
    pose_F: Float[Tensor, "B J 3 3"],
    true_rotmats: Float[Tensor, "B J 3 3"],
    samples: Float[Tensor, "B N J 3 3"],
) -> Int64[Tensor, "B J"]:
    """(B, J) number of N samples that are likelier than the truth: 0 .. N.

    Under a calibrated distribution every rank is equally frequent: `rank <= k` happens in a share
    (k + 1) / (N + 1) of cases (probability integral transform over regions of highest density).
    The density grows with tr(F^T R), so that the normaliser is not needed.

    Args:
        pose_F: (B, J, 3, 3).
        true_rotmats: (B, J, 3, 3).
        samples: (B, N, J, 3, 3) draws from the distribution.
    """
    truth = (pose_F * true_rotmats).sum((-2, -1))
    drawn = (pose_F[:, None] * samples).sum((-2, -1))
    return (drawn > truth[:, None]).sum(1)


def shape_central_probability(
    mean: Float[Tensor, "B coefficients"],
    std: Float[Tensor, "B coefficients"],
    true_betas: Float[Tensor, "B coefficients"],
) -> Float[Tensor, "B coefficients"]:
    """(B, 10) mass of the central interval that just reaches the truth; uniform if calibrated."""
    z = (true_betas - mean) / std
    return torch.erf(z.abs() / math.sqrt(2))
