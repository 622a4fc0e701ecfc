"""Shapes by what else is known of people: their silhouettes and heights.

Part of the stage `distribution`: the network's answer, made to agree.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hierprob3d.model.body.measurements import BodyMeasurer
from hierprob3d.model.estimate.known_height import shape_of_height
from hierprob3d.model.estimate.reshaped_camera import reshaped_camera
from hierprob3d.model.network.shape_net import Shape, ShapeNet
from hierprob3d.transforms.batch.isolation import Columns, People
from hierprob3d.transforms.batch.models import Models
from hierprob3d.transforms.inputs.given_people import given_to
from hierprob3d.transforms.tables.schema import SHAPE_FROM_SILHOUETTE

from .detection import KEYPOINTS, WIDTHS


def with_known_shapes(
    people: People, columns: Columns, models: Models, known_height: float | None
) -> Columns:
    """The network's columns, their shapes those of silhouettes and of known heights.

    Cameras are moved so that the joints of the mode stay where they were.

    Args:
        people: With keypoints and, where somebody looked for them, widths; their items say what a
            list gives.
        columns: Of the network.
        models: Body model and, where it belongs to the weights, the network of shapes.
        known_height: Of everybody whose height no list gives, metres.

    Returns:
        Also the column `shape_from_silhouette`.
    """
    shape = Shape(columns["shape_mean"], columns["shape_std"])
    seen = _have_widths(people, models.shape_net).to(shape.mean.device)
    if models.shape_net is not None and bool(seen.any()):
        shape = _where(seen, _of_silhouettes(people, models.shape_net), shape)
    heights = _heights(people, known_height).to(shape.mean)
    if bool(heights.isfinite().any()):
        shape = _of_heights(shape, heights, models.measurer)
    found = {
        "shape_mean": shape.mean,
        "shape_std": shape.std,
        SHAPE_FROM_SILHOUETTE.name: seen,
    }
    changed = (shape.mean != columns["shape_mean"]).any(1)
    if bool(changed.any()):
        found["camera"] = _cameras(columns, shape.mean, changed, models)
    return columns | found


def _have_widths(people: People, net: ShapeNet | None) -> Tensor:
    """(P,) bool whose shape the network of shapes can tell."""
    widths = people.columns.get(WIDTHS)
    if net is None or widths is None:
        return torch.zeros(len(people), dtype=torch.bool)
    return widths.isfinite().all(1)


def _of_silhouettes(people: People, net: ShapeNet) -> Shape:
    """Shapes by widths; those of people without are numbers without a meaning."""
    device = net.centre.device
    widths, keypoints = people.columns[WIDTHS].nan_to_num(), people.columns[KEYPOINTS]
    return net(widths.to(device), keypoints.to(device))


def _where(which: Tensor, these: Shape, others: Shape) -> Shape:
    return Shape(*(torch.where(which[:, None], a, b) for a, b in zip(these, others, strict=True)))


def _heights(people: People, known_height: float | None) -> Tensor:
    """(P,) metres; not numbers where nobody says."""
    heights = torch.full((len(people),), torch.nan if known_height is None else known_height)
    pairs = zip(people.items, people.person_indices, strict=True)
    for place, (item, index) in enumerate(pairs):
        given = given_to(item.given, index)
        if given is not None and given.height_m is not None:
            heights[place] = given.height_m
    return heights


def _of_heights(shape: Shape, heights: Tensor, measurer: BodyMeasurer) -> Shape:
    """The shapes, those of people of known height made to have it."""
    known = heights.isfinite()
    mean, std = shape.mean.clone(), shape.std.clone()
    found = shape_of_height(mean[known], std[known], heights[known], measurer)
    mean[known], std[known] = found
    return Shape(mean, std)


def _cameras(columns: Columns, betas: Tensor, changed: Tensor, models: Models) -> Tensor:
    """Cameras (P, 3) of the bodies with the betas found."""
    names = ("pose_mode", "global_rotmat", "shape_mean")
    pose, global_rotmat, before = (columns[name] for name in names)
    camera = columns["camera"]
    moved = reshaped_camera(models.body, pose, global_rotmat, before, betas, camera)
    return torch.where(changed[:, None], moved, camera)
