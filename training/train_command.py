"""Train a distribution network on synthetic pictures; the same command resumes a killed run."""

from __future__ import annotations

import logging

from hierprob3d.configs.paper_training import load_train_config
from hierprob3d.configs.training_commands import TrainCommandConfig


def run(config: TrainCommandConfig) -> int:
    """Renders and trains; exit code 0 also where the time allowed is over."""
    import torch

    from hierprob3d.training.run.distributed import is_first_rank

    from .train import train

    level = logging.INFO if is_first_rank() else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(message)s")
    training = load_train_config(
        config.settings_file, config.all_settings, dict(config.paper_settings)
    )
    try:
        return train(training, config.experiment, config.render_only, config.resume_from_epoch)
    except torch.OutOfMemoryError as error:
        raise ValueError(
            f"the GPU has too little memory for {training.optimiser.batch_size} people in "
            f"{training.optimiser.accumulate} parts: raise optimiser.accumulate, or lower "
            f"optimiser.batch_size ({error})"
        ) from error
