"""Log-normaliser against 30-digit references, closed forms and the paper's own trapezoids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hierprob3d.model.rotation.matrix_fisher import MatrixFisher
from hierprob3d.model.rotation.matrix_fisher_normalizer import (
    log_normalizer_and_gradient,
    log_normalizer_gradient,
    log_normalizer_of_s,
)
from hierprob3d.model.rotation.paper_normalizer import trapezoid_log_normalizer_and_gradient


@pytest.fixture(scope="module")
def references(golden: Path) -> dict[str, Tensor]:
    with np.load(golden / "e_matrix_fisher.npz") as data:
        return {name: torch.from_numpy(data[name]) for name in data}


def test_log_normalizer_equals_references(references: dict[str, Tensor]) -> None:
    log_c = log_normalizer_of_s(references["grid"])
    torch.testing.assert_close(log_c, references["logc_ref"], atol=1e-15, rtol=1e-10)


def test_gradient_equals_references(references: dict[str, Tensor]) -> None:
    # 1 - gradient is the spread of a concentrated joint: it, too, must keep its digits.
    gradient = log_normalizer_gradient(references["grid"])
    torch.testing.assert_close(gradient, references["grad_ref"], atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(1 - gradient, 1 - references["grad_ref"], atol=1e-12, rtol=1e-9)


def test_float32_is_as_good_as_its_rounding(references: dict[str, Tensor]) -> None:
    S = references["grid"].float().requires_grad_()
    log_c = log_normalizer_of_s(S)
    (gradient,) = torch.autograd.grad(log_c.sum(), S)
    assert log_c.dtype == gradient.dtype == torch.float32
    exact, exact_gradient = log_normalizer_and_gradient(S)
    torch.testing.assert_close(log_c.double(), exact, atol=1e-9, rtol=6e-8)
    torch.testing.assert_close(gradient.double(), exact_gradient, atol=6e-8, rtol=0)


def test_uniform_distribution() -> None:
    log_c, gradient = log_normalizer_and_gradient(torch.zeros(2, 3))
    torch.testing.assert_close(log_c, torch.zeros(2, dtype=torch.float64), atol=1e-15, rtol=0)
    torch.testing.assert_close(gradient, torch.zeros(2, 3, dtype=torch.float64))


@pytest.mark.parametrize("s", [0.3, 4.0, 60.0, 600.0])
def test_multiple_of_a_rotation_has_a_closed_form(s: float) -> None:
    # S = (s, s, s): the angle has density (1 - cos t)/pi exp(s (1 + 2 cos t)), whose integral
    # over 0..pi is exp(s) (I0(2 s) - I1(2 s)).
    x = torch.tensor(2 * s, dtype=torch.float64)
    expected = 3 * s + torch.log(torch.special.i0e(x) - torch.special.i1e(x))
    actual = log_normalizer_of_s(torch.full((3,), s, dtype=torch.float64))
    torch.testing.assert_close(actual, expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("s", [1e4, 1e6])
def test_huge_values_approach_the_gaussian_limit(s: float) -> None:
    # Laplace's method: c ~ exp(s1 + s2 + s3) / sqrt(8 pi (s1 + s2)(s1 + s3)(s2 + s3)).
    S = torch.tensor([s, 0.7 * s, -0.2 * s], dtype=torch.float64)
    sums = torch.stack([S[0] + S[1], S[0] + S[2], S[1] + S[2]])
    expected = S.sum() - 0.5 * torch.log(8 * torch.pi * sums.prod())
    torch.testing.assert_close(log_normalizer_of_s(S), expected, atol=2 / s, rtol=0)


def test_gradient_is_that_of_the_value() -> None:
    S = torch.tensor(
        [[3.0, 2.0, 1.0], [5.0, 4.0, -3.5], [0.5, 0.2, -0.1], [80.0, 20.0, -19.0]],
        dtype=torch.float64,
        requires_grad=True,
    )
    assert torch.autograd.gradcheck(log_normalizer_of_s, S)


def test_second_derivatives_are_refused() -> None:
    S = torch.tensor([3.0, 2.0, 1.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(log_normalizer_of_s(S).square(), S, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        gradient.sum().backward()


@pytest.mark.parametrize(("dtype", "name"), [(torch.float32, "f32"), (torch.float64, "f64")])
def test_paper_normalizer_equals_the_original(
    references: dict[str, Tensor], dtype: torch.dtype, name: str
) -> None:
    log_c, gradient = trapezoid_log_normalizer_and_gradient(references["grid"].to(dtype))
    expected, expected_gradient = references[f"logc_{name}"], references[f"grad_{name}"]
    torch.testing.assert_close(log_c, expected, atol=1e-5, rtol=1e-5, check_dtype=False)
    torch.testing.assert_close(gradient, expected_gradient, atol=1e-5, rtol=0, check_dtype=False)


@pytest.mark.parametrize("factor", [1.005, 1.025])
def test_paper_negative_log_likelihood(references: dict[str, Tensor], factor: float) -> None:
    F = references["nll_F"].clone().requires_grad_()
    alignment = (F * references["nll_R"]).sum((-2, -1))
    nll = factor * MatrixFisher(F).log_normalizer("trapezoid") - alignment
    expected = references[f"nll_overreg{round(1000 * factor)}"]
    torch.testing.assert_close(nll, expected, atol=1e-4, rtol=1e-5)
    if factor == 1.025:
        (gradient,) = torch.autograd.grad(nll.sum(), F)
        torch.testing.assert_close(gradient, references["nll_grad_F"], atol=1e-5, rtol=1e-5)
