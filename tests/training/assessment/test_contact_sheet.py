from __future__ import annotations

import torch

from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.network.distribution_net import DistributionNet
from hierprob3d.model.network.network_config import NetworkConfig
from hierprob3d.model.picture.cameras import (
    half_turn_x,
    normalised_to_pixels,
    project_weak_perspective,
)
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.training.assessment.contact_sheet import contact_sheet, fitted_camera
from hierprob3d.training.people.rendered_people import RenderedSet


def _standing(body: Body, num: int, camera: torch.Tensor) -> RenderedSet:
    """People in the rest pose, upright, before a picture without edges."""
    rotvecs = torch.zeros(num, 24, 3)
    rotmats = rotvec_to_rotmat(rotvecs)
    vertices, joints = body(torch.zeros(num, 10), rotmats[:, 1:], rotmats[:, 0])
    keypoints = half_turn_x(body.coco_joints(vertices, joints))
    joints2d = normalised_to_pixels(project_weak_perspective(keypoints, camera), 256)
    nowhere = torch.zeros(num, 17, dtype=torch.bool)
    return RenderedSet(
        edges=torch.zeros(num, 128, 128, dtype=torch.uint8),
        joints2d=joints2d, outside=nowhere, hidden=nowhere, rotvecs=rotvecs,
        betas=torch.zeros(num, 10),
    )  # fmt: skip


def test_a_weak_perspective_camera_is_found_again() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(4, 17, 3, generator=generator)
    camera = torch.tensor([[0.9, 0.1, -0.3]]).expand(4, 3)
    seen = project_weak_perspective(half_turn_x(points), camera)
    torch.testing.assert_close(fitted_camera(points, seen), camera)


def test_the_sheet_shows_the_true_body_where_it_was_seen(body: Body) -> None:
    people = _standing(body, 3, torch.tensor([0.8, 0.0, 0.0]))
    net = DistributionNet(NetworkConfig(input_stride=2))
    kept = torch.ones(3, 17, dtype=torch.bool)
    kept[:, 5] = False
    sheet = contact_sheet(net, body, people, people.joints2d, kept, 2)
    assert sheet.shape == (22 + 2 * 256, 6 * 256, 3)
    given, truth = sheet[22:278, :256], sheet[22:278, 256:512]
    x, y = people.joints2d[0, 5].round().int().tolist()  # the left shoulder
    assert truth[y, x].tolist() == [255, 120, 40] and given[y, x].max() == 0
    hips = people.joints2d[0, 11:13].mean(0) - torch.tensor([0.0, 12.0])
    x, y = hips.round().int().tolist()
    assert truth[y, x].min() > 30 and truth[250, 10].max() == 0  # the belly, and beside the feet
    assert sheet[278:, 768:].max() == 0  # no fourth person


def test_a_diverged_network_leaves_the_prediction_empty(body: Body) -> None:
    people = _standing(body, 1, torch.tensor([0.8, 0.0, 0.0]))
    net = DistributionNet(NetworkConfig(input_stride=2))
    torch.nn.init.constant_(net.fc1.bias, torch.nan)
    sheet = contact_sheet(net, body, people, people.joints2d, ~people.outside, 2)
    assert sheet[22:, 256:512].max() > 0 and sheet[22:, 512:768].max() == 0
