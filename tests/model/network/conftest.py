"""What tests of the distribution network share."""

from __future__ import annotations

from pathlib import Path

import pytest

from hierprob3d.model.network.checkpoints import load_distribution_net
from hierprob3d.model.network.distribution_net import DistributionNet


@pytest.fixture(scope="session")
def paper_net(golden_checkpoints: Path) -> DistributionNet:
    """The network of the seeded checkpoint behind the golden data."""
    return load_distribution_net(golden_checkpoints / "poseMF_shapeGaussian_net_weights.tar")
