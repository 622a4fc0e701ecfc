"""Log-normalising constant of the matrix-Fisher distribution and its exact gradient.

For proper singular values S (s1 >= s2 >= |s3|) and the uniform measure of total mass 1 on SO(3)
(Lee, "Bayesian attitude estimation with the matrix Fisher distribution on SO(3)", eq. 85-90):

    c(S) = 1/2 int_{-1}^{1} I0((s2 - s3)(1 - u)/2) I0((s2 + s3)(1 + u)/2) exp(s1 u) du

With t = 1 - u and Bessel functions scaled by exp(-x) the peak exp(s1 + s2 + s3) comes out:

    c(S) = exp(s1 + s2 + s3) / 2 int_0^2 exp(-a t) I0e(b t) I0e(d (1 - t/2)) dt
    a = s1 + s3,  b = (s2 - s3) / 2,  d = s2 + s3

The integrand is smooth below t ~ 1/(a + b), then falls as a power of t until exp(-a t) ends it.
t = w (e^x - 1) makes all of these one scale in x, where a few Gauss-Legendre nodes suffice.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

NUM_NODES = 24
"""Gauss-Legendre nodes; log c is then within 1e-10 of 30-digit references for S up to 1000
(1e-8 up to 1e6), relative or, near zero, absolute."""

CUTOFF = 38.0
"""The integral ends where exp(-a t) falls below exp(-CUTOFF) ~ 3e-17, if that is before t = 2."""


def log_normalizer_of_s(S: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
    """Log c(S), zero at S = 0; differentiable once, with the exact gradient.

    Computed in float64 whatever the input, so that float32 results are correctly rounded.

    Args:
        S: (..., 3) proper singular values, s1 >= s2 >= |s3|, of any size.

    Returns:
        (...) log-normalising constants, in S's dtype.
    """
    log_c: Tensor = _LogNormalizer.apply(S)
    return log_c


def log_normalizer_and_gradient(
    S: Float[Tensor, "*batch 3"],
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch 3"]]:
    """Log c (...) and d log c / d S = E[diag(U^T R V)] (..., 3), float64; carry no gradient."""
    return _log_normalizer_and_gradient(S.detach().double())


def log_normalizer_gradient(S: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Gradient E[diag(U^T R V)] of log c, (..., 3) in [-1, 1], S's dtype; carries no gradient."""
    return log_normalizer_and_gradient(S)[1].to(S.dtype)


class _LogNormalizer(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, S: Tensor) -> Tensor:
        if not ctx.needs_input_grad[0]:
            return _log_normalizer(S.double()).to(S.dtype)
        log_c, gradient = _log_normalizer_and_gradient(S.double())
        ctx.save_for_backward(gradient.to(S.dtype))
        return log_c.to(S.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_log_c: Tensor) -> Tensor:
        (gradient,) = ctx.saved_tensors
        return grad_log_c[..., None] * gradient


def _log_normalizer(S: Tensor) -> Tensor:
    t, jacobian, a, b, d = _quadrature(S)
    integrand = torch.special.i0e(b * t) * torch.special.i0e(d * (1 - t / 2))
    integral = (jacobian * torch.exp(-a * t) * integrand).sum(-1)
    return S.sum(-1) + torch.log(integral / 2)


def _log_normalizer_and_gradient(S: Tensor) -> tuple[Tensor, Tensor]:
    """Log c and its gradient from one set of nodes, by I0' = I1.

    The gradients with respect to a, b and d are the means of the logarithmic derivatives of the
    integrand; each vanishes for concentrated distributions, so 1 - gradient keeps its digits.
    """
    t, jacobian, a, b, d = _quadrature(S)
    rest = 1 - t / 2
    i0_b, i0_d = torch.special.i0e(b * t), torch.special.i0e(d * rest)
    density = jacobian * torch.exp(-a * t) * i0_b * i0_d
    integral = density.sum(-1)
    weight = density / integral[..., None]
    by_a = -(weight * t).sum(-1)
    by_b = (weight * t * (torch.special.i1e(b * t) / i0_b - 1)).sum(-1)
    by_d = (weight * rest * (torch.special.i1e(d * rest) / i0_d - 1)).sum(-1)
    gradient = torch.stack([1 + by_a, 1 + by_d + by_b / 2, 1 + by_d + by_a - by_b / 2], dim=-1)
    return S.sum(-1) + torch.log(integral / 2), gradient


def _quadrature(S: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Nodes t (..., N), weights dt (..., N) and the parameters a, b, d (..., 1)."""
    s1, s2, s3 = S[..., None].unbind(-2)
    a, b, d = s1 + s3, (s2 - s3) / 2, s2 + s3
    width = 1 / (1 + a + b)
    end = CUTOFF / a.clamp(min=CUTOFF / 2)  # at most t = 2
    length = torch.log1p(end / width)
    nodes, weights = _gauss_legendre(S.device)
    x = length * nodes
    t = width * torch.expm1(x)
    return t, length * weights * (t + width), a, b, d


@cache
def _gauss_legendre(device: torch.device) -> tuple[Tensor, Tensor]:
    """Nodes and weights on [0, 1], (N,) float64."""
    nodes, weights = np.polynomial.legendre.leggauss(NUM_NODES)
    to_unit = torch.from_numpy(np.stack([(nodes + 1) / 2, weights / 2])).to(device)
    return to_unit[0], to_unit[1]
