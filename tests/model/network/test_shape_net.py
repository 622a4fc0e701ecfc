"""The network of shapes: what it depends on, and which files it is read from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from hierprob3d.model.files.weight_files import WeightsError, write_tensors
from hierprob3d.model.network.shape_net import (
    ShapeNet,
    load_shape_net,
    mirrored_keypoints,
    save_shape_net,
)
from hierprob3d.model.people.body_widths import NUM_WIDTHS, mirrored_widths


def people(num: int) -> tuple[Tensor, Tensor]:
    """Widths and keypoints, invented."""
    generator = torch.Generator().manual_seed(1)
    widths = 0.4 * torch.rand(num, NUM_WIDTHS, generator=generator)
    keypoints = torch.rand(num, 17, 3, generator=generator) * torch.tensor([50.0, 100.0, 1.0])
    return widths, keypoints


@torch.no_grad()
def test_shapes_hang_neither_on_the_place_nor_on_the_scale_nor_on_others() -> None:
    net = load_shape_net()
    widths, keypoints = people(6)
    mean, std = net(widths, keypoints)
    assert mean.shape == std.shape == (6, 10) and bool((std > 0).all())
    moved = keypoints * torch.tensor([3.0, 3.0, 1.0]) + torch.tensor([40.0, -7.0, 0.0])
    torch.testing.assert_close(net(widths, moved).mean, mean, atol=1e-4, rtol=0)
    for one in range(2):
        alone = net(widths[one : one + 1], keypoints[one : one + 1])
        torch.testing.assert_close(alone.mean[0], mean[one], atol=1e-5, rtol=0)
    assert net(widths[:0], keypoints[:0]).mean.shape == (0, 10)


@torch.no_grad()
def test_a_mirror_image_has_the_same_shape() -> None:
    net = load_shape_net()
    widths, keypoints = people(4)
    image = net(mirrored_widths(widths), mirrored_keypoints(keypoints))
    torch.testing.assert_close(image.mean, net(widths, keypoints).mean, atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_wider_are_told_to_be_heavier() -> None:
    net = load_shape_net()
    widths, keypoints = net.centre[:NUM_WIDTHS].clone(), net.centre[NUM_WIDTHS:]
    places = torch.cat([keypoints[:34].view(17, 2), keypoints[34:, None]], 1)[None]
    trunk = slice(4, 14)  # of both sides, from the chest to the hips
    thin, wide = widths.clone(), widths.clone()
    thin[trunk] *= 0.85
    wide[trunk] *= 1.15
    second = net(torch.stack([thin, wide]), places.expand(2, -1, -1)).mean[:, 1]
    assert second[1] > second[0] + 0.3


def test_a_file_of_weights_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "net.safetensors"
    net = ShapeNet()
    save_shape_net(net, path, {"for": "a test"})
    state = load_shape_net(path).state_dict()
    for name, value in net.state_dict().items():
        torch.testing.assert_close(state[name], value, atol=1e-3, rtol=1e-3)
    with pytest.raises(FileNotFoundError):
        load_shape_net(tmp_path / "none.safetensors")
    write_tensors(path, {"a": torch.zeros(2)}, {})
    with pytest.raises(WeightsError, match="does not fit the network of shapes: 9 keys missing"):
        load_shape_net(path)
