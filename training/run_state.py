"""What a training run leaves on disk to go on from: the state of a step, and the log."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

_logger = logging.getLogger(__name__)


class Stateful(Protocol):
    """A network, optimiser or the like."""

    def state_dict(self) -> dict[str, Any]:
        """What it must be given to go on as before."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Goes on as before."""
        ...


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

    def save(self, step: int, learners: Mapping[str, Stateful]) -> None:
        """Writes the state whole, then puts it in the place of the last one."""
        content = {
            "step": step,
            "config": self.config,
            "learners": {name: learner.state_dict() for name, learner in learners.items()},
            "best": None if self.best is None else vars(self.best),
        }
        unfinished = self.path.with_name(f"{self.path.name}.{os.getpid()}.tmp")
        try:
            torch.save(content, unfinished)
            os.replace(unfinished, self.path)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise OSError(f"cannot save {self.path}: {error}; the last state is kept") from error

    def restore(self, learners: Mapping[str, Stateful]) -> int:
        """Step to go on from, 0 for a new run; loads the state into `learners`.

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
        for name, learner in learners.items():
            learner.load_state_dict(content["learners"][name])
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
