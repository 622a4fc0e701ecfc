from __future__ import annotations

import pytest
import torch
from torch.nn.functional import avg_pool2d

from hierprob3d.model.network.distribution_net import DistributionNet
from hierprob3d.model.network.keypoint_lift import KeypointLift, places_of_heatmaps
from hierprob3d.model.network.network_config import NetworkConfig
from tests.oracles.heatmaps import joints2d_to_heatmaps


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_places_are_those_that_the_heatmaps_were_drawn_at(stride: int) -> None:
    joints2d = torch.rand(5, 17, 2) * 200 + 28
    visible = torch.rand(5, 17) > 0.3
    heatmaps = avg_pool2d(joints2d_to_heatmaps(joints2d, visible=visible), stride)
    places, mass = places_of_heatmaps(heatmaps)
    # Pixel 0 is drawn at its middle, half a pixel from the border: -1 + 1 / 256.
    expected = (joints2d + 0.5) / 128 - 1
    torch.testing.assert_close(places[visible], expected[visible], atol=1e-4, rtol=0)
    torch.testing.assert_close(mass, visible.float(), atol=1e-3, rtol=0)


def test_a_keypoint_on_the_border_is_half_there() -> None:
    joints2d = torch.tensor([[[-0.5, 128.0]] * 17])
    _, mass = places_of_heatmaps(joints2d_to_heatmaps(joints2d))
    torch.testing.assert_close(mass, torch.full((1, 17), 0.5), atol=1e-3, rtol=0)


def test_without_any_keypoint_features_are_finite() -> None:
    features = KeypointLift(8)(*places_of_heatmaps(torch.zeros(2, 17, 64, 64)))
    assert features.shape == (2, 8) and features.isfinite().all()


def test_in_lower_precision_places_stay_exact() -> None:
    heatmaps = joints2d_to_heatmaps(torch.full((1, 17, 2), 77.25))
    exact, _ = places_of_heatmaps(heatmaps)
    with torch.autocast("cpu", torch.bfloat16):
        places, _ = places_of_heatmaps(heatmaps)
    # A product of matrices would be half a pixel off.
    torch.testing.assert_close(places, exact, atol=1e-6, rtol=0)


def test_the_branch_is_an_addition_and_the_encoder_joins_from_nothing() -> None:
    torch.manual_seed(0)
    plain = DistributionNet(NetworkConfig())
    torch.manual_seed(0)
    net = DistributionNet(NetworkConfig(keypoint_lift=True)).eval()
    state = net.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in plain.state_dict().items())
    proxy = torch.rand(2, 18, 64, 64)
    with torch.no_grad():
        lifted = net.keypoint_lift(*places_of_heatmaps(proxy[:, 1:]))
        torch.testing.assert_close(net.encode(proxy), lifted, atol=1e-5, rtol=0)
        net.encoder_gain.fill_(2.0)
        torch.testing.assert_close(
            net.encode(proxy), 2 * net.image_encoder(proxy) + lifted, atol=1e-4, rtol=0
        )


def test_the_encoder_learns_as_soon_as_it_counts() -> None:
    net = DistributionNet(NetworkConfig(keypoint_lift=True))
    for gain, learns in ((0.0, False), (0.1, True)):
        net.zero_grad()
        with torch.no_grad():
            net.encoder_gain.fill_(gain)
        net.encode(torch.rand(2, 18, 64, 64)).square().sum().backward()
        assert net.encoder_gain.grad is not None and net.encoder_gain.grad.abs().sum() > 0
        first = net.image_encoder.conv1.weight.grad
        assert (first is not None and bool(first.abs().sum() > 0)) == learns
