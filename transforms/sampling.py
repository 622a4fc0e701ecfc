"""Stage `sample`: bodies drawn from each person's distribution, and what they tell."""

from __future__ import annotations

import torch
from torch import Tensor

from configs.predict import SamplingConfig
from model.body import Body
from model.cameras import half_turn_x, project_body
from model.random_streams import RandomStreams, person_keys
from model.reconstruct import PersonParameters, draw_samples, pose_samples
from model.uncertainty import fit_to_keypoints, order_by_fit, vertex_spread
from transforms.distribution import visible_keypoints
from transforms.isolation import Columns, People
from transforms.models import Models

SAMPLE = "sample"
MAY_BE_NAN = ("samples_fit_px",)
"""A person without a visible keypoint has no fit; samples then keep the order of drawing."""

_BODIES_AT_ONCE = {"cpu": 100, "cuda": 3200}
"""Meshes posed together, by device: more need more memory (2 MB each) and are no faster."""


def sample_bodies(
    people: People, models: Models, config: SamplingConfig, keep_meshes: int = 0
) -> Columns:
    """Column vertex_spread_m and, where wanted, the samples in the order of their 2D fit.

    Args:
        people: With the columns of the distribution.
        models: Body model and visibility threshold.
        config: Number of samples, rule and seed.
        keep_meshes: Meshes of that many best samples are kept, column `sample_vertices`.
    """
    at_once = max(1, _BODIES_AT_ONCE[models.device.type] // config.num_samples)
    ordered = bool(keep_meshes) or "samples" in config.save
    drawn = _draw(people, models.device, config)
    parts = [
        _pose_some(
            drawn.select(range(start, min(start + at_once, len(drawn)))),
            models, config, keep_meshes, ordered,
        )
        for start in range(0, len(drawn), at_once)
    ]  # fmt: skip
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _draw(people: People, device: torch.device, config: SamplingConfig) -> People:
    """The people with columns drawn_pose (P, N, 23, 3, 3) and drawn_betas (P, N, 10)."""
    keys = person_keys(config.seed, [i.item_id for i in people.items], people.person_indices)
    streams = RandomStreams(keys, device)
    pose, betas = draw_samples(_parameters(people), streams, config.num_samples)
    columns = people.columns | {"drawn_pose": pose, "drawn_betas": betas}
    return People(people.items, people.person_indices, columns)


def _pose_some(
    people: People, models: Models, config: SamplingConfig, keep_meshes: int, ordered: bool
) -> Columns:
    parameters = _parameters(people)
    pose, betas = people.columns["drawn_pose"], people.columns["drawn_betas"]
    vertices, joints = _pose(parameters, pose, betas, models.body, config.paper_rule)
    columns = {"vertex_spread_m": vertex_spread(vertices)}
    if not ordered:
        return columns
    fit = _fit(people, parameters, vertices, joints, models)
    order = order_by_fit(fit)
    joints = half_turn_x(joints) - half_turn_x(joints[:, :, :1])
    if "samples" in config.save:
        columns["samples_pose"] = _reorder(pose, order)
        columns["samples_betas"] = _reorder(betas, order)
        columns["samples_joints3d"] = _reorder(joints, order)
        columns["samples_fit_px"] = _reorder(fit, order)
    if keep_meshes:
        columns["sample_vertices"] = _reorder(vertices, order[:, :keep_meshes])
    return columns


def _parameters(people: People) -> PersonParameters:
    names = (
        "pose_F", "pose_mode", "shape_mean", "shape_std", "global_rotmat", "camera", "crop",
    )  # fmt: skip
    return PersonParameters(**{name: people.columns[name] for name in names})


def _pose(
    parameters: PersonParameters, pose: Tensor, betas: Tensor, body: Body, paper_rule: bool
) -> tuple[Tensor, Tensor]:
    """Meshes (P, N, V, 3) and joints (P, N, 24, 3); the paper's rule gives all the mean shape."""
    if paper_rule:
        return body.pose(body.shape(parameters.shape_mean), pose, parameters.global_rotmat)
    return pose_samples(parameters, pose, betas, body)


def _fit(
    people: People, parameters: PersonParameters, vertices: Tensor, joints: Tensor, models: Models
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
