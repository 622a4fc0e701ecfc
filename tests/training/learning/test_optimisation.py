from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from hierprob3d.configs.training_phases import OptimiserConfig
from hierprob3d.training.learning.optimisation import Optimisation, learning_rate

CPU = torch.device("cpu")


def test_the_learning_rate_warms_up_and_falls_to_its_end() -> None:
    config = OptimiserConfig(lr=1e-3, warmup_steps=10, final_lr_ratio=0.1)
    assert learning_rate(config, 0, 1000) == pytest.approx(1e-4, rel=1e-3)
    assert learning_rate(config, 500, 1000) == pytest.approx(5.5e-4)  # half way from 1 to 0.1
    assert learning_rate(config, 1000, 1000) == pytest.approx(1e-4)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_parts_add_up_and_scaling_leaves_the_step_as_it_is(precision: str) -> None:
    steps = []
    for parts in ([1.0], [0.25, 0.75]):
        net = nn.Linear(3, 1, bias=False)
        nn.init.ones_(net.weight)
        optimisation = Optimisation(
            net.parameters(), OptimiserConfig(warmup_steps=1), precision, CPU
        )
        optimisation.start(0, 10)
        for part in parts:
            optimisation.add(part * net(torch.tensor([[1.0, 2.0, -3.0]])).sum())
        assert optimisation.finish(0)
        steps.append(net.weight.detach().clone())
        torch.testing.assert_close(net.weight.grad, torch.tensor([[1.0, 2.0, -3.0]]))
    assert torch.equal(*steps)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_step_that_is_not_finite_is_left_out(bad: float) -> None:
    net = nn.Linear(3, 1)
    before = net.weight.detach().clone()
    optimisation = Optimisation(net.parameters(), OptimiserConfig(), "fp16", CPU)
    optimisation.start(0, 10)
    optimisation.add(net(torch.ones(1, 3)).sum() * bad)
    assert not optimisation.finish(0)
    assert torch.equal(net.weight, before)
    assert optimisation.scaler.get_scale() == 2**15  # half of torch's first
