"""Stage `sample`: bodies drawn from each person's distribution, and what they tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from hierprob3d.configs.prediction import SamplingConfig
from hierprob3d.model.estimate.body_samples import (
    PersonParameters,
    Samples,
    draw_samples,
    joints_of_samples,
    pose_samples,
    with_paper_rule,
)
from hierprob3d.model.estimate.intersecting_samples import intersects, redraw_intersecting
from hierprob3d.model.estimate.uncertainty import fit_to_keypoints, order_by_fit, sample_spread
from hierprob3d.model.picture.cameras import half_turn_x, project_body
from hierprob3d.model.rotation.random_streams import RandomStreams, person_keys
from hierprob3d.transforms.batch.isolation import Columns, People
from hierprob3d.transforms.batch.models import BodyModels

from .distributions import person_parameters, visible_keypoints

SAMPLE = "sample"
MAY_BE_NAN = ("samples_fit_px",)
"""A person without a visible keypoint has no fit; samples then keep the order of drawing."""

_TOLD = ("intersecting_share", "intersecting_left")
"""What drawing itself tells."""

_BODIES_AT_ONCE = {"cpu": 100, "cuda": 3200}
"""Meshes posed together, by device: more need more memory (2 MB each) and are no faster."""


@dataclass(frozen=True, kw_only=True)
class ForDrawing:
    """What only pictures need of the samples."""

    num_meshes: int = 0
    """Meshes of that many best samples are kept, column `sample_vertices`."""
    vertex_spread: bool = False
    """Whether pictures show the spread of the vertices, column `vertex_spread_m`."""


def sample_bodies(
    people: People, models: BodyModels, config: SamplingConfig, drawing: ForDrawing | None = None
) -> Columns:
    """Column joint_spread_m and, where wanted, the vertices' spread and the samples by 2D fit.

    Where wanted also how many samples intersect themselves, and others in their place.

    The spread of joints needs no mesh: without more wishes none is made.

    Args:
        people: With the columns of the distribution.
        models: Body model and visibility threshold.
        config: Number of samples, rule, seed and what is saved.
        drawing: What pictures need besides.
    """
    drawing = drawing or ForDrawing()
    at_once = max(1, _BODIES_AT_ONCE[models.device.type] // config.num_samples)
    drawn = _draw(people, models.device, config)
    parts = [
        _describe_samples(
            drawn.select(range(start, min(start + at_once, len(drawn)))),
            models, config, drawing,
        )
        for start in range(0, len(drawn), at_once)
    ]  # fmt: skip
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _draw(people: People, device: torch.device, config: SamplingConfig) -> People:
    """The people with their samples, columns drawn_pose, drawn_betas and drawn_global_rotmat.

    Where wanted also with intersecting_share and intersecting_left.
    """
    keys = person_keys(config.seed, [i.item_id for i in people.items], people.person_indices)
    streams = RandomStreams(keys, device)
    parameters = person_parameters(people)
    samples = draw_samples(parameters, streams, config.num_samples)
    told: Columns = {}
    if config.drop_intersecting:
        samples, at_first, left = redraw_intersecting(samples, parameters, streams)
        told["intersecting_left"] = left.float().mean(1)
    elif "intersections" in config.save:
        at_first = intersects(samples.pose)
    if "intersections" in config.save:
        told["intersecting_share"] = at_first.float().mean(1)
    if config.paper_rule:
        samples = with_paper_rule(samples, parameters)
    drawn = told | {f"drawn_{name}": values for name, values in samples._asdict().items()}
    return People(people.items, people.person_indices, people.columns | drawn)


def _describe_samples(
    people: People, models: BodyModels, config: SamplingConfig, drawing: ForDrawing
) -> Columns:
    drawn = _Drawn(people, models, config.paper_rule)
    joints = drawn.joints()
    columns = {"joint_spread_m": sample_spread(joints)}
    columns |= {name: people.columns[name] for name in _TOLD if name in people.columns}
    if drawing.vertex_spread or "vertex_spread" in config.save:
        columns["vertex_spread_m"] = drawn.spread()
    if not (drawing.num_meshes or "samples" in config.save):
        return columns
    fit = drawn.fit()
    order = order_by_fit(fit)
    if "samples" in config.save:
        columns["samples_pose"] = _reorder(people.columns["drawn_pose"], order)
        columns["samples_betas"] = _reorder(people.columns["drawn_betas"], order)
        columns["samples_joints3d"] = _reorder(joints, order)
        columns["samples_fit_px"] = _reorder(fit, order)
        if "global_F" in people.columns:
            drawn_rotmat = people.columns["drawn_global_rotmat"]
            columns["samples_global_rotmat"] = _reorder(drawn_rotmat, order)
    if drawing.num_meshes:
        columns["sample_vertices"] = drawn.meshes(order[:, : drawing.num_meshes])
    return columns


class _Drawn:
    """Samples of some people, posed again for every question when they are too many to be kept.

    Args:
        people: With the columns of `_draw`.
        models: Body model and visibility threshold.
        paper_rule: All samples of a person have its mean shape and the mode's global rotation.
    """

    def __init__(self, people: People, models: BodyModels, paper_rule: bool) -> None:
        self._people = people
        self._models = models
        self._paper_rule = paper_rule
        self._parameters = person_parameters(people)
        self._num_samples = people.columns["drawn_pose"].shape[1]
        at_once = max(1, _BODIES_AT_ONCE[models.device.type] // max(1, len(people)))
        numbers = torch.arange(self._num_samples, device=models.device).expand(len(people), -1)
        self._parts = numbers.split(at_once, dim=1)
        self._kept: list[tuple[Tensor, Tensor]] = []

    def spread(self) -> Tensor:
        """Mean distance (P, V) of each vertex's samples to their mean, m."""
        sums = torch.stack([vertices.sum(1) for vertices, _ in self._posed()])
        mean = sums.sum(0)[:, None] / self._num_samples
        distances = []
        for vertices, _ in self._posed():
            x, y, z = (vertices - mean).unbind(-1)
            distances.append((x * x + y * y + z * z).sqrt().sum(1))
        return torch.stack(distances).sum(0) / self._num_samples

    def fit(self) -> Tensor:
        """2D fit (P, N) of the samples in px."""
        return torch.cat(
            [
                _fit(self._people, self._parameters, vertices, joints, self._models)
                for vertices, joints in self._posed()
            ],
            dim=1,
        )

    def joints(self) -> Tensor:
        """Joints (P, N, 24, 3) from the pelvis in the camera frame, m; no mesh is made."""
        samples = Samples(*(self._people.columns[f"drawn_{name}"] for name in Samples._fields))
        joints = joints_of_samples(samples, self._models.body)
        turned = half_turn_x(joints)
        return turned - turned[:, :, :1]

    def meshes(self, numbers: Tensor) -> Tensor:
        """Meshes (P, M, V, 3) of the samples with these numbers (P, M)."""
        return _reorder(self._kept[0][0], numbers) if self._kept else self._pose(numbers)[0]

    def _posed(self) -> Iterable[tuple[Tensor, Tensor]]:
        """Meshes (P, n, V, 3) and joints (P, n, 24, 3), part by part; one part alone is kept."""
        if len(self._parts) > 1:
            return (self._pose(part) for part in self._parts)
        if not self._kept:
            self._kept = [self._pose(self._parts[0])]
        return self._kept

    def _pose(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        body, parameters = self._models.body, self._parameters
        samples = Samples(
            *(_reorder(self._people.columns[f"drawn_{name}"], numbers) for name in Samples._fields)
        )
        if self._paper_rule:  # a person has one shape: it is made once
            shaped = body.shape(parameters.shape_mean)
            return body.pose(shaped, samples.pose, parameters.global_rotmat)
        return pose_samples(samples, body)


def _fit(
    people: People,
    parameters: PersonParameters,
    vertices: Tensor,
    joints: Tensor,
    models: BodyModels,
) -> Tensor:
    """Largest distance (P, N) of each sample's joints from the visible keypoints, px."""
    coco = models.body.coco_joints(vertices, joints)
    camera, crop = parameters.camera[:, None], parameters.crop.to(coco.device)[:, None]
    joints2d = project_body(coco, camera, crop)
    keypoints, visible = visible_keypoints(people, models.threshold, coco.device)
    return fit_to_keypoints(joints2d, keypoints, visible)


def _reorder(values: Tensor, order: Tensor) -> Tensor:
    """Samples (P, N, ...) in the order (P, M) of their numbers."""
    people = torch.arange(len(values), device=values.device)[:, None]
    return values[people, order]
