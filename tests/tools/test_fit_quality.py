"""The fit of the quality finds what made the answers, and keeps to the directions it is given."""

from __future__ import annotations

import pytest
import torch
from tools.fit_quality import fit

from hierprob3d.model.estimate.quality import DIRECTIONS


def answers(weights: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of 4,000 people, and who of them is right by a regression with these weights."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(4000, len(weights), generator=generator)
    right = torch.rand(4000, generator=generator) < torch.sigmoid(features @ torch.tensor(weights))
    return features, right


def test_weights_of_the_right_signs_are_found() -> None:
    found = fit(*answers([-1.0, -0.5, 0.8, -0.7]))
    assert found.weights == pytest.approx([-1.0, -0.5, 0.8, -0.7], abs=0.15)
    assert found.bias == pytest.approx(0, abs=0.1)


def test_a_feature_that_speaks_the_wrong_way_is_left_out_and_the_others_are_kept() -> None:
    found = fit(*answers([-1.0, -0.5, 0.8, 0.7]))
    assert found.weights[-1] == 0
    assert all(w * sign > 0 for w, sign in zip(found.weights[:-1], DIRECTIONS[:-1], strict=True))
