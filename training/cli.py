"""Train a distribution network on synthetic pictures; the same command resumes a killed run."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from configs.loading import load_config
from configs.training import TrainConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `train`."""
    parser.add_argument(
        "--experiment", required=True, metavar="DIR",
        help="folder of the run: rendered pictures, state, log.jsonl, weights/",
    )  # fmt: skip
    parser.add_argument(
        "--config", metavar="FILE", help="YAML with settings that differ from configs/training.py"
    )
    parser.add_argument("--render-only", action="store_true", help="render the pictures and stop")
    parser.add_argument(
        "settings", nargs="*", metavar="name=value",
        help="settings, for example optimiser.lr=1e-3 data.train_poses=poses.npz",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Renders and trains; exit code 0."""
    from training.train import render_missing, train

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    config = load_config(TrainConfig, args.config, args.settings)
    if args.render_only:
        render_missing(config, Path(args.experiment))
    else:
        train(config, args.experiment)
    return 0
