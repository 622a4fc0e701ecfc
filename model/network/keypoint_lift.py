"""A branch that reads keypoints as coordinates, beside the encoder that reads them as pictures.

Not in the paper. A convolutional encoder needs very many examples before its features say to a
pixel where a heatmap's peak lies; here that is given, and pose is learnt from it at a small part of
the price of a picture.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from hierprob3d.model.body.skeleton import NUM_KEYPOINTS
from hierprob3d.model.picture.proxy import HEATMAP_STD, PROXY_SIZE

_WIDTH = 1024
_NUM_BLOCKS = 3
_LEAST_MASS = 1e-6


class KeypointLift(nn.Module):
    """Residual perceptron from the places of heatmaps to features.

    Args:
        num_features: those of the encoder, to which these are added.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.read = nn.Linear(3 * NUM_KEYPOINTS, _WIDTH)
        self.blocks = nn.Sequential(*(ResidualBlock(_WIDTH) for _ in range(_NUM_BLOCKS)))
        self.norm = nn.LayerNorm(_WIDTH)
        self.write = nn.Linear(_WIDTH, num_features)

    def forward(
        self, places: Float[Tensor, "B 17 2"], mass: Float[Tensor, "B 17"]
    ) -> Float[Tensor, "B features"]:
        """(B, num_features) features.

        Args:
            places: (B, 17, 2) centres of heatmaps, see `places_of_heatmaps`.
            mass: (B, 17) share of each heatmap that is there.
        """
        known = torch.cat([(places * mass[..., None]).flatten(1), mass], dim=1)
        return self.write(self.norm(self.blocks(self.read(known))))


def places_of_heatmaps(
    heatmaps: Float[Tensor, "B 17 S S"],
) -> tuple[Float[Tensor, "B 17 2"], Float[Tensor, "B 17"]]:
    """Centres (B, 17, 2) of heatmaps (B, 17, S, S), -1..1 across the crop, and their mass (B, 17).

    Mass is 1 for a keypoint well within the picture, less near its border, 0 for a missing one.
    Averaging heatmaps over squares of pixels, as `NetworkConfig.input_stride` does, keeps both.
    """
    across, down = heatmaps.sum(-2), heatmaps.sum(-1)
    size = heatmaps.shape[-1]
    middles = (torch.arange(size, device=heatmaps.device) + 0.5) * (2 / size) - 1
    mass = across.sum(-1)
    # Not as a matrix product: autocast would round the places to a pixel.
    moments = torch.stack([(across * middles).sum(-1), (down * middles).sum(-1)], dim=-1)
    whole = 2 * math.pi * (HEATMAP_STD * size / PROXY_SIZE) ** 2
    return moments / mass.clamp_min(_LEAST_MASS)[..., None], mass / whole


class ResidualBlock(nn.Module):
    """x plus two layers of its normalised self, which begin at nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Float[Tensor, "B width"]) -> Float[Tensor, "B width"]:
        """(B, width) of (B, width)."""
        return x + self.second(functional.gelu(self.first(self.norm(x))))
