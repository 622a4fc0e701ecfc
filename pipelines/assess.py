"""All figures of a model card: weights on held-back synthetic people and on photographs."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hierprob3d.configs.paper_training import load_train_config
from hierprob3d.configs.prediction import RefinementConfig
from hierprob3d.configs.training import DataConfig
from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.network.checkpoints import load_distribution_net, sha256_of, weights_path
from hierprob3d.model.network.device import resolve_device
from hierprob3d.model.network.distribution_net import DistributionNet
from hierprob3d.pipelines.command.usage import EXIT_DONE, UsageError
from hierprob3d.pipelines.results.photo_figures import person_fits, photo_figures, photo_markdown
from hierprob3d.pipelines.results.run_folder import RunFolder
from hierprob3d.training.assessment.assessment import assess, drawn_mean_pose, weights_mean_pose
from hierprob3d.training.assessment.assessment_report import markdown
from hierprob3d.training.assessment.evaluation_set import HELDBACK_POSES
from hierprob3d.training.people import rendered_set
from hierprob3d.training.people.people_description import DESCRIPTION_FILE
from hierprob3d.training.people.people_setup import PoseChoice

RECORD_FILE, MARKDOWN_FILE = "assessment.json", "assessment.md"
PICTURES = "pictures"
"""Folder below --output of the pictures rendered for an assessment."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `hierprob3d assess`."""
    parser.add_argument(
        "--output", required=True, metavar="DIR", help=f"{RECORD_FILE} and {MARKDOWN_FILE} go there"
    )
    parser.add_argument("--weights", metavar="PATH", help="distribution network (bundled)")
    parser.add_argument(
        "--poses", metavar="FILE", help="npz of held-back poses: data.val_poses (140 bundled ones)"
    )
    parser.add_argument(
        "--backgrounds", metavar="DIR",
        help="photographs without people: data.val_backgrounds (all are drawn)",
    )  # fmt: skip
    parser.add_argument(
        "--rendered", metavar="DIR",
        help="pictures rendered already, such as val/ of a training; then none are made",
    )  # fmt: skip
    parser.add_argument(
        "--predictions", metavar="DIR",
        help="output of `hierprob3d predict` with the same weights, for the table of photographs",
    )  # fmt: skip
    parser.add_argument(
        "--num-people", type=int, default=2048, metavar="N", help="rendered people (2048)"
    )
    parser.add_argument("--seed", type=int, default=2110, metavar="N", help="of all draws (2110)")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to compute (auto)"
    )
    parser.add_argument(
        "--config", metavar="FILE",
        help="YAML of the training: its look of the pictures and errors of keypoints are used",
    )  # fmt: skip
    parser.add_argument(
        "settings", nargs="*", metavar="name=value",
        help="settings as of `train`; data.train_poses=FILE gives the naive predictor its pose "
        "where the weights do not carry it",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Writes the figures and prints their tables; exit code 0."""
    if args.num_people < 1:
        raise UsageError(f"--num-people must be 1 or more, got {args.num_people}.")
    if args.rendered and (args.poses or args.backgrounds):
        raise UsageError("--rendered pictures have poses and backgrounds: give no others.")
    training = load_train_config(args.config, args.settings).data
    data = _held_back(args, training)
    weights = weights_path(args.weights)
    device = resolve_device(args.device)
    net = load_distribution_net(weights, device)
    record: dict[str, Any] = {
        "weights": {"name": weights.name, "sha256": sha256_of(weights)},
        "seed": args.seed,
        "keypoint_noise": asdict(data.keypoint_noise),
        "keypoint_error": RefinementConfig().keypoint_error,
    }
    if args.predictions:  # first: it takes a moment, the rest minutes
        fits = person_fits(RunFolder(args.predictions), record["weights"]["sha256"])
        record["photographs"] = photo_figures(fits)
    mean_pose = _mean_pose(net, training)
    folder = Path(args.rendered) if args.rendered else _render(args, data, net, device)
    people = rendered_set.load_rendered_set(folder)[: args.num_people]
    record["pictures"] = json.loads((folder / DESCRIPTION_FILE).read_text())
    body = load_body(data.body_model).to(device)
    noise, error = data.keypoint_noise, record["keypoint_error"]
    record["conditions"] = assess(net, body, people, mean_pose, noise, args.seed, error)
    _write(Path(args.output), record)
    return EXIT_DONE


def report(record: dict[str, Any]) -> str:
    """The record as a Markdown page."""
    weights, poses = record["weights"], record["pictures"].get("poses_sha256", "")
    parts = [
        f"# Assessment of {weights['name']}",
        f"Weights SHA-256 {weights['sha256'][:12]}..., poses SHA-256 {poses[:12]}..., seed "
        f"{record['seed']}.",
        markdown(record["conditions"]),
    ]
    if "photographs" in record:
        parts.append(photo_markdown(record["photographs"]))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _held_back(args: argparse.Namespace, training: DataConfig) -> DataConfig:
    """Settings of the held-back pictures and their keypoints, by those of the training."""
    return replace(
        training,
        val_poses=args.poses or training.val_poses or str(HELDBACK_POSES),
        held_back_every=0,
        val_backgrounds=args.backgrounds or training.val_backgrounds,
    )


def _mean_pose(net: DistributionNet, data: DataConfig) -> Tensor:
    known = weights_mean_pose(net.metadata)
    if known is not None:
        return known
    if not data.train_poses:
        raise UsageError(
            "these weights do not carry the mean training pose, which the naive predictor needs: "
            "give the training poses as data.train_poses=FILE.npz."
        )
    return drawn_mean_pose(data)


def _render(
    args: argparse.Namespace, data: DataConfig, net: DistributionNet, device: torch.device
) -> Path:
    """Folder of the pictures, rendered as the training's validation pictures are."""
    data = replace(data.for_validation(), stored_stride=net.config.input_stride)
    folder = Path(args.output) / PICTURES
    num_shards = -(-args.num_people // rendered_set.SHARD_SIZE)
    poses = PoseChoice.for_validation(data)
    rendered_set.render_set(folder, data, poses, range(num_shards), args.seed, str(device))
    return folder


def _write(output: Path, record: dict[str, Any]) -> None:
    output.mkdir(parents=True, exist_ok=True)
    text = report(record)
    (output / RECORD_FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (output / MARKDOWN_FILE).write_text(text, encoding="utf-8")
    print(text)
