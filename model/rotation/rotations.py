"""Rotations of 3-space: conversions, distance, singular values with proper bases, nearest rotation.

Vocabulary of the names: rotvec (..., 3) axis times angle in radians; rotmat (..., 3, 3) acting on
column vectors; unitquat (..., 4) with the real part first; rot6d (..., 6) the first two columns.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

ProperFactors = tuple[
    Float[Tensor, "*batch 3 3"], Float[Tensor, "*batch 3"], Float[Tensor, "*batch 3 3"]
]
"""U (..., 3, 3), S (..., 3), V (..., 3, 3) as `proper_svd` gives them."""

GAP_FLOOR = 1e-4
"""Denominators below this (in units of F) are damped in the gradients of the two SVD functions.

Above it those gradients are exact to GAP_FLOOR^2 / gap^2; below it they stay bounded."""


def rotvec_to_rotmat(
    rotvec: Float[Tensor, "*batch 3"],
) -> Float[Tensor, "*batch 3 3"]:
    """Rotation matrices of rotation vectors (Rodrigues), smooth at the zero vector.

    Convention: (0, 0, t) turns x towards y by t radians.

    Args:
        rotvec: (..., 3) axis times angle, radians.

    Returns:
        (..., 3, 3) rotation matrices.
    """
    x, y, z = rotvec.unbind(-1)
    zero = torch.zeros_like(x)
    cross = _stack_last([zero, -z, y, z, zero, -x, -y, x, zero]).unflatten(-1, (3, 3))
    angle = torch.linalg.vector_norm(rotvec, dim=-1)[..., None, None]
    sin_over_angle = torch.sinc(angle / math.pi)
    versine_over_square = 0.5 * torch.sinc(angle / (2 * math.pi)) ** 2
    identity = torch.eye(3, dtype=rotvec.dtype, device=rotvec.device)
    return identity + sin_over_angle * cross + versine_over_square * (cross @ cross)


def rotmat_to_rotvec(
    rotmat: Float[Tensor, "*batch 3 3"],
) -> Float[Tensor, "*batch 3"]:
    """Rotation vectors of rotation matrices, angles in [0, pi], accurate at both ends.

    Args:
        rotmat: (..., 3, 3) rotation matrices.

    Returns:
        (..., 3) axis times angle, radians.
    """
    quat = rotmat_to_unitquat(rotmat)
    real, imaginary = quat[..., :1], quat[..., 1:]
    sine = torch.linalg.vector_norm(imaginary, dim=-1, keepdim=True)
    small = sine < 1e-6
    safe_sine = torch.where(small, torch.ones_like(sine), sine)
    # Near the identity rotvec = 2 imaginary / real up to third order.
    factor = torch.where(small, 2 / real.clamp(min=0.5), 2 * torch.atan2(sine, real) / safe_sine)
    return factor * imaginary


def unitquat_to_rotmat(
    quat: Float[Tensor, "*batch 4"], dtype: torch.dtype | None = None
) -> Float[Tensor, "*batch 3 3"]:
    """Rotation matrices of unit quaternions, real part first.

    Convention: (cos t/2, 0, 0, sin t/2) turns x towards y by t radians.

    Args:
        quat: (..., 4) unit quaternions (w, x, y, z).
        dtype: of the result; None: that of the quaternions.

    Returns:
        (..., 3, 3) rotation matrices.
    """
    w, x, y, z = quat.unbind(-1)
    x2, y2, z2 = 2 * x, 2 * y, 2 * z
    wx, wy, wz, xx, yy, zz = w * x2, w * y2, w * z2, x * x2, y * y2, z * z2
    xy, xz, yz = x * y2, x * z2, y * z2
    entries = [
        1 - (yy + zz), xy - wz, xz + wy,
        xy + wz, 1 - (xx + zz), yz - wx,
        xz - wy, yz + wx, 1 - (xx + yy),
    ]  # fmt: skip
    # Rounded before they are moved, which costs by the byte.
    return _stack_last([entry.to(dtype or quat.dtype) for entry in entries]).unflatten(-1, (3, 3))


def rotmat_to_unitquat(
    rotmat: Float[Tensor, "*batch 3 3"],
) -> Float[Tensor, "*batch 4"]:
    """Unit quaternions (w >= 0) of rotation matrices.

    The entries of R give 4 q q^T linearly; its row with the largest diagonal entry, normalised,
    is q without cancellation.

    Args:
        rotmat: (..., 3, 3) rotation matrices.

    Returns:
        (..., 4) unit quaternions (w, x, y, z).
    """
    r00, r01, r02, r10, r11, r12, r20, r21, r22 = rotmat.flatten(-2).unbind(-1)
    wx, wy, wz = r21 - r12, r02 - r20, r10 - r01
    xy, xz, yz = r10 + r01, r02 + r20, r21 + r12
    rows = [
        1 + r00 + r11 + r22, wx, wy, wz,
        wx, 1 + r00 - r11 - r22, xy, xz,
        wy, xy, 1 - r00 + r11 - r22, yz,
        wz, xz, yz, 1 - r00 - r11 + r22,
    ]  # fmt: skip
    outer = _stack_last(rows).unflatten(-1, (4, 4))
    diagonal = outer.diagonal(dim1=-2, dim2=-1).contiguous()  # argmax is slow on strided views
    largest = diagonal.argmax(-1)[..., None, None]
    row = outer.gather(-2, largest.expand(*outer.shape[:-2], 1, 4)).squeeze(-2)
    quat = functional.normalize(row, dim=-1)
    return torch.where(quat[..., :1] < 0, -quat, quat)


def rot6d_to_rotmat(
    rot6d: Float[Tensor, "*batch 6"],
) -> Float[Tensor, "*batch 3 3"]:
    """Rotation matrices from two unnormalised columns (Gram-Schmidt; Zhou et al., CVPR 2019).

    Args:
        rot6d: (..., 6) = (a_x, b_x, a_y, b_y, a_z, b_z) for columns a and b, the paper's layout.

    Returns:
        (..., 3, 3) rotation matrices.
    """
    first, second = rot6d.unflatten(-1, (3, 2)).unbind(-1)
    x = functional.normalize(first, dim=-1)
    y = functional.normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y, dim=-1)], dim=-1)


def rotmat_geodesic_distance(
    first: Float[Tensor, "*#batch 3 3"], second: Float[Tensor, "*#batch 3 3"]
) -> Float[Tensor, "*batch"]:
    """Angle in radians, in [0, pi], of the rotation between two (..., 3, 3) rotation matrices."""
    quat = rotmat_to_unitquat(first.mT @ second)
    return 2 * torch.atan2(torch.linalg.vector_norm(quat[..., 1:], dim=-1), quat[..., 0])


def proper_svd(F: Float[Tensor, "*batch 3 3"]) -> ProperFactors:
    """U, S, V with F = U diag(S) V^T, det U = det V = 1 and s1 >= s2 >= |s3|, s3 of either sign.

    Always decomposed on the CPU in F's precision: the column signs LAPACK picks there are part of
    the paper's trained weights. A matrix with a NaN or an infinity gives NaN, its neighbours are
    not touched. Gradients are those of the SVD with damped denominators (GAP_FLOOR), hence finite
    for repeated singular values, where the true ones do not exist; differentiable once.

    Args:
        F: (..., 3, 3) float32 or float64.

    Returns:
        U (..., 3, 3), S (..., 3), V (..., 3, 3) on F's device.
    """
    U, S, V = _ProperSvd.apply(F, torch.device("cpu"))
    return U, S, V


def free_sign_svd(F: Float[Tensor, "*batch 3 3"]) -> ProperFactors:
    """`proper_svd` on F's own device, which may negate other pairs of columns than LAPACK does."""
    U, S, V = _ProperSvd.apply(F, F.device)
    return U, S, V


def canonical_signs(
    U: Float[Tensor, "*batch 3 3"], V: Float[Tensor, "*batch 3 3"]
) -> tuple[Float[Tensor, "*batch 3 3"], Float[Tensor, "*batch 3 3"]]:
    """The same proper decomposition with signs that do not depend on the library that made it.

    An SVD may negate a column of U and of V together.  Here the largest entry of each of V's first
    two columns is positive, and the third columns keep both matrices rotations.

    Args:
        U: (..., 3, 3) rotations.
        V: (..., 3, 3) rotations.
    """
    columns = V[..., :2].mT.contiguous()  # argmax is slow on strided views
    largest = columns.gather(-1, columns.abs().argmax(-1, keepdim=True)).squeeze(-1)  # (..., 2)
    signs = torch.where(largest < 0, -1.0, 1.0).to(V.dtype)
    signs = torch.cat([signs, signs.prod(-1, keepdim=True)], dim=-1)[..., None, :]
    return U * signs, V * signs


def special_procrustes(
    F: Float[Tensor, "*batch 3 3"], svd: ProperFactors | None = None
) -> Float[Tensor, "*batch 3 3"]:
    """Rotation R that maximises tr(F^T R): the mode U V^T of the matrix-Fisher distribution.

    The gradient divides by s_i + s_j only (never by s_i - s_j), clamped at GAP_FLOOR, so that it
    is exact for repeated singular values and finite everywhere; differentiable once. Decomposes on
    F's own device, where the free column signs of the SVD cancel.

    Args:
        F: (..., 3, 3) float32 or float64; a matrix with a NaN or an infinity gives NaN.
        svd: its decomposition by one of the two functions above, where that is at hand; no
            gradient passes through it.

    Returns:
        (..., 3, 3) rotation matrices.
    """
    U, S, V = _svd_with_unit_determinants(F.detach()) if svd is None else svd
    mode: Tensor = _SpecialProcrustes.apply(F, U.detach(), S.detach(), V.detach())
    return mode


class _ProperSvd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, F: Tensor, place: torch.device) -> ProperFactors:
        U, S, V = (factor.to(F.device) for factor in _svd_with_unit_determinants(F.to(place)))
        ctx.save_for_backward(U, S, V)
        return U, S, V

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_U: Tensor, grad_S: Tensor, grad_V: Tensor) -> tuple[Tensor, None]:
        # With dU = U W, dV = V Z (W, Z antisymmetric) and A = U^T dF V:
        # W + Z = (A + A^T) / (s_j - s_i),  W - Z = (A - A^T) / (s_i + s_j),  dS = diag A.
        U, S, V = ctx.saved_tensors
        P, Q = U.mT @ grad_U, V.mT @ grad_V
        gap = S[..., None, :] - S[..., :, None]
        inner = 0.5 * _skew(P + Q) * gap / (gap * gap + GAP_FLOOR**2)
        inner = inner + 0.5 * _skew(P - Q) / _clamped_sums(S) + torch.diag_embed(grad_S)
        return U @ inner @ V.mT, None


class _SpecialProcrustes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, F: Tensor, U: Tensor, S: Tensor, V: Tensor) -> Tensor:
        ctx.save_for_backward(U, S, V)
        return U @ V.mT

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_mode: Tensor) -> tuple[Tensor, None, None, None]:
        U, S, V = ctx.saved_tensors
        inner = _skew(U.mT @ grad_mode @ V) / _clamped_sums(S)
        return U @ inner @ V.mT, None, None, None


def _svd_with_unit_determinants(F: Tensor) -> ProperFactors:
    """U, S, V on F's device, third columns and third value carrying the signs of det U, det V."""
    finite = torch.isfinite(F)
    if not finite.all():
        return _svd_of_finite_ones(F, finite.all(-1).all(-1))
    U, S, Vh = torch.linalg.svd(F)
    V = Vh.mT
    # The third column of a rotation is the cross product of the others: cheaper than a determinant.
    last_U = torch.linalg.cross(U[..., 0], U[..., 1])
    last_V = torch.linalg.cross(V[..., 0], V[..., 1])
    S[..., 2] *= ((last_U * U[..., 2]).sum(-1) * (last_V * V[..., 2]).sum(-1)).sign()
    U[..., 2], V[..., 2] = last_U, last_V
    return U, S, V


def _svd_of_finite_ones(F: Tensor, finite: Tensor) -> ProperFactors:
    """NaN for matrices that are not finite: LAPACK refuses a whole batch for one of them."""
    identity = torch.eye(3, dtype=F.dtype, device=F.device)
    U, S, V = _svd_with_unit_determinants(torch.where(finite[..., None, None], F, identity))
    return (
        U.masked_fill(~finite[..., None, None], math.nan),
        S.masked_fill(~finite[..., None], math.nan),
        V.masked_fill(~finite[..., None, None], math.nan),
    )


def _stack_last(entries: list[Tensor]) -> Tensor:
    """The entries along a new last axis; several times as fast on CPUs as torch.stack(dim=-1)."""
    return torch.stack(entries).movedim(0, -1).contiguous()


def _skew(matrix: Tensor) -> Tensor:
    return matrix - matrix.mT


def _clamped_sums(S: Tensor) -> Tensor:
    """s_i + s_j as (..., 3, 3), never negative for proper values and kept from zero."""
    return (S[..., None, :] + S[..., :, None]).clamp(min=GAP_FLOOR)
