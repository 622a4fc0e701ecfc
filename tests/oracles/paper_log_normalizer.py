"""The matrix-Fisher normaliser as the paper's training code integrates it, for comparisons only."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

PAPER_NUM_POINTS = 512
"""Points of the trapezoid rule in the paper's training code."""


def paper_log_normalizer(S: Tensor) -> Tensor:
    """Log c(S) and gradient as the paper's training code integrates them.

    A 512-point trapezoid rule over u in [-1, 1]. It is off by 5e-3 for s1 = 50, 0.2 for 300 and
    1.4 for 1000, and its gradient (a second set of trapezoids) is not that of its value: use
    log_normalizer_of_s for everything but comparisons with the paper's loss. Differentiable once.

    Args:
        S: (..., 3) proper singular values, s1 >= s2 >= |s3|.

    Returns:
        (...) log-normalising constants, in S's dtype and computed in it.
    """
    log_c: Tensor = _PaperLogNormalizer.apply(S)
    return log_c


class _PaperLogNormalizer(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, S: Tensor) -> Tensor:
        u = _paper_points(S)
        scaled = _paper_trapezoid(_paper_integrand(u, S[..., 1], S[..., 2], S[..., 0]))
        ctx.save_for_backward(S, scaled)
        return torch.log(scaled) + S.sum(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_log_c: Tensor) -> Tensor:
        # d log c / d s_k = E[u] of the integral whose exponential carries s_k, for k = 1, 2, 3.
        S, scaled = ctx.saved_tensors
        u = _paper_points(S)
        others = torch.stack([S[..., [1, 2]], S[..., [0, 2]], S[..., [0, 1]]], dim=-2)
        integrand = _paper_integrand(u, others.amax(-1), others.amin(-1), S)
        gradient = _paper_trapezoid(integrand * u) / scaled[..., None]
        return grad_log_c[..., None] * gradient


def _paper_points(S: Tensor) -> Tensor:
    return torch.linspace(-1, 1, PAPER_NUM_POINTS, dtype=S.dtype, device=S.device)


def _paper_integrand(u: Tensor, s_i: Tensor, s_j: Tensor, s_k: Tensor) -> Tensor:
    """I0((s_i - s_j)(1 - u)/2) I0((s_i + s_j)(1 + u)/2) exp(s_k u) over exp(s_i + s_j + s_k)."""
    s_i, s_j, s_k = s_i[..., None], s_j[..., None], s_k[..., None]
    narrow = torch.special.i0e((s_i - s_j) * (1 - u) / 2)
    wide = torch.special.i0e((s_i + s_j) * (1 + u) / 2)
    return narrow * wide * torch.exp((s_j + s_k) * (u - 1))


def _paper_trapezoid(values: Tensor) -> Tensor:
    """Half the integral over u in [-1, 1] of (..., 512) values at equal steps."""
    ends = (values[..., 0] + values[..., -1]) / 2
    return (values[..., 1:-1].sum(-1) + ends) / (PAPER_NUM_POINTS - 1)
