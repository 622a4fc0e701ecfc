"""All figures of a model card: weights on held-back synthetic people and on photographs."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hierprob3d.configs.paper_training import load_train_config
from hierprob3d.configs.prediction import ModelsConfig, RefinementConfig
from hierprob3d.configs.proxy_look import ProxyLook
from hierprob3d.configs.training import DataConfig
from hierprob3d.configs.training_commands import AssessConfig
from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.network.checkpoints import (
    BodyNet,
    load_distribution_net,
    sha256_of,
    weights_path,
)
from hierprob3d.model.network.device import resolve_device
from hierprob3d.pipelines.command.usage import EXIT_DONE, UsageError
from hierprob3d.pipelines.results.detector_figures import detector_figures, detector_markdown
from hierprob3d.pipelines.results.photo_figures import person_fits, photo_figures, photo_markdown
from hierprob3d.pipelines.results.run_folder import RunFolder
from hierprob3d.training.assessment.assessment import assess, drawn_mean_pose, weights_mean_pose
from hierprob3d.training.assessment.assessment_report import assessment_markdown
from hierprob3d.training.assessment.evaluation_set import HELDBACK_POSES
from hierprob3d.training.people import rendered_set
from hierprob3d.training.people.descriptions import DESCRIPTION_FILE
from hierprob3d.training.people.people_setup import PoseChoice
from hierprob3d.transforms.batch.models import BUNDLED_KEYPOINT_MODELS, Models, load_models

RECORD_FILE, MARKDOWN_FILE = "assessment.json", "assessment.md"
PICTURES = "pictures"
"""Folder below --output of the pictures rendered for an assessment."""


def run(config: AssessConfig) -> int:
    """Writes the figures and prints their tables; exit code 0."""
    training = load_train_config(config.config, config.settings).data
    data = _held_back(config, training)
    weights = weights_path(config.weights)
    device = resolve_device(config.device)
    net = load_distribution_net(weights, device)
    record: dict[str, Any] = {
        "weights": {"name": weights.name, "sha256": sha256_of(weights)},
        "seed": config.seed,
        "keypoint_noise": asdict(data.keypoint_noise),
        "keypoint_error": RefinementConfig().keypoint_error,
    }
    if config.predictions:  # first: it takes a moment, the rest minutes
        fits = person_fits(RunFolder(config.predictions), record["weights"]["sha256"])
        record["photographs"] = photo_figures(fits)
    mean_pose = _mean_pose(net, training)
    folder = Path(config.rendered) if config.rendered else _render(config, data, net, device)
    people = rendered_set.load_rendered_set(folder)[: config.num_people]
    record["pictures"] = json.loads((folder / DESCRIPTION_FILE).read_text())
    body = load_body(data.body_model).to(device)
    noise, error = data.keypoint_noise, record["keypoint_error"]
    heatmap_std = ProxyLook(**(net.metadata.proxy if net.metadata else {})).heatmap_std
    record["conditions"] = assess(
        net, body, people, mean_pose, noise, config.seed, error, heatmap_std
    )
    if config.num_detected:
        models = _detector_models(config, data)
        record["detectors"] = detector_figures(data, models, config.num_detected, config.seed)
    _write(Path(config.output), record)
    return EXIT_DONE


def report(record: dict[str, Any]) -> str:
    """The record as a Markdown page."""
    weights, poses = record["weights"], record["pictures"].get("poses_sha256", "")
    parts = [
        f"# Assessment of {weights['name']}",
        f"Weights SHA-256 {weights['sha256'][:12]}..., poses SHA-256 {poses[:12]}..., seed "
        f"{record['seed']}.",
        assessment_markdown(record["conditions"]),
    ]
    if "detectors" in record:
        parts.append(detector_markdown(record["detectors"]))
    if "photographs" in record:
        parts.append(photo_markdown(record["photographs"]))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _held_back(config: AssessConfig, training: DataConfig) -> DataConfig:
    """Settings of the held-back pictures and their keypoints, by those of the training."""
    return replace(
        training,
        val_poses=config.poses or training.val_poses or str(HELDBACK_POSES),
        held_back_every=0,
        val_backgrounds=config.backgrounds or training.val_backgrounds,
    )


def _mean_pose(net: BodyNet, data: DataConfig) -> Tensor:
    known = weights_mean_pose(net.metadata)
    if known is not None:
        return known
    if not data.train_poses:
        raise UsageError(
            "these weights do not carry the mean training pose, which the naive predictor needs: "
            "give the training poses as data.train_poses=FILE.npz."
        )
    return drawn_mean_pose(data)


def _render(config: AssessConfig, data: DataConfig, net: BodyNet, device: torch.device) -> Path:
    """Folder of the pictures, rendered as the training's validation pictures are."""
    data = replace(data.for_validation(), stored_stride=net.config.input_stride)
    folder = Path(config.output) / PICTURES
    num_shards = -(-config.num_people // rendered_set.SHARD_SIZE)
    poses = PoseChoice.for_validation(data)
    rendered_set.render_set(folder, data, poses, range(num_shards), config.seed, str(device))
    return folder


def _detector_models(config: AssessConfig, data: DataConfig) -> dict[str, Models]:
    """The models of runs with each bundled keypoint model, by its name."""
    given = ModelsConfig(weights=config.weights, body_model=data.body_model, device=config.device)
    return {
        kind: load_models(replace(given, keypoints=kind))
        for kind in sorted(BUNDLED_KEYPOINT_MODELS)
    }


def _write(output: Path, record: dict[str, Any]) -> None:
    output.mkdir(parents=True, exist_ok=True)
    text = report(record)
    (output / RECORD_FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (output / MARKDOWN_FILE).write_text(text, encoding="utf-8")
    print(text)
