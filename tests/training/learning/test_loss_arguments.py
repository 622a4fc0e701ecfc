from __future__ import annotations

import pytest
import torch

from hierprob3d.configs.training_phases import PhaseConfig
from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.network.distribution_net import DistributionNet, NetOutput
from hierprob3d.training.learning.loss_arguments import predicted
from hierprob3d.training.learning.sparse_body import SparseBody


@pytest.fixture(scope="module")
def output() -> NetOutput:
    torch.manual_seed(0)
    with torch.no_grad():
        return DistributionNet().decode(torch.randn(2, 512))


def test_keypoints_are_of_the_mode_and_of_draws_or_of_either(output: NetOutput, body: Body) -> None:
    sparse = SparseBody(body, 500)

    def keypoints(num: int, mode: bool = True) -> torch.Tensor:
        return predicted(output, sparse, num, torch.Generator().manual_seed(1), mode).joints2d

    both = keypoints(3)
    assert both.shape == (2, 4, 17, 2)
    assert torch.equal(keypoints(0), both[:, :1])
    assert torch.equal(keypoints(3, mode=False), both[:, 1:])
    assert both.flatten(2).unique(dim=1).shape[1] == 4  # no draw is like another
    with pytest.raises(ValueError, match="mode_keypoints=false needs phases.num_samples"):
        PhaseConfig(epochs=1, mode_keypoints=False)


def test_all_vertices_and_the_14_joints_are_those_of_the_whole_body(
    output: NetOutput, body: Body
) -> None:
    found = predicted(output, SparseBody(body, 1, "h36m"), 0, torch.Generator())
    vertices, joints = body(output.shape_mean, output.pose_mode, output.global_rotmat)
    torch.testing.assert_close(found.vertices, vertices, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.joints3d, body.h36m_joints14(vertices), atol=1e-5, rtol=0)
    few = predicted(output, SparseBody(body, 500), 0, torch.Generator())
    torch.testing.assert_close(few.vertices, vertices[:, ::500], atol=1e-5, rtol=0)
    torch.testing.assert_close(few.joints3d, joints, atol=1e-5, rtol=0)
