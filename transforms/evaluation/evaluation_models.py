"""The dataset, network and body models of an evaluation, loaded once per process."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path

from hierprob3d.configs.evaluation import EvaluateConfig
from hierprob3d.model.body.mesh_body import Body, load_body
from hierprob3d.model.body.skeleton import ALWAYS_VISIBLE
from hierprob3d.model.network.checkpoints import (
    default_weights_path,
    load_distribution_net,
    sha256_of,
)
from hierprob3d.model.people.keypoint_estimators import MoveNetKeypoints
from hierprob3d.transforms.batch.models import resolve_device
from hierprob3d.transforms.datasets.labels import EvalDataset, VisibilityRule
from hierprob3d.transforms.datasets.pw3d import Pw3dDataset
from hierprob3d.transforms.datasets.ssp3d import Ssp3dDataset

from .evaluator import Evaluator

_LOADING = threading.Lock()


def load_evaluator(config: EvaluateConfig) -> Evaluator:
    """The evaluator of a configuration; the same object for every caller in this process.

    Raises:
        FileNotFoundError: a model file, or the regressor that MPJPE needs, is missing.
        ValueError: a file is damaged, or weights and body model do not belong together.
    """
    with _LOADING:
        return _load_evaluator(config)


def open_dataset(config: EvaluateConfig) -> EvalDataset:
    """The dataset of a configuration, its labels read and checked; see the classes for errors."""
    with _LOADING:
        return _open_dataset(config)


def visibility_rule(config: EvaluateConfig) -> VisibilityRule:
    """Which keypoints are drawn: the dataset's rule, or MoveNet's where it found them."""
    threshold = config.rules.keypoint_threshold
    always: tuple[int, ...] = ALWAYS_VISIBLE if config.rules.keeps_trunk else ()
    if config.dataset == "3dpw" and config.keypoints == "movenet":
        threshold, always = MoveNetKeypoints.visibility_threshold, MoveNetKeypoints.always_visible
    given = config.keypoint_threshold
    return VisibilityRule(threshold if given is None else given, always)


def weights_path(config: EvaluateConfig) -> Path:
    """Where the distribution network's weights lie."""
    return Path(config.weights) if config.weights else default_weights_path()


def model_hashes(config: EvaluateConfig) -> dict[str, dict[str, str]]:
    """Path and SHA-256 of the weights and of every body model."""
    files = {"weights": weights_path(config)}
    files |= {f"body_{gender}": body.path for gender, body in load_evaluator(config).bodies.items()}
    return {part: {"path": str(path), "sha256": sha256_of(path)} for part, path in files.items()}


@cache
def _load_evaluator(config: EvaluateConfig) -> Evaluator:
    genders = {"neutral", *dict(config.rules.genders).values()}
    bodies = {gender: load_body(config.body_model, gender) for gender in sorted(genders)}
    net = load_distribution_net(weights_path(config), "cpu")
    _check_bodies(config, bodies, net.body_family)
    return Evaluator(config, net, bodies, str(resolve_device(config.device)))


@cache
def _open_dataset(config: EvaluateConfig) -> EvalDataset:
    visibility = visibility_rule(config)
    if config.dataset == "3dpw":
        return Pw3dDataset(config.data, config.split, config.keypoints, config.rules, visibility)
    return Ssp3dDataset(config.data, config.rules, visibility)


def _check_bodies(config: EvaluateConfig, bodies: dict[str, Body], family: str | None) -> None:
    """The weights' family is the bodies', and all of these have the regressor of MPJPE."""
    for body in bodies.values():
        if body.family != family:
            raise ValueError(
                f"The weights {weights_path(config)} are for the body '{family}', but "
                f"--body-model {config.body_model} is '{body.family}': give weights and body model "
                "that belong together."
            )
        if config.needs_joints:
            body.h36m_joints(body.v_template)  # says which file is missing
