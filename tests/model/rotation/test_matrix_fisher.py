"""The distribution against closed forms, Monte Carlo integrals and golden data."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hierprob3d.model.rotation.matrix_fisher import MatrixFisher
from hierprob3d.model.rotation.rotations import proper_svd, special_procrustes, unitquat_to_rotmat


def parameters(*shape: int, scale: float = 3.0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return scale * torch.randn(*shape, 3, 3, generator=generator, dtype=dtype)


def uniform_rotmats(num: int) -> Tensor:
    quat = torch.randn(num, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return unitquat_to_rotmat(torch.nn.functional.normalize(quat, dim=-1))


def test_density_integrates_to_one() -> None:
    F = parameters(5, scale=0.7)
    density = MatrixFisher(F).log_prob(uniform_rotmats(200_000)[:, None]).exp()
    standard_error = density.std(0) / math.sqrt(len(density))
    assert ((density.mean(0) - 1).abs() < 5 * standard_error).all()


def test_mean_is_the_integral_of_the_density() -> None:
    F, rotmats = parameters(5, scale=0.7), uniform_rotmats(200_000)
    weighted = MatrixFisher(F).log_prob(rotmats[:, None]).exp()[..., None, None] * rotmats[:, None]
    error = weighted.mean(0) - MatrixFisher(F).mean
    assert (error.abs() < 5 * weighted.std(0) / math.sqrt(len(rotmats))).all()


def test_log_prob_is_greatest_at_the_mode() -> None:
    distribution = MatrixFisher(parameters(6))
    torch.testing.assert_close(distribution.mode, special_procrustes(distribution.F))
    others = distribution.log_prob(uniform_rotmats(1000)[:, None])
    assert (others < distribution.log_prob(distribution.mode)).all()


def test_entropy_is_minus_the_mean_log_density() -> None:
    distribution = MatrixFisher(parameters(5, scale=2.0))
    draws = distribution.sample((100_000,), torch.Generator().manual_seed(0))
    log_prob = distribution.log_prob(draws)
    error = distribution.entropy() + log_prob.mean(0)
    assert (error.abs() < 5 * log_prob.std(0) / math.sqrt(len(draws))).all()


def test_uniform_distribution() -> None:
    uniform = MatrixFisher(torch.zeros(3, 3))
    assert uniform.angular_spread_deg() == pytest.approx(120.0)
    assert abs(uniform.entropy()) < 1e-6 and abs(uniform.log_normalizer()) < 1e-6
    torch.testing.assert_close(uniform.mean, torch.zeros(3, 3))


def test_angular_spread_is_that_of_draws() -> None:
    distribution = MatrixFisher(parameters(6, scale=8.0))
    draws = distribution.sample((100_000,), torch.Generator().manual_seed(0))
    cosine = ((distribution.mode * draws).sum((-2, -1)) - 1) / 2
    expected = torch.cos(torch.deg2rad(distribution.angular_spread_deg()))
    tolerance = 5 * cosine.std(0) / math.sqrt(len(draws))
    assert ((cosine.mean(0) - expected).abs() < tolerance).all()


@pytest.mark.parametrize("s", [1e3, 1e5])
def test_angular_spread_of_sharp_joints_in_float32(s: float) -> None:
    # Small angles: rotvec ~ normal with variance 1 / (2 s) per axis, so E[angle^2] = 3 / (2 s).
    spread = MatrixFisher(s * torch.eye(3)).angular_spread_deg()
    torch.testing.assert_close(
        spread, torch.tensor(math.degrees(math.sqrt(1.5 / s))), rtol=1e-3, atol=0
    )


def test_gradients_agree_with_finite_differences() -> None:
    F, R = parameters(4).requires_grad_(), uniform_rotmats(4)
    assert torch.autograd.gradcheck(lambda x: MatrixFisher(x).log_normalizer(), F)
    assert torch.autograd.gradcheck(lambda x: MatrixFisher(x).log_prob(R), F)


def test_a_given_decomposition_changes_nothing() -> None:
    F, R = parameters(4).requires_grad_(), uniform_rotmats(4)
    U, S, V = proper_svd(F)
    flips = torch.tensor([1.0, -1.0, -1.0])
    given, own = MatrixFisher(F, (U * flips, S, V * flips)), MatrixFisher(F)
    for value in ("mode", "mean"):
        torch.testing.assert_close(getattr(given, value), getattr(own, value))
    gradients = [torch.autograd.grad(d.log_prob(R).sum(), F)[0] for d in (given, own)]
    torch.testing.assert_close(*gradients)


def test_gradient_of_the_log_normalizer_is_the_mean() -> None:
    F = parameters(2, 23, scale=20.0, dtype=torch.float32).requires_grad_()
    distribution = MatrixFisher(F)
    (gradient,) = torch.autograd.grad(distribution.log_normalizer().sum(), F)
    torch.testing.assert_close(gradient, distribution.mean)


@pytest.mark.parametrize(
    "diagonal", [(0, 0, 0), (1, 1, 1), (5, 5, 5), (2, 1, 1), (4, 0, 0), (3, 3, -3), (1e4, 1e4, 0)]
)
def test_gradients_are_exact_at_repeated_singular_values(
    diagonal: tuple[float, float, float],
) -> None:
    F = torch.diag(torch.tensor(diagonal, dtype=torch.float64)).requires_grad_()
    R = uniform_rotmats(1)[0]
    assert torch.autograd.gradcheck(lambda x: MatrixFisher(x).log_prob(R), F, atol=1e-5)


def test_golden_negative_log_likelihood(golden: Path) -> None:
    # The original's value carries its factor 1.025 and trapezoids good to 5e-4 for s1 <= 10.
    data = {k: torch.from_numpy(v) for k, v in np.load(golden / "e_matrix_fisher.npz").items()}
    distribution = MatrixFisher(data["nll_F"])
    overregularised = 0.025 * distribution.log_normalizer() - distribution.log_prob(data["nll_R"])
    mild = data["nll_S"][:, 0] <= 10
    assert mild.sum() >= 5
    torch.testing.assert_close(
        overregularised[mild], data["nll_overreg1025"][mild], atol=5e-4, rtol=1e-5
    )


def test_batch_shapes() -> None:
    distribution = MatrixFisher(parameters(2, 5))
    assert distribution.batch_shape == (2, 5)
    assert distribution.mean.shape == distribution.mode.shape == (2, 5, 3, 3)
    assert distribution.log_prob(uniform_rotmats(7)[:, None, None]).shape == (7, 2, 5)
    for value in ("log_normalizer", "entropy", "angular_spread_deg"):
        assert getattr(distribution, value)().shape == (2, 5)
        assert getattr(MatrixFisher(parameters()), value)().shape == ()
        assert getattr(MatrixFisher(parameters(0, 23)), value)().shape == (0, 23)


def test_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must have shape \(\.\.\., 3, 3\)"):
        MatrixFisher(torch.zeros(4, 9))


def test_parameters_that_are_not_finite_spoil_only_themselves() -> None:
    F = parameters(3, 2, dtype=torch.float32)
    F[1, 0, 0, 0] = math.nan
    good = torch.tensor([[True, True], [False, True], [True, True]])
    distribution = MatrixFisher(F)
    values = {
        "log_prob": distribution.log_prob(torch.eye(3)),
        "entropy": distribution.entropy(),
        "spread": distribution.angular_spread_deg(),
        "mean": distribution.mean.sum((-2, -1)),
        "draws": distribution.sample((4,)).sum((0, -2, -1)),
    }
    for name, value in values.items():
        assert torch.equal(torch.isfinite(value), good), name
