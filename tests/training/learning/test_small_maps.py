from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from hierprob3d.training.learning.small_maps import SmallMapConv2d, learn_from_small_maps

LAYERS = {
    "3 x 3": nn.Conv2d(5, 7, 3, padding=1, bias=False),
    "with a bias": nn.Conv2d(5, 7, 3, padding=1),
    "every other pixel": nn.Conv2d(5, 7, 3, stride=2, padding=1, bias=False),
    "1 x 1, every other pixel": nn.Conv2d(5, 7, 1, stride=2, bias=False),
    "not square": nn.Conv2d(5, 7, (3, 5), stride=(1, 2), padding=(2, 1), bias=False),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("size", [4, 12])  # 12: larger than what is worth a product
def test_outputs_and_gradients_are_the_library_s(name: str, size: int) -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(copy.deepcopy(LAYERS[name])).double()
    ours = copy.deepcopy(plain)
    learn_from_small_maps(ours)
    assert type(ours[0]) is SmallMapConv2d
    assert list(ours.state_dict()) == list(plain.state_dict())
    pictures = torch.randn(3, 5, size, size, dtype=torch.float64)
    results = []
    for layer in (plain, ours):
        given = pictures.clone().requires_grad_()
        output = layer(given)
        output.square().sum().backward()
        results.append([output, given.grad, *(p.grad for p in layer.parameters())])
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)


def test_in_lower_precision_gradients_reach_full_weights() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(LAYERS["3 x 3"], nn.ReLU(), nn.Conv2d(7, 4, 3)).float()
    ours = copy.deepcopy(plain)
    learn_from_small_maps(ours)
    pictures = torch.randn(8, 5, 6, 6).to(memory_format=torch.channels_last)
    for net in (plain, ours):
        with torch.autocast("cpu", torch.bfloat16):
            output = net(pictures)
        assert output.dtype == torch.bfloat16
        output.float().square().mean().backward()
    for expected, found in zip(plain.parameters(), ours.parameters(), strict=True):
        assert found.grad is not None and expected.grad is not None
        assert found.grad.dtype == torch.float32
        error = (found.grad - expected.grad).norm() / expected.grad.norm()
        assert error < 0.01  # bfloat16 has 8 bits


def test_layers_that_are_not_plain_stay_as_they_are() -> None:
    others = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 4, 3, dilation=2))
    learn_from_small_maps(others)
    assert all(type(layer) is nn.Conv2d for layer in others)
