from __future__ import annotations

import pytest
import torch

from hierprob3d.training.random.draws import Draws, seeded_generator


def test_every_number_and_their_order_make_another_stream() -> None:
    seeds = [(5,), (5, 0), (0, 5), (5, 0, 0), (5, 1), (6, 0)]
    drawn = [torch.rand(4, generator=seeded_generator("cpu", *numbers)) for numbers in seeds]
    assert len({tuple(numbers.tolist()) for numbers in drawn}) == len(seeds)
    again = torch.rand(4, generator=seeded_generator("cpu", 5, 1))
    assert torch.equal(again, drawn[4])


def test_draws_have_their_laws() -> None:
    draws = Draws(seeded_generator("cpu", 0))
    uniform = draws.uniform(-3.0, 1.0, 20_000)
    assert uniform.min() >= -3 and uniform.max() < 1
    assert uniform.mean() == pytest.approx(-1.0, abs=0.05)
    assert draws.normal(2.5, 20_000).std() == pytest.approx(2.5, rel=0.03)
    assert draws.chance(0.2, 20_000).float().mean() == pytest.approx(0.2, abs=0.02)
    assert not draws.chance(0.0, 20_000).any() and draws.chance(1.0, 20_000).all()
    assert set(draws.below(3, 200).tolist()) == {0, 1, 2}


def test_choices_come_as_often_as_their_shares() -> None:
    chosen = Draws(seeded_generator("cpu", 1)).choice((1.0, 0.0, 3.0), 20_000)
    counts = torch.bincount(chosen, minlength=3) / 20_000
    torch.testing.assert_close(counts, torch.tensor([0.25, 0.0, 0.75]), atol=0.02, rtol=0)
