"""How far the mode is from the truth in a batch: what a log says of the training people."""

from __future__ import annotations

import torch
from torch import Tensor

from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.estimate.body_samples import Samples, pose_bodies
from hierprob3d.model.estimate.hypotheses import compared_points
from hierprob3d.model.estimate.metrics import BodyPoints, body_errors, joints2d_errors
from hierprob3d.model.network.distribution_net import NetOutput
from hierprob3d.model.picture.cameras import project_to_crop
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.training.people.rendered_people import RenderedSet

METRICS = ("MPJPE", "MPJPE-PA", "PVE", "PVE-SC", "PVE-T-SC")
_MM = 1000.0


@torch.no_grad()
def mode_errors(output: NetOutput, people: RenderedSet, body: Body) -> dict[str, Tensor]:
    """Means over people, mm, and of their keypoints in the picture, px of the 256 crop.

    They are those of `headline.headline` of the same names.

    Args:
        output: of the network.
        people: the truth.
        body: the whole body.
    """
    rotmats = rotvec_to_rotmat(people.rotvecs)
    said = (output.pose_mode, output.shape_mean, output.global_rotmat)
    mode = pose_bodies(Samples(*(value[:, None] for value in said)), body)
    true = pose_bodies(Samples(rotmats[:, None, 1:], people.betas[:, None], rotmats[:, :1]), body)
    points = compared_points(true, body)
    target = BodyPoints(points.vertices[:, 0], points.reposed[:, 0], points.joints[:, 0])
    errors = body_errors(compared_points(mode, body), target, METRICS)
    keypoints = body.coco_joints(mode.vertices, mode.joints)
    distances = joints2d_errors(project_to_crop(keypoints, output.camera[:, None]), people.joints2d)
    means = {name: _MM * values.mean() for name, values in errors.items()}
    return means | {"joints2D-L2E": distances[:, 0][~people.outside].mean()}
