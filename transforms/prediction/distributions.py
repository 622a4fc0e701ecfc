"""Stages `distribution` and `body`: what the network says of each person, and the mode's body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import torch
from torch import Tensor

from hierprob3d.model.body.self_intersection import self_intersection
from hierprob3d.model.body.skeleton import MEASUREMENT_NAMES
from hierprob3d.model.estimate.body_samples import BodyParameters, PersonParameters, mode_of
from hierprob3d.model.estimate.uncertainty import fit_to_keypoints
from hierprob3d.model.network.device_batches import in_batches, on_device
from hierprob3d.model.network.distribution_net import DistributionNet, NetOutput
from hierprob3d.model.network.lift_net import LiftNet
from hierprob3d.model.picture.cameras import full_frame_translation, half_turn_x, project_body
from hierprob3d.model.rotation.matrix_fisher import MatrixFisher
from hierprob3d.transforms.batch.isolation import Columns, People
from hierprob3d.transforms.batch.models import Models
from hierprob3d.transforms.inputs.items import Frame
from hierprob3d.transforms.tables.schema import std_name

from .full_frame import IMAGE_SIZE, full_frame_columns, view_columns
from .lift_inputs import lift_input
from .proxies import PROXY

DISTRIBUTION = "distribution"
BODY = "body"
MAY_BE_NAN = ("reprojection_px",)
"""A person without a visible keypoint has no reprojection error."""


def predict_distributions(
    people: People, net: DistributionNet | LiftNet, batch_size: int
) -> Columns:
    """Columns of the network's output, and each joint's angular spread in degrees."""
    outputs = _outputs(people, net, batch_size)
    names = ["pose_F", "pose_mode", "shape_mean", "shape_std", "global_rotmat", "camera"]
    if net.config.global_spread:
        names.append("global_F")
    columns = {name: torch.cat([getattr(out, name) for out in outputs]) for name in names}
    spread = MatrixFisher(columns["pose_F"]).angular_spread_deg()
    return columns | {"pose_spread_deg": spread.float()}


def _outputs(people: People, net: DistributionNet | LiftNet, batch_size: int) -> list[NetOutput]:
    """What the network says of the people, batch by batch."""
    if isinstance(net, LiftNet):
        return [net(lift_input(people))]

    def run(part: Tensor) -> NetOutput:
        return net(on_device(part, part.device, torch.channels_last))

    return in_batches(run, (people.columns[PROXY],), batch_size)


def place_modes(
    people: People,
    frames: Sequence[Frame],
    models: Models,
    focal_px: float | None,
    intersections: bool = False,
) -> Columns:
    """Columns of the mode's body: mesh and joints, their place in the picture, measurements.

    Args:
        people: With the columns of the distribution.
        frames: Decoded ones, by the column `frame`.
        models: Body model and visibility threshold.
        focal_px: See `full_frame.full_frame_columns`.
        intersections: Whether to tell how deep it intersects itself.
    """
    found = full_frame_columns(people, frames, models, focal_px)
    for columns_of in (_mode_columns, view_columns, _measurements):
        so_far = People(people.items, people.person_indices, people.columns | found)
        found |= columns_of(so_far, models)
    if intersections:
        found["self_intersection_m"] = self_intersection(people.columns["pose_mode"])
    return found


def _mode_columns(people: People, models: Models) -> Columns:
    return place_bodies(people, models, mode_of(person_parameters(people)))


def place_bodies(people: People, models: Models, bodies: BodyParameters) -> Columns:
    """Columns of one body of each person: mesh and joints, and their place in the picture.

    The people have the columns of `full_frame.full_frame_columns`.
    """
    vertices, joints = models.body(bodies.betas, bodies.pose, bodies.global_rotmat)
    coco = models.body.coco_joints(vertices, joints)
    crop = people.columns["crop"].to(coco.device)
    joints2d = project_body(coco, bodies.camera, crop)
    pelvis = half_turn_x(joints[:, :1])
    return {
        "body_vertices": vertices,
        "joints3d": half_turn_x(joints) - pelvis,
        "vertices": half_turn_x(vertices) - pelvis,
        "pelvis": pelvis[:, 0],
        "joints2d": joints2d,
        "reprojection_px": _reprojection(people, joints2d, models.threshold),
        "translation": full_frame_translation(
            bodies.camera, crop, people.columns[IMAGE_SIZE], people.columns["focal_px"]
        ),
    }


def person_parameters(people: People) -> PersonParameters:
    """The distributions among the people's columns."""
    names = [field.name for field in fields(PersonParameters) if field.name in people.columns]
    return PersonParameters(**{name: people.columns[name] for name in names})


def visible_keypoints(
    people: People, threshold: float, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Keypoints (P, 17, 2) px of the picture, and which exceed the threshold (P, 17)."""
    keypoints = people.columns["keypoints"].to(device)
    return keypoints[..., :2], keypoints[..., 2] > threshold


def _reprojection(people: People, joints2d: Tensor, threshold: float) -> Tensor:
    keypoints, visible = visible_keypoints(people, threshold, joints2d.device)
    return fit_to_keypoints(joints2d[:, None], keypoints, visible, rule="mean")[:, 0]


def _measurements(people: People, models: Models) -> Columns:
    values, stds = models.measurer.measure_distribution(
        people.columns["shape_mean"], people.columns["shape_std"]
    )
    columns = {}
    for number, name in enumerate(MEASUREMENT_NAMES):
        columns[name] = values[:, number]
        columns[std_name(name)] = stds[:, number]
    return columns
