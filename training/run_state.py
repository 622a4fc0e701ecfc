"""What a training run leaves on disk to go on from: the state of a step, and the log."""

from __future__ import annotations

import json
import logging
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

_logger = logging.getLogger(__name__)


@dataclass
class BestWeights:
    """The weights to keep, and how good they were."""

    epoch: int
    score: tuple[float, ...]
    """Lower is better; NaN never gets here, see `is_better`."""
    metrics: dict[str, float]
    weights: dict[str, Tensor]


def is_better(score: tuple[float, ...], best: BestWeights | None) -> bool:
    """Whether a score beats the best so far; one with a NaN never does."""
    if any(math.isnan(value) for value in score):
        return False
    return best is None or score < best.score


class RunState:
    """State file and log of a run.

    Args:
        path: state file; the log is `log.jsonl` beside it.
        config: the run's configuration, which a resumed run must share.
    """

    def __init__(self, path: Path, config: dict[str, Any]) -> None:
        self.path = path
        self.config = json.loads(json.dumps(config))
        self.best: BestWeights | None = None

    def save(
        self, step: int, net: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer
    ) -> None:
        """Writes the state whole, then puts it in the place of the last one."""
        content = {
            "step": step,
            "config": self.config,
            "net": net.state_dict(),
            "average": average.state_dict(),
            "optimiser": optimiser.state_dict(),
            "best": None if self.best is None else vars(self.best),
        }
        unfinished = self.path.with_name(f"{self.path.name}.{os.getpid()}.tmp")
        try:
            torch.save(content, unfinished)
            os.replace(unfinished, self.path)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise OSError(f"cannot save {self.path}: {error}; the last state is kept") from error

    def restore(self, net: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer) -> int:
        """Step to go on from, 0 for a new run; loads the state into the three arguments.

        Raises:
            ValueError: the state belongs to another configuration.
        """
        if not self.path.exists():
            return 0
        content = torch.load(self.path, map_location="cpu", weights_only=True)
        if content["config"] != self.config:
            raise ValueError(
                f"{self.path} belongs to a run with another configuration "
                f"({', '.join(_differences(content['config'], self.config))}); choose another "
                "--experiment or restore the configuration"
            )
        net.load_state_dict(content["net"])
        average.load_state_dict(content["average"])
        optimiser.load_state_dict(content["optimiser"])
        if content.get("best") is not None:
            self.best = BestWeights(**content["best"])
        _logger.info("going on from step %d of %s", content["step"], self.path)
        return int(content["step"])

    def log(self, values: dict[str, Any]) -> None:
        """Appends a line to log.jsonl and tells it."""
        with self.path.with_name("log.jsonl").open("a") as file:
            file.write(json.dumps(values) + "\n")
        _logger.info(" ".join(f"{name}={value}" for name, value in values.items()))


def _differences(old: Any, new: Any, name: str = "") -> list[str]:
    """Dotted names of the settings in which two configurations differ."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return [] if old == new else [name]
    names = sorted(old.keys() | new.keys())
    return [
        difference
        for key in names
        for difference in _differences(old.get(key), new.get(key), f"{name}.{key}".lstrip("."))
    ]
