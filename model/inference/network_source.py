"""Where those who look at pictures get their networks from: torch, or an engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

NetworkSource = Callable[[Callable[[], nn.Module], type[nn.Module], Path], nn.Module]
"""Gives what runs a network, from what loads it, its class, and the path of its weights."""


def by_torch(load: Callable[[], nn.Module], kind: type[nn.Module], path: Path) -> nn.Module:
    """The network itself."""
    return load()
