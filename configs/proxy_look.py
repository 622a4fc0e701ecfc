"""How the network's input is made of a person's crop and keypoints."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .checks import check, check_above_zero, check_at_least


@dataclass(frozen=True, kw_only=True)
class ProxyLook:
    """Edges and heatmaps; the defaults are those of the published weights."""

    edge_nms: bool = True
    """Whether edges are thinned to ridges."""

    edge_threshold: float = 0.0
    """Weaker edges are left out; pictures are 0..1, so edges reach about 5.7."""

    edge_gaussian_std: float = 1.0
    """Standard deviation of the blur before, px of the crop."""

    edge_gaussian_size: int = 5
    """Taps of that blur, odd."""

    heatmap_std: float = 4.0
    """Standard deviation of the keypoints' heatmaps, px of the crop."""

    def __post_init__(self) -> None:
        check_above_zero(self, "proxy.edge_gaussian_std", "proxy.heatmap_std")
        check_at_least(self, 1, "proxy.edge_gaussian_size")
        check(
            self.edge_gaussian_size % 2 == 1,
            f"proxy.edge_gaussian_size must be odd, got {self.edge_gaussian_size}",
        )

    @property
    def changes(self) -> dict[str, Any]:
        """What differs from the published weights', by name."""
        usual = asdict(ProxyLook())
        return {name: getattr(self, name) for name in usual if getattr(self, name) != usual[name]}
