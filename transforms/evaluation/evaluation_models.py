"""The dataset, network and body models of an evaluation, loaded once per process."""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path

from hierprob3d.configs.evaluation import KEYPOINTS, PROTOCOLS, EvaluateConfig
from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.body.skeleton import ALWAYS_VISIBLE
from hierprob3d.model.network.checkpoints import load_distribution_net, weights_path
from hierprob3d.model.network.device import resolve_device
from hierprob3d.model.people.hrnet_keypoints import HRNetKeypoints
from hierprob3d.model.picture.crops import BOX_SCALE_FACTOR
from hierprob3d.transforms.batch.models import (
    BUNDLED_KEYPOINT_MODELS,
    SETTINGS_KEPT,
    check_same_body,
    keypoint_estimator,
    keypoints_path,
    proxy_settings,
)
from hierprob3d.transforms.datasets.annotation_file import AnnotationDataset
from hierprob3d.transforms.datasets.labels import EvalDataset, VisibilityRule
from hierprob3d.transforms.datasets.pw3d import Pw3dDataset
from hierprob3d.transforms.datasets.ssp3d import Ssp3dDataset

from .evaluator import Evaluator

_LOADING = threading.Lock()


def load_evaluator(config: EvaluateConfig) -> Evaluator:
    """The evaluator of a configuration; the same object for all callers in this process.

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
    """Which keypoints are drawn: the dataset's rule, or that of the model that found them.

    3DPW's own rule is for HRNet's keypoints.
    """
    threshold = config.rules.keypoint_threshold
    always: tuple[int, ...] = ALWAYS_VISIBLE if config.rules.keeps_trunk else ()
    own_rule = {"3dpw": ("hrnet",), "npz": ("file",)}.get(config.dataset, KEYPOINTS)
    if config.keypoints not in own_rule:
        finder = BUNDLED_KEYPOINT_MODELS.get(config.keypoints, HRNetKeypoints)
        threshold, always = finder.visibility_threshold, finder.always_visible
    given = config.keypoint_threshold
    return VisibilityRule(threshold if given is None else given, always)


def evaluation_files(config: EvaluateConfig) -> dict[str, Path]:
    """The files that the weights and every body model are read from, by their part."""
    bodies = load_evaluator(config).bodies
    files = {f"body_{gender}": body.path for gender, body in bodies.items()}
    if config.dataset == "npz" and config.keypoints != "file":
        files["keypoints"] = keypoints_path(config.keypoints, config.keypoint_weights)
    return {"weights": weights_path(config.weights), **files}


@lru_cache(maxsize=SETTINGS_KEPT)
def _load_evaluator(config: EvaluateConfig) -> Evaluator:
    genders = {"neutral", *dict(config.rules.genders).values()}
    if config.dataset == "npz":
        genders = {"neutral", *_open_annotation_file(config).genders}
    bodies = {gender: load_body(config.body_model, gender) for gender in sorted(genders)}
    net = load_distribution_net(weights_path(config.weights), "cpu")
    proxy = proxy_settings(config.pose_shape_cfg, net)
    if proxy.box_scale != BOX_SCALE_FACTOR:
        raise ValueError(
            f"{config.pose_shape_cfg}: DATA.BBOX_SCALE_FACTOR is {BOX_SCALE_FACTOR} in an "
            f"evaluation, whose crops are the datasets', and cannot be {proxy.box_scale}."
        )
    for body in bodies.values():
        check_same_body(net, body, config.weights, config.body_model)
        if config.needs_joints:
            body.h36m_joints(body.v_template)  # says which file is missing
    return Evaluator(config, net, bodies, str(resolve_device(config.device)))


@lru_cache(maxsize=SETTINGS_KEPT)
def _open_dataset(config: EvaluateConfig) -> EvalDataset:
    visibility = visibility_rule(config)
    if config.dataset == "3dpw":
        return Pw3dDataset(config.data, config.split, config.keypoints, config.rules, visibility)
    if config.dataset == "npz":
        return _open_annotation_file(config)
    return Ssp3dDataset(config.data, config.rules, visibility)


@lru_cache(maxsize=SETTINGS_KEPT)
def _open_annotation_file(config: EvaluateConfig) -> AnnotationDataset:
    assert config.images is not None, "checked by the configuration"
    estimator = None
    if config.keypoints != "file":
        device = resolve_device(config.device)
        estimator = keypoint_estimator(config.keypoints, config.keypoint_weights, device)
    rule = visibility_rule(config)
    dataset = AnnotationDataset(config.data, config.images, config.rules, rule, estimator)
    if dataset.has_joint_truth and PROTOCOLS[config.protocol].root != "pelvis":
        raise ValueError(
            f"the truth of rows of {config.data} is joints (S), which are compared from the "
            "pelvis: give --protocol spin."
        )
    return dataset
