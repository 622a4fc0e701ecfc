"""A handful of poses to train on: invented, so that these tests need no data from elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.joint_limits import HIGHEST, LOWEST


@pytest.fixture(scope="session")
def pose_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 poses of 4 clips within a fifth of the joint limits, the pelvis upright."""
    rng = np.random.default_rng(0)
    low, high = np.maximum(LOWEST, -0.5) / 5, np.minimum(HIGHEST, 0.5) / 5
    poses = rng.uniform(low, high, (40, 24, 3))
    poses[:, 0] = 0
    path = tmp_path_factory.mktemp("poses") / "poses.npz"
    np.savez(
        path, poses=poses.reshape(40, 72), clip=np.arange(40) // 10, source=np.arange(40) // 20,
        source_tier=np.array(["A", "B"]),
    )  # fmt: skip
    return path
