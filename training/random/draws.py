"""Random numbers of the training pictures, made on the device that uses them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def seeded_generator(device: torch.device | str, *numbers: int) -> torch.Generator:
    """A generator on `device` whose stream depends on all the numbers and their order.

    CPUs and GPUs draw different numbers from the same seed.

    Args:
        device: where numbers will be drawn.
        numbers: not negative, such as a seed, an epoch and a shard.
    """
    entropy = (len(numbers), *numbers)  # the length too: else 5 and 5, 0 would be the same
    seed = np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1)
    return torch.Generator(device).manual_seed(int(seed))


class Draws:
    """Draws of one generator, on its device.

    Args:
        generator: source of randomness; every draw advances it.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.device = generator.device

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Uniform in [low, high), of the given shape."""
        drawn = torch.rand(*shape, generator=self.generator, device=self.device)
        return low + (high - low) * drawn

    def normal(self, std: float, *shape: int) -> Tensor:
        """Normal about zero with deviation `std`, of the given shape."""
        return std * torch.randn(*shape, generator=self.generator, device=self.device)

    def chance(self, probability: float, *shape: int) -> Tensor:
        """Bool of the given shape, true with a probability."""
        return torch.rand(*shape, generator=self.generator, device=self.device) < probability

    def below(self, limit: int, *shape: int) -> Tensor:
        """int64 of the given shape, each of 0..limit - 1 equally likely."""
        return torch.randint(limit, shape, generator=self.generator, device=self.device)

    def choice(self, shares: Sequence[float], *shape: int) -> Tensor:
        """int64 of the given shape, index i with probability shares[i] over the sum of shares."""
        bounds = torch.tensor(shares, device=self.device).cumsum(0)
        drawn = self.uniform(0, 1, *shape) * bounds[-1]
        return torch.searchsorted(bounds, drawn, right=True).clamp(max=len(shares) - 1)
