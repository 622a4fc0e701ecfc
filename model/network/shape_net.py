"""Body shape from how wide a person is in the picture, and from keypoints.

A small perceptron beside the lift, whose keypoints hardly tell a shape. Trained on dressed people
as BlazePose draws their silhouettes: what lies between cloth and skin is learnt, as far as it can
be.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hierprob3d.model.body.skeleton import COCO_FLIP, NUM_BETAS, NUM_KEYPOINTS
from hierprob3d.model.files.bundled import ASSETS
from hierprob3d.model.files.weight_files import (
    WeightsError,
    misfit,
    read_tensors,
    write_tensors,
)
from hierprob3d.model.people.body_widths import NUM_WIDTHS, mirrored_widths, person_scale

from .filled_batches import filled_rows

SHAPE_NET_PATH = ASSETS / "shape_net" / "shape_net.safetensors"

_NUM_INPUTS = NUM_WIDTHS + 3 * NUM_KEYPOINTS
_WIDTH = 224
_FURTHEST = 4.0
"""Keypoints further out are guesses gone wild: places in sizes of the person."""
_MOST_UNUSUAL = 6.0
"""Inputs further from their mean count as this many standard deviations."""
_LOG_STDS = (-3.0, 1.0)


class Shape(NamedTuple):
    """Independent normal distributions of the betas of B people."""

    mean: Tensor
    """(B, 10)."""
    std: Tensor
    """(B, 10)."""


class ShapeNet(nn.Module):
    """Two layers that a person and his mirror image pass; their answers are averaged.

    Args:
        dropout: share of numbers left out in training.
    """

    centre: Tensor
    spread: Tensor
    temperatures: Tensor

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(_NUM_INPUTS))
        self.register_buffer("spread", torch.ones(_NUM_INPUTS))
        self.register_buffer("temperatures", torch.ones(NUM_BETAS))
        self.layers = nn.Sequential(
            nn.Linear(_NUM_INPUTS, _WIDTH), nn.GELU(), nn.Dropout(dropout),
            nn.Linear(_WIDTH, _WIDTH), nn.GELU(), nn.Dropout(dropout),
            nn.Linear(_WIDTH, 2 * NUM_BETAS),
        )  # fmt: skip

    def forward(self, widths: Float[Tensor, "B 73"], keypoints: Float[Tensor, "B 17 3"]) -> Shape:
        """The shapes of people.

        Args:
            widths: (B, NUM_WIDTHS) of `body_widths`.
            keypoints: (B, 17, 3) x, y in px of any picture in which people are not turned, and
                confidence.
        """
        num = len(widths)
        widths, keypoints = (values[filled_rows(num)] for values in (widths, keypoints))
        numbers = shape_numbers(widths, keypoints)
        mirrored = shape_numbers(mirrored_widths(widths), mirrored_keypoints(keypoints))
        mean, log_std = self.answer(torch.cat([numbers, mirrored]))
        mean, log_std = (values.unflatten(0, (2, -1)).mean(0)[:num] for values in (mean, log_std))
        return Shape(mean, log_std.exp() * self.temperatures)

    def answer(
        self, numbers: Float[Tensor, "B 124"]
    ) -> tuple[Float[Tensor, "B 10"], Float[Tensor, "B 10"]]:
        """Means and log standard deviations (B, 10) by (B, _NUM_INPUTS) numbers of people."""
        usual = ((numbers - self.centre) / self.spread).clamp(-_MOST_UNUSUAL, _MOST_UNUSUAL)
        mean, log_std = self.layers(usual).chunk(2, dim=1)
        return mean, log_std.clamp(*_LOG_STDS)


def shape_numbers(
    widths: Float[Tensor, "B 73"], keypoints: Float[Tensor, "B 17 3"]
) -> Float[Tensor, "B 124"]:
    """(B, NUM_WIDTHS + 51) what the network computes with; arguments as of `ShapeNet.forward`."""
    keypoints = keypoints.nan_to_num()
    centre, size = person_scale(keypoints)
    places = ((keypoints[..., :2] - centre) / size).clamp(-_FURTHEST, _FURTHEST)
    return torch.cat([widths, places.flatten(1), keypoints[..., 2]], 1)


def mirrored_keypoints(keypoints: Float[Tensor, "B 17 3"]) -> Float[Tensor, "B 17 3"]:
    """Keypoints (B, 17, 3) of the same people in the mirror, left of where they were."""
    signs = keypoints.new_tensor([-1.0, 1.0, 1.0])
    return keypoints[:, list(COCO_FLIP)] * signs


def load_shape_net(path: Path = SHAPE_NET_PATH, device: str | torch.device = "cpu") -> ShapeNet:
    """The network of a file, in evaluation mode.

    Raises:
        FileNotFoundError: there is no such file.
        WeightsError: it is damaged, or holds something else.
    """
    tensors, _ = read_tensors(path)
    with torch.device("meta"):
        net = ShapeNet()
    problem = misfit(net.state_dict(), tensors)
    if problem:
        raise WeightsError(f"{path} does not fit the network of shapes: {problem}.")
    net.load_state_dict({name: t.float() for name, t in tensors.items()}, assign=True)
    return net.to(device).eval()


def save_shape_net(net: ShapeNet, path: Path, notes: dict[str, Any]) -> None:
    """Writes weights, matrices rounded to float16, and what is to be known of them."""
    tensors = {n: t.half() if t.ndim > 1 else t for n, t in net.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(path, tensors, notes)
