"""Draws against the law they must follow, and against each other in other batches."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torch import Tensor

from hierprob3d.model.rotation.matrix_fisher import MatrixFisher
from hierprob3d.model.rotation.matrix_fisher_normalizer import log_normalizer_and_gradient
from hierprob3d.model.rotation.matrix_fisher_sampler import _best_b, best_envelope
from hierprob3d.model.rotation.random_streams import RandomStreams, person_keys
from hierprob3d.model.rotation.rotations import (
    proper_svd,
    rotmat_geodesic_distance,
    rotmat_to_unitquat,
    rotvec_to_rotmat,
    unitquat_to_rotmat,
)

LAWS = {
    "uniform": (0.0, 0.0, 0.0),
    "weak": (1.0, 0.5, -0.25),
    "isotropic": (5.0, 5.0, 5.0),
    "axial": (20.0, 0.0, 0.0),
    "negative": (8.0, 7.0, -6.5),
    "circle of modes": (30.0, 30.0, -30.0),
    "sharp": (1000.0, 500.0, 100.0),
    "anisotropic": (300.0, 5.0, -4.0),
}
NUM_DRAWS = 40_000


# Bases of F that are not the axes.
U0 = rotvec_to_rotmat(torch.tensor([0.3, -1.2, 0.7], dtype=torch.float64))
V0 = rotvec_to_rotmat(torch.tensor([-0.9, 0.4, 1.1], dtype=torch.float64))


def turned(S: tuple[float, float, float]) -> Tensor:
    """F with proper singular values S and bases U0, V0."""
    return U0 @ torch.diag(torch.tensor(S, dtype=torch.float64)) @ V0.mT


def random_streams(rows: list[int], seed: int = 0) -> RandomStreams:
    return RandomStreams(person_keys(seed, [f"picture {row}" for row in rows], [0] * len(rows)))


def person_parameters(num_people: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    scale = 200 ** torch.rand(num_people, 23, 1, 1, generator=generator)
    return scale * (torch.eye(3) + 0.5 * torch.randn(num_people, 23, 3, 3, generator=generator))


def drawn_in_singular_bases(law: str, source: str) -> Tensor:
    """NUM_DRAWS of U^T R V, float64."""
    F = turned(LAWS[law]).to(torch.float64 if source == "float64" else torch.float32)
    generator = random_streams([0]) if source == "streams" else torch.Generator().manual_seed(3)
    draws = MatrixFisher(F[None]).sample((NUM_DRAWS,), generator)[:, 0].double()
    return U0.mT @ draws @ V0


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("source", ["float32", "float64", "streams"])
def test_mean_of_draws(law: str, source: str) -> None:
    # In the singular bases E[R_ii] = d log c / d s_i and all other means are zero.
    inner = drawn_in_singular_bases(law, source)
    gradient = log_normalizer_and_gradient(torch.tensor(LAWS[law], dtype=torch.float64))[1]
    standard_error = inner.std(0) / math.sqrt(NUM_DRAWS)
    error = inner.mean(0) - torch.diag(gradient)
    assert (error.abs() < 5 * standard_error + 1e-9).all()


@pytest.mark.parametrize("law", ["weak", "negative", "sharp", "anisotropic"])
def test_covariance_of_draws(law: str) -> None:
    # Cov[R_ii, R_jj] = d^2 log c / d s_i d s_j, by differences of the gradient; for distinct
    # singular values only, since the differences must not leave s1 >= s2 >= |s3|.
    diagonals = drawn_in_singular_bases(law, "float32").diagonal(dim1=-2, dim2=-1)
    centred = diagonals - diagonals.mean(0)
    products = centred[:, :, None] * centred[:, None]

    S, step = torch.tensor(LAWS[law], dtype=torch.float64), 1e-3
    shifts = step * torch.eye(3, dtype=torch.float64)
    above, below = (log_normalizer_and_gradient(S + sign * shifts)[1] for sign in (1, -1))
    error = products.mean(0) - (above - below) / (2 * step)
    assert (error.abs() < 5 * products.std(0) / math.sqrt(NUM_DRAWS)).all()


@pytest.mark.parametrize("s", [0.0, 2.0, 100.0])
def test_law_of_the_angle(s: float) -> None:
    # For F = s I the angle t has density proportional to (1 - cos t) exp(2 s cos t).
    draws = MatrixFisher(s * torch.eye(3)).sample((20_000,), torch.Generator().manual_seed(0))
    angles = rotmat_geodesic_distance(draws, torch.eye(3)).double()
    grid = torch.linspace(0, math.pi, 20_001, dtype=torch.float64)
    density = (1 - grid.cos()) * torch.exp(2 * s * (grid.cos() - 1))
    cumulative = torch.cat([torch.zeros(1), torch.cumulative_trapezoid(density, grid)])
    cumulative = cumulative / cumulative[-1]
    result = kstest(angles.numpy(), lambda x: np.interp(x, grid.numpy(), cumulative.numpy()))
    # Fixed seeds: a probability below 1e-3 means a wrong law, not bad luck.
    assert result.pvalue > 1e-3


def test_best_b_has_the_most_acceptances() -> None:
    S = torch.tensor([S for S in LAWS.values()], dtype=torch.float64)
    s1, s2, s3 = S.T
    diagonal = 2 * torch.stack([torch.zeros_like(s1), s2 + s3, s1 + s3, s1 + s2])
    b = _best_b(diagonal)
    assert ((b >= 1) & (b <= 4)).all()
    torch.testing.assert_close(
        (1 / (b + 2 * diagonal)).sum(0), torch.ones_like(b), rtol=0.02, atol=0
    )
    torch.testing.assert_close(best_envelope(S).b, b)


def test_draws_are_rotations() -> None:
    draws = MatrixFisher(person_parameters(3)).sample((10,))
    identity = torch.eye(3).expand_as(draws)
    torch.testing.assert_close(draws @ draws.mT, identity, atol=5e-6, rtol=0)
    assert (torch.linalg.det(draws) > 0).all()


def test_a_generator_repeats_its_draws() -> None:
    distribution = MatrixFisher(person_parameters(2))
    first, again, other = (
        distribution.sample((5,), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert not torch.equal(first, other)


def test_a_persons_draws_do_not_depend_on_the_others() -> None:
    F = person_parameters(8)
    together = MatrixFisher(F).sample((50,), random_streams(list(range(8))))
    for rows in ([3], [7, 3], [5, 6, 3, 0, 1]):
        some = MatrixFisher(F[rows]).sample((50,), random_streams(rows))
        torch.testing.assert_close(some, together[:, rows], rtol=0, atol=1e-6)


def test_fewer_draws_are_the_first_of_more() -> None:
    F, streams = person_parameters(3), random_streams([0, 1, 2])
    many = MatrixFisher(F).sample((40,), streams)
    torch.testing.assert_close(MatrixFisher(F).sample((7,), streams), many[:7], rtol=0, atol=1e-6)
    folded = MatrixFisher(F).sample((5, 8), streams)
    torch.testing.assert_close(folded.flatten(0, 1), many, rtol=0, atol=1e-6)


def test_chunks_do_not_change_keyed_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    F, streams = person_parameters(3), random_streams([0, 1, 2])
    whole = MatrixFisher(F).sample((40,), streams)
    monkeypatch.setattr("hierprob3d.model.rotation.matrix_fisher_sampler.CHUNK_SIZE", 101)
    torch.testing.assert_close(MatrixFisher(F).sample((40,), streams), whole, rtol=0, atol=1e-6)


def test_seeds_differ() -> None:
    F = person_parameters(1)
    first, second = (MatrixFisher(F).sample((5,), random_streams([0], seed)) for seed in (0, 1))
    assert not torch.isclose(first, second).all(-1).all(-1).any()


@pytest.mark.parametrize("batch", [(), (0, 23), (4,), (2, 3, 5)])
@pytest.mark.parametrize("sample", [(), (0,), (3,), (2, 3)])
def test_shapes(batch: tuple[int, ...], sample: tuple[int, ...]) -> None:
    distribution = MatrixFisher(torch.ones(*batch, 3, 3))
    assert distribution.sample(sample).shape == (*sample, *batch, 3, 3)
    if batch:
        draws = distribution.sample(sample, random_streams(list(range(batch[0]))))
        assert draws.shape == (*sample, *batch, 3, 3)


def test_streams_of_other_people_are_refused() -> None:
    with pytest.raises(ValueError, match="RandomStreams of 2 people"):
        MatrixFisher(person_parameters(3)).sample((), random_streams([0, 1]))


def test_rsample_gives_the_draws_of_sample() -> None:
    F, streams = person_parameters(2).requires_grad_(), random_streams([0, 1])
    drawn = MatrixFisher(F).rsample((4,), streams)
    torch.testing.assert_close(drawn, MatrixFisher(F).sample((4,), streams))
    assert drawn.requires_grad


def test_rsample_after_sample_still_has_a_gradient() -> None:
    distribution = MatrixFisher(person_parameters(1).requires_grad_())
    assert not distribution.sample().requires_grad
    assert distribution.rsample().requires_grad


def test_rsample_gradient_is_that_of_the_accepted_proposal() -> None:
    # With the accepted directions fixed, as in the paper's training: the oracle transforms them
    # again through torch's own differentiable SVD.
    F = turned((5.0, 3.0, 1.0))[None].requires_grad_()
    weight = torch.arange(9.0, dtype=torch.float64).reshape(3, 3)
    draws = MatrixFisher(F).rsample((6,), random_streams([0]))
    (gradient,) = torch.autograd.grad((weight * draws).sum(), F)

    U, S, Vh = torch.linalg.svd(F)
    U, V = U * torch.linalg.det(U).detach(), Vh.mT * torch.linalg.det(Vh).detach()
    inner = (U.mT @ draws.detach() @ V).detach()
    quat = torch.nn.functional.normalize(rotmat_to_unitquat(inner), dim=-1)
    scales = best_envelope(S).scales.T
    directions = quat / scales.detach()
    moved = torch.nn.functional.normalize(directions * scales, dim=-1)
    oracle = U @ unitquat_to_rotmat(moved) @ V.mT
    torch.testing.assert_close(oracle, draws)
    (expected,) = torch.autograd.grad((weight * oracle).sum(), F)
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("law", LAWS)
def test_rsample_gradients_are_finite(law: str) -> None:
    F = torch.diag(torch.tensor(LAWS[law])).requires_grad_()
    MatrixFisher(F).rsample((100,)).square().sum((-2, -1)).sin().sum().backward()
    assert F.grad is not None and torch.isfinite(F.grad).all()


def test_training_on_draws_moves_the_distribution() -> None:
    target = rotvec_to_rotmat(torch.tensor([0.0, 0.5, 0.0]))
    F = (5 * torch.eye(3)).requires_grad_()
    optimizer = torch.optim.Adam([F], lr=0.5)
    generator = torch.Generator().manual_seed(0)
    for _ in range(120):
        optimizer.zero_grad()
        (MatrixFisher(F).rsample((32,), generator) - target).square().mean().backward()
        optimizer.step()
    distribution = MatrixFisher(F.detach())
    assert rotmat_geodesic_distance(distribution.mode, target) < 0.1
    assert distribution.angular_spread_deg() < 20  # 32 degrees at the start


def test_draws_do_not_depend_on_the_signs_of_the_svd(monkeypatch: pytest.MonkeyPatch) -> None:
    F = person_parameters(3)
    expected = MatrixFisher(F).sample((20,), random_streams([0, 1, 2]))
    flips = torch.diag(torch.tensor([-1.0, 1.0, -1.0]))

    def flipped(matrices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        U, S, V = proper_svd(matrices)
        return U @ flips, S, V @ flips

    monkeypatch.setattr("hierprob3d.model.rotation.matrix_fisher.free_sign_svd", flipped)
    again = MatrixFisher(F).sample((20,), random_streams([0, 1, 2]))
    torch.testing.assert_close(again, expected, atol=1e-5, rtol=0)
