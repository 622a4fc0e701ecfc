"""What tests of detectors and keypoint estimators share."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hierprob3d.model.files.bundled import ASSETS


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """(512, 512, 3) uint8 RGB photograph of one person."""
    return np.asarray(Image.open(ASSETS / "demo" / "astronaut.png").convert("RGB"))
