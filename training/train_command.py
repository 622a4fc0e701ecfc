"""Train a distribution network on synthetic pictures; the same command resumes a killed run."""

from __future__ import annotations

import argparse
import logging

from hierprob3d.configs.paper_training import load_train_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `train`."""
    parser.add_argument(
        "--experiment", required=True, metavar="DIR",
        help="folder of the run: rendered pictures, state, log.jsonl, weights/",
    )  # fmt: skip
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="YAML with settings that differ from configs/training.py, or the paper's own",
    )
    parser.add_argument(
        "--max-minutes", metavar="M", type=float,
        help="save and end after so long; the same command goes on",
    )  # fmt: skip
    parser.add_argument("--render-only", action="store_true", help="render the pictures and stop")
    parser.add_argument(
        "settings", nargs="*", metavar="name=value",
        help="settings, for example optimiser.lr=1e-3 data.train_poses=poses.npz",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Renders and trains; exit code 0 also where the time allowed is over."""
    import torch

    from hierprob3d.training.run.distributed import is_first_rank

    from .train import train

    level = logging.INFO if is_first_rank() else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(message)s")
    settings = list(args.settings)
    if args.max_minutes is not None:
        settings.append(f"max_minutes={args.max_minutes}")
    config = load_train_config(args.config, settings)
    try:
        return train(config, args.experiment, args.render_only)
    except torch.OutOfMemoryError as error:
        raise ValueError(
            f"the GPU has too little memory for {config.optimiser.batch_size} people in "
            f"{config.optimiser.accumulate} parts: raise optimiser.accumulate, or lower "
            f"optimiser.batch_size ({error})"
        ) from error
