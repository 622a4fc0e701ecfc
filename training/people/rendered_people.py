"""Rendered people as training keeps them: edges in bytes, and the truth behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hierprob3d.model.picture.proxy import PROXY_SIZE

EDGE_STEP = 1 / 64
"""Edge strength of one unit of the stored bytes."""


@dataclass(frozen=True)
class RenderedSet:
    """N rendered people.

    Attributes:
        edges: (N, S, S) edge strength, uint8 in units of EDGE_STEP where it is stored, float
            where it is used at once; 256 / S pixels of the crop are averaged in each direction.
        joints2d: (N, 17, 2) px of the 256 crop.
        outside: (N, 17) bool.
        hidden: (N, 17) bool.
        rotvecs: (N, 24, 3).
        betas: (N, 10).
    """

    edges: Tensor
    joints2d: Tensor
    outside: Tensor
    hidden: Tensor
    rotvecs: Tensor
    betas: Tensor

    def __len__(self) -> int:
        return len(self.edges)

    def __getitem__(self, index: Tensor | slice) -> RenderedSet:
        return RenderedSet(**{name: value[index] for name, value in vars(self).items()})

    def to(self, device: torch.device) -> RenderedSet:
        """The same people on another device."""
        return RenderedSet(**{name: value.to(device) for name, value in vars(self).items()})

    @staticmethod
    def joined(parts: Sequence[RenderedSet]) -> RenderedSet:
        """The people of all parts, one after the other; edges in bytes if all parts have them."""
        if len({part.edges.dtype for part in parts}) > 1:
            parts = [replace(part, edges=part.edge_strength()) for part in parts]
        names = vars(parts[0])
        return RenderedSet(**{n: torch.cat([vars(part)[n] for part in parts]) for n in names})

    @staticmethod
    def made(make: Callable[[int], RenderedSet], num: int, at_once: int) -> RenderedSet:
        """`num` people, of whom `make` gives no more than `at_once` at a time."""
        sizes = [min(at_once, num - start) for start in range(0, num, at_once)]
        return RenderedSet.joined([make(size) for size in sizes])

    @property
    def stride(self) -> int:
        """Pixels of the crop per stored pixel, in each direction."""
        return PROXY_SIZE // self.edges.shape[-1]

    def edge_strength(self) -> Tensor:
        """(N, S, S) float edge strength."""
        return self.edges if self.edges.is_floating_point() else self.edges.float() * EDGE_STEP
