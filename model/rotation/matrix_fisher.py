"""The matrix-Fisher distribution over rotations: p(R) = exp(tr(F^T R)) / c(F)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from .matrix_fisher_normalizer import (
    log_normalizer_and_gradient,
    log_normalizer_gradient,
    log_normalizer_of_s,
)
from .matrix_fisher_sampler import (
    Uniforms,
    accepted_directions,
    best_envelope,
    generator_uniforms,
    stream_uniforms,
)
from .paper_normalizer import trapezoid_log_normalizer_and_gradient
from .random_streams import RandomStreams
from .rotations import (
    ProperFactors,
    canonical_signs,
    free_sign_svd,
    rotmat_to_unitquat,
    special_procrustes,
    unitquat_to_rotmat,
)

NormalizerAndGradient = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Proper S (..., 3) to log c (...) and d log c / d S (..., 3)."""

LOG_NORMALIZERS: dict[str, NormalizerAndGradient] = {
    "exact": log_normalizer_and_gradient,
    "trapezoid": trapezoid_log_normalizer_and_gradient,
}


class MatrixFisher:
    """Matrix-Fisher distributions of any batch shape, in the manner of torch.distributions.

    Density with respect to the uniform distribution on SO(3) (total mass 1). F = U diag(S) V^T
    with proper U, V: U V^T is the mode, S the concentrations around it; F = 0 is uniform.

    Args:
        F: (..., 3, 3) parameters, float32 or float64. A matrix that is not finite gives NaN in
            its own results only.
        svd: the proper decomposition of F where it is at hand; else it is made when needed.
    """

    def __init__(self, F: Tensor, svd: ProperFactors | None = None) -> None:
        if F.shape[-2:] != (3, 3):
            raise ValueError(f"F must have shape (..., 3, 3), got {tuple(F.shape)}.")
        self.F, self._given_svd = F, svd

    @property
    def batch_shape(self) -> torch.Size:
        """Shape of the batch of distributions."""
        return self.F.shape[:-2]

    @cached_property
    def svd(self) -> ProperFactors:
        """Proper U (..., 3, 3), S (..., 3), V (..., 3, 3); differentiable."""
        if self._given_svd is not None:
            return self._given_svd
        with torch.enable_grad():  # kept for later calls, whatever mode the first one is in
            return free_sign_svd(self.F)

    @property
    def mode(self) -> Float[Tensor, "*batch 3 3"]:
        """Most probable rotations (..., 3, 3), with gradients finite everywhere."""
        return special_procrustes(self.F, self.svd)

    @property
    def mean(self) -> Float[Tensor, "*batch 3 3"]:
        """E[R] = U diag(d log c / d S) V^T, (..., 3, 3); not a rotation; carries no gradient."""
        U, S, V = (factor.detach() for factor in self.svd)
        return _compose(U, log_normalizer_gradient(S), V)

    @torch.no_grad()
    def sample(
        self,
        sample_shape: Sequence[int] = (),
        generator: torch.Generator | RandomStreams | None = None,
    ) -> Float[Tensor, "*batch 3 3"]:
        """Exact draws by rejection.

        With RandomStreams the first batch dimension is the person: a person's draws depend on
        that person's key and F alone, and n draws are the first n of any larger number.

        Args:
            sample_shape: leading shape of the draws.
            generator: source of randomness; None is torch's default generator.

        Returns:
            (*sample_shape, *batch_shape, 3, 3) rotation matrices; NaN where F is not finite.
        """
        return self._draw(sample_shape, generator)

    def rsample(
        self,
        sample_shape: Sequence[int] = (),
        generator: torch.Generator | RandomStreams | None = None,
    ) -> Float[Tensor, "*batch 3 3"]:
        """The draws of `sample`, with a gradient to F through the accepted proposals.

        As in the paper's training: the accepted random directions are constants, the gradient
        flows through the proposal's scale (S) and through U and V. That acceptance itself depends
        on F is left out, so it is not an unbiased gradient of an expectation. Finite everywhere
        (see proper_svd); differentiable once. Arguments and result as in `sample`.
        """
        return self._draw(sample_shape, generator)

    def _draw(
        self,
        sample_shape: Sequence[int],
        generator: torch.Generator | RandomStreams | None,
    ) -> Tensor:
        # A keyed draw must not flip with the last bit of a vectorised cosine: float64.
        dtype = torch.float64 if isinstance(generator, RandomStreams) else self.F.dtype
        U, S, V = (factor.to(dtype) for factor in self.svd)
        U, V = canonical_signs(U, V)  # the signs enter the draws
        envelope = best_envelope(S.reshape(-1, 3))
        num_draws = math.prod(sample_shape)
        uniforms = self._uniforms(generator, num_draws, dtype)
        directions = accepted_directions(envelope, num_draws, uniforms)
        # U R(q) V^T as one linear map per distribution, from direction to unnormalised quaternion.
        left, right = rotmat_to_unitquat(torch.stack([U, V.mT])).reshape(2, -1, 4)
        products = _quaternion_products(dtype, self.F.device)
        turn = torch.einsum("di,dj,ijkm->kmd", left, right, products) * envelope.scales
        quat = turn[:, 0, None] * directions[0]
        for m in range(1, 4):
            quat.addcmul_(turn[:, m, None], directions[m])
        quat = quat * torch.rsqrt(quat.square().sum(0))
        rotmat = unitquat_to_rotmat(quat.movedim(0, -1), self.F.dtype)
        return rotmat.reshape(*sample_shape, *self.F.shape)

    def _uniforms(
        self, generator: torch.Generator | RandomStreams | None, num_draws: int, dtype: torch.dtype
    ) -> Uniforms:
        if not isinstance(generator, RandomStreams):
            return generator_uniforms(generator, self.F.device, dtype)
        if self.batch_shape[:1] != (generator.num_people,):
            raise ValueError(
                f"RandomStreams of {generator.num_people} people need F of shape "
                f"({generator.num_people}, ..., 3, 3), got {tuple(self.F.shape)}."
            )
        return stream_uniforms(generator, math.prod(self.batch_shape[1:]), num_draws)

    def log_normalizer(self, rule: str = "exact") -> Float[Tensor, "*batch"]:
        """Log c(F), (...); its gradient is the mean, finite everywhere; differentiable once.

        Args:
            rule: "exact", or "trapezoid", the paper's; see `rotation.paper_normalizer`.
        """
        U, S, V = (factor.detach() for factor in self.svd)
        log_c: Tensor = _LogNormalizerOfF.apply(self.F, U, S, V, LOG_NORMALIZERS[rule])
        return log_c

    def log_prob(self, R: Float[Tensor, "*#batch 3 3"]) -> Float[Tensor, "*batch"]:
        """Log density of rotations.

        Args:
            R: rotation matrices, broadcastable with F: (*sample_shape, *batch_shape, 3, 3).

        Returns:
            Log densities with respect to the uniform distribution, sample and batch shape.
        """
        return (self.F * R).sum((-2, -1)) - self.log_normalizer()

    def entropy(self) -> Float[Tensor, "*batch"]:
        """Differential entropy (...), at most 0 (uniform); carries no gradient."""
        S = self.svd[1].detach().double()
        log_c, gradient = log_normalizer_and_gradient(S)
        return (log_c - (S * gradient).sum(-1)).to(self.F.dtype)

    def angular_spread_deg(self) -> Float[Tensor, "*batch"]:
        """Angle from the mode whose cosine is the mean cosine, degrees (...); uniform: 120.

        E[cos angle] = (sum_i d log c / d s_i - 1) / 2; carries no gradient.
        """
        mean_trace = log_normalizer_gradient(self.svd[1].detach().double()).sum(-1)
        cosine = ((mean_trace - 1) / 2).clamp(-1, 1)
        return torch.rad2deg(torch.acos(cosine)).to(self.F.dtype)


class _LogNormalizerOfF(torch.autograd.Function):
    """Log c of the S given with F = U diag(S) V^T, with gradient U diag(d log c / d S) V^T."""

    @staticmethod
    def forward(
        ctx: Any, F: Tensor, U: Tensor, S: Tensor, V: Tensor, rule: NormalizerAndGradient
    ) -> Tensor:
        if rule is log_normalizer_and_gradient and not ctx.needs_input_grad[0]:
            return log_normalizer_of_s(S)
        log_c, gradient = rule(S)
        ctx.save_for_backward(_compose(U, gradient.to(S.dtype), V))
        return log_c.to(S.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_log_c: Tensor) -> tuple[Tensor, None, None, None, None]:
        (mean,) = ctx.saved_tensors
        return grad_log_c[..., None, None] * mean, None, None, None, None


def _compose(U: Tensor, S: Tensor, V: Tensor) -> Tensor:
    """U diag(S) V^T."""
    return (U * S[..., None, :]) @ V.mT


@cache
def _quaternion_products(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Coefficients (4, 4, 4, 4) of p_i r_j in the linear map q -> p q r: row k, column m."""
    table = torch.zeros(4, 4, 4, dtype=dtype, device=device)
    for i, row in enumerate([(1, 2, 3, 4), (2, -1, 4, -3), (3, -4, -1, 2), (4, 3, -2, -1)]):
        for j, unit in enumerate(row):
            # Unit i times unit j is plus or minus a unit, counted from 1.
            table[i, j, abs(unit) - 1] = math.copysign(1, unit)
    return torch.einsum("iml,ljk->ijkm", table, table)
