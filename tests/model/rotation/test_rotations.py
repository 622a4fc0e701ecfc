"""Conversions against scipy and golden data; SVD and nearest rotation against their definitions."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from hierprob3d.model.rotation import rotations

DTYPES = [torch.float32, torch.float64]


def random_rotmats(num: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.from_numpy(Rotation.random(num, random_state=0).as_matrix()).to(dtype)


def random_matrices(*shape: int, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return scale * torch.randn(*shape, 3, 3, generator=generator, dtype=torch.float64)


DEGENERATE = {
    "zero": torch.zeros(3, 3),
    "identity": torch.eye(3),
    "five times the identity": 5 * torch.eye(3),
    "two equal": torch.diag(torch.tensor([2.0, 1.0, 1.0])),
    "reflection": torch.diag(torch.tensor([1.0, 1.0, -1.0])),
    "rank one": torch.outer(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 0.0, 2.0])),
}


@pytest.mark.parametrize("dtype", DTYPES)
def test_positive_turn_about_z_maps_x_to_y(dtype: torch.dtype) -> None:
    # 0.6 rad, not a quarter turn: a transposed matrix must not pass by symmetry.
    x = torch.tensor([1.0, 0.0, 0.0], dtype=dtype)
    expected = torch.tensor([math.cos(0.6), math.sin(0.6), 0.0], dtype=dtype)
    rotvec = torch.tensor([0.0, 0.0, 0.6], dtype=dtype)
    quat = torch.tensor([math.cos(0.3), 0.0, 0.0, math.sin(0.3)], dtype=dtype)
    torch.testing.assert_close(rotations.rotvec_to_rotmat(rotvec) @ x, expected)
    torch.testing.assert_close(rotations.unitquat_to_rotmat(quat) @ x, expected)


def test_conversions_agree_with_scipy() -> None:
    rotation = Rotation.random(500, random_state=1)
    rotmat, rotvec = (torch.from_numpy(x) for x in (rotation.as_matrix(), rotation.as_rotvec()))
    quat = torch.from_numpy(rotation.as_quat(canonical=True, scalar_first=True))
    torch.testing.assert_close(rotations.rotvec_to_rotmat(rotvec), rotmat)
    torch.testing.assert_close(rotations.rotmat_to_rotvec(rotmat), rotvec)
    torch.testing.assert_close(rotations.unitquat_to_rotmat(quat), rotmat)
    torch.testing.assert_close(rotations.rotmat_to_unitquat(rotmat), quat)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-7, 1e-4, 1.0, math.pi - 1e-4, math.pi - 1e-9])
def test_rotvec_round_trip_at_small_and_large_angles(angle: float) -> None:
    axis = torch.tensor([0.36, -0.48, 0.8], dtype=torch.float64)
    rotvec = angle * axis
    back = rotations.rotmat_to_rotvec(rotations.rotvec_to_rotmat(rotvec))
    torch.testing.assert_close(back, rotvec, atol=1e-14, rtol=1e-8)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rotvec_gradients_are_finite_at_zero(dtype: torch.dtype) -> None:
    rotvec = torch.zeros(2, 3, dtype=dtype, requires_grad=True)
    back = rotations.rotmat_to_rotvec(rotations.rotvec_to_rotmat(rotvec))
    (gradient,) = torch.autograd.grad(back[0, 1], rotvec)
    torch.testing.assert_close(
        gradient, torch.eye(3, dtype=dtype)[[1, 0]] * gradient.new_tensor([[1], [0]])
    )


def test_gradients_of_conversions() -> None:
    rotvec = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    rot6d = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rotations.rotvec_to_rotmat, rotvec)
    assert torch.autograd.gradcheck(rotations.rot6d_to_rotmat, rot6d)
    assert torch.autograd.gradcheck(
        lambda x: rotations.rotmat_to_rotvec(rotations.rotvec_to_rotmat(x)), rotvec
    )


def test_geodesic_distance_is_the_relative_angle() -> None:
    base = random_rotmats(4)
    axis = torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)
    angles = torch.tensor([0.0, 1e-6, 2.0, math.pi], dtype=torch.float64)
    turned = base @ rotations.rotvec_to_rotmat(angles[:, None] * axis)
    distance = rotations.rotmat_geodesic_distance(base, turned)
    torch.testing.assert_close(distance, angles, atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("num", [1, 3, 7])
def test_rot6d_is_right_for_every_batch_size(num: int, golden: Path) -> None:
    # The original takes its cross product over the wrong axis for batches of exactly 3.
    data = np.load(golden / "k_misc_smpl.npz")
    rotmat = rotations.rot6d_to_rotmat(torch.from_numpy(data["rot6d_in"][:num]))
    np.testing.assert_allclose(rotmat, data["rot6d_out"][:num], atol=1e-5)


def test_golden_conversions(golden: Path) -> None:
    data = {name: torch.from_numpy(x) for name, x in np.load(golden / "k_misc_smpl.npz").items()}
    back = data["rot6d_out"][..., :2].flatten(-2)  # the first two columns, row by row
    torch.testing.assert_close(back, data["rot6d_back"], atol=1e-5, rtol=0)
    unit = torch.nn.functional.normalize(data["quat_in"], dim=-1)
    rotmat = rotations.unitquat_to_rotmat(unit)
    torch.testing.assert_close(rotmat, data["quat_out"], atol=1e-5, rtol=0)
    rodrigues = rotations.rotvec_to_rotmat(data["smpl_aa"])
    torch.testing.assert_close(rodrigues, data["rodrigues"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_proper_svd_has_proper_factors(dtype: torch.dtype) -> None:
    F = random_matrices(40, 23, scale=10.0).to(dtype)
    U, S, V = rotations.proper_svd(F)
    one = torch.ones(40, 23, dtype=dtype)
    torch.testing.assert_close(U @ torch.diag_embed(S) @ V.mT, F, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(torch.linalg.det(U), one)
    torch.testing.assert_close(torch.linalg.det(V), one)
    assert (S[..., 0] >= S[..., 1]).all() and (S[..., 1] >= S[..., 2].abs()).all()
    # Reflections are half of all random matrices, so both signs were met.
    assert (S[..., 2].sign() == torch.linalg.det(F).sign()).all() and (S[..., 2] < 0).any()


def test_golden_svd_step(golden: Path) -> None:
    data = {name: torch.from_numpy(x) for name, x in np.load(golden / "a_net.npz").items()}
    U, S, V = rotations.proper_svd(data["F"])
    torch.testing.assert_close(S, data["S_proper"], atol=1e-5, rtol=1e-5)
    for ours, theirs in ((U, data["U_proper"]), (V, data["V_proper"])):
        overlap = (ours * theirs).sum(-2)
        torch.testing.assert_close(overlap.abs(), torch.ones_like(overlap), atol=1e-4, rtol=0)
    mode = rotations.special_procrustes(data["F"])
    torch.testing.assert_close(mode, data["mode"], atol=1e-5, rtol=0)
    torch.testing.assert_close(U @ V.mT, data["mode"], atol=1e-5, rtol=0)


def test_special_procrustes_beats_every_other_rotation() -> None:
    F, others = random_matrices(20), random_rotmats(300)
    best = (F * rotations.special_procrustes(F)).sum((-2, -1))
    assert (torch.einsum("fij,rij->fr", F, others) <= best[:, None] + 1e-12).all()


def test_special_procrustes_keeps_rotations() -> None:
    rotmat = random_rotmats(50)
    torch.testing.assert_close(rotations.special_procrustes(3.0 * rotmat), rotmat)


def test_svd_gradients_agree_with_finite_differences() -> None:
    F = random_matrices(6).requires_grad_()
    assert torch.autograd.gradcheck(rotations.proper_svd, F)
    assert torch.autograd.gradcheck(rotations.special_procrustes, F)


def test_a_given_decomposition_changes_neither_mode_nor_gradient() -> None:
    F = random_matrices(6).requires_grad_()
    U, S, V = rotations.free_sign_svd(F)
    flips = torch.tensor([-1.0, 1.0, -1.0])
    mode = rotations.special_procrustes(F, (U * flips, S, V * flips))
    torch.testing.assert_close(mode, rotations.special_procrustes(F))
    assert torch.autograd.gradcheck(
        lambda x: rotations.special_procrustes(x, rotations.free_sign_svd(x)), F
    )


def test_special_procrustes_gradient_is_exact_at_repeated_singular_values() -> None:
    for F in (torch.eye(3), torch.diag(torch.tensor([2.0, 1.0, 1.0]))):
        assert torch.autograd.gradcheck(
            rotations.special_procrustes, F.double().requires_grad_(), atol=1e-6
        )


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("dtype", DTYPES)
def test_svd_gradients_are_finite_where_singular_values_repeat(
    name: str, dtype: torch.dtype
) -> None:
    F = DEGENERATE[name].to(dtype).requires_grad_()
    weight = torch.arange(9.0, dtype=dtype).reshape(3, 3)
    U, S, V = rotations.proper_svd(F)
    mode = rotations.special_procrustes(F)
    loss = (weight * (U + V.mT + mode)).sum() + S.square().sum()
    (gradient,) = torch.autograd.grad(loss, F)
    assert torch.isfinite(gradient).all()


def test_a_matrix_that_is_not_finite_spoils_only_itself() -> None:
    F = random_matrices(3)
    F[1, 0, 2] = math.nan
    good = rotations.special_procrustes(F[[0, 2]])
    mode = rotations.special_procrustes(F)
    U, S, V = rotations.proper_svd(F)
    torch.testing.assert_close(mode[[0, 2]], good)
    assert all(torch.isnan(x[1]).all() and torch.isfinite(x[[0, 2]]).all() for x in (mode, U, S, V))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_canonical_signs_do_not_depend_on_the_signs_of_the_svd(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(3)
    F = torch.randn(200, 3, 3, generator=generator, dtype=dtype)
    U, S, V = rotations.proper_svd(F)
    flips = torch.randint(0, 2, (200, 2), generator=generator).to(dtype) * 2 - 1
    flips = torch.cat([flips, flips.prod(-1, keepdim=True)], dim=-1)[:, None]
    canonical = rotations.canonical_signs(U, V)
    torch.testing.assert_close(rotations.canonical_signs(U * flips, V * flips), canonical)
    again = canonical[0] @ torch.diag_embed(S) @ canonical[1].mT
    torch.testing.assert_close(again, F, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.linalg.det(canonical[0]), torch.ones(200, dtype=dtype))
