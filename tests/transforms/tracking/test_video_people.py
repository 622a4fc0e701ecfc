from __future__ import annotations

import torch

from hierprob3d.model.rotation.matrix_fisher import MatrixFisher
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.transforms.tracking.video_people import _precisions


def test_precision_is_how_fast_the_likelihood_falls() -> None:
    torch.manual_seed(0)
    F = 5 * torch.randn(1, 4, 3, 3, dtype=torch.float64)
    distribution = MatrixFisher(F)
    mode, step = distribution.mode, 1e-3
    at_mode = distribution.log_prob(mode)
    curvatures = [
        -2 * (distribution.log_prob(mode @ rotvec_to_rotmat(step * axis)) - at_mode) / step**2
        for axis in torch.eye(3, dtype=torch.float64)
    ]
    expected = torch.stack(curvatures).mean(0)
    torch.testing.assert_close(_precisions(mode, F), expected, rtol=1e-3, atol=1e-3)
