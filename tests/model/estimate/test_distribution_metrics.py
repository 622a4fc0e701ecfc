from __future__ import annotations

import pytest
import torch

from hierprob3d.model.estimate import distribution_metrics
from hierprob3d.model.rotation.matrix_fisher import MatrixFisher


def concentrated(num: int, scale: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return scale * torch.randn(num, 2, 3, 3, dtype=torch.float64, generator=generator)


def test_the_uniform_distribution_knows_nothing() -> None:
    nll = distribution_metrics.pose_nll(torch.zeros(1, 2, 3, 3), torch.eye(3).expand(1, 2, 3, 3))
    torch.testing.assert_close(nll, torch.zeros(1, 2))


def test_shape_nll_is_the_gaussian_density() -> None:
    mean, std = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 3.0]])
    betas = torch.tensor([[1.5, -1.0]])
    expected = -torch.distributions.Normal(mean, std).log_prob(betas)
    torch.testing.assert_close(distribution_metrics.shape_nll(mean, std, betas), expected)


def test_ranks_of_draws_from_the_distribution_itself_are_uniform() -> None:
    pose_F = concentrated(400, 5.0)
    draws = MatrixFisher(pose_F).sample((10,), torch.Generator().manual_seed(2))
    truth, samples = draws[0], draws[1:].transpose(0, 1)
    ranks = distribution_metrics.density_rank(pose_F, truth, samples).flatten()
    counts = torch.bincount(ranks, minlength=10).double()
    # 800 ranks in 10 equal cells: 80 +- 8.5; 4 standard deviations.
    assert (counts - 80).abs().max() < 34


def test_the_mode_is_never_outranked() -> None:
    pose_F = concentrated(20, 5.0)
    fisher = MatrixFisher(pose_F)
    samples = fisher.sample((9,), torch.Generator().manual_seed(3)).transpose(0, 1)
    assert distribution_metrics.density_rank(pose_F, fisher.mode, samples).max() == 0


@pytest.mark.parametrize("z, mass", [(0.0, 0.0), (1.0, 0.6826895), (-1.959964, 0.95)])
def test_central_probability_of_a_gaussian(z: float, mass: float) -> None:
    found = distribution_metrics.shape_central_probability(
        torch.tensor([[3.0]]), torch.tensor([[2.0]]), torch.tensor([[3.0 + 2.0 * z]])
    )
    assert found.item() == pytest.approx(mass, abs=1e-6)
