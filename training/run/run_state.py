"""What a training run leaves on disk to go on from."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from hierprob3d.configs.loading import completed, stored_settings
from hierprob3d.model.files.file_errors import one_line_errors
from hierprob3d.model.files.weight_files import (
    WeightsError,
    read_torch_checkpoint,
    write_torch_checkpoint,
)

_FREE_ON_RESUME = (
    "device", "num_threads", "save_every", "log_every", "epochs_per_checkpoint", "max_minutes",
    "compile_encoder", "log_tensorboard", "contact_sheet_people", "validate_every",
    "num_validated", "num_calibrated",
)  # fmt: skip
"""Settings of which a resumed run may change: they do not decide what is learned."""

_logger = logging.getLogger(__name__)


class Stateful(Protocol):
    """Something whose state can be saved: networks, optimisers."""

    def state_dict(self) -> dict[str, Any]:
        """Its state."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Takes a state up again."""


@dataclass
class BestWeights:
    """The weights to keep, and how good they were."""

    epoch: int
    score: tuple[float, ...]
    """Lower is better; NaN never gets here, see `is_better`."""
    metrics: dict[str, float]
    effort: dict[str, float]
    """Steps, samples (bare people among them) and minutes that they took."""
    weights: dict[str, Tensor]


def is_better(
    score: tuple[float, ...],
    best: BestWeights | None,
    metrics: Mapping[str, float] | None = None,
    no_worse: Sequence[str] = (),
) -> bool:
    """Whether a score beats the best so far; one with a NaN never does.

    Args:
        score: stride of the input and validation metric, lower is better.
        best: the weights to beat.
        metrics: of the validation, and those of them that must not be worse either, unless the
            stride of the best is another.
        no_worse: names of these.
    """
    others = {name: (metrics or {})[name] for name in no_worse}
    if any(math.isnan(value) for value in (*score, *others.values())):
        return False
    if best is None or score[0] != best.score[0]:
        return best is None or score < best.score
    return score < best.score and all(
        value <= best.metrics.get(name, math.inf) for name, value in others.items()
    )


class RunState:
    """The state file of a run.

    Args:
        path: state file.
        config: the run's configuration, which a resumed run must share, but for
            settings that do not decide what is learned.
        learners: what is saved and restored, by name.
    """

    def __init__(self, path: Path, config: Any, learners: Mapping[str, Stateful]) -> None:
        self.path = path
        self._kind = type(config)
        self.config = _what_is_learned(stored_settings(config))
        self.learners = learners
        self.best: BestWeights | None = None
        self.seconds = 0.0
        """Time that the run had taken when its state was saved."""
        self.resumed_from: int | None = None
        """Epoch of the checkpoint that the run went on from, if any."""
        self.is_epoch_open = False
        """Whether the last step ended an epoch that is not judged yet."""

    def save(self, step: int, seconds: float) -> None:
        """Writes the state whole, in place of the last one.

        Raises:
            OSError: there is no room; the last state is kept.
        """
        content = {
            "step": step,
            "seconds": seconds,
            "config": self.config,
            "learners": {name: one.state_dict() for name, one in self.learners.items()},
            "best": None if self.best is None else vars(self.best),
            "resumed_from": self.resumed_from,
            "is_epoch_open": self.is_epoch_open,
        }
        write_torch_checkpoint(self.path, content)

    def restore(self, resume_from: int | None = None) -> int | None:
        """Step to go on from, the learners then being as they were; None where there is no state.

        Args:
            resume_from: a state of a run that did not go on from the checkpoint of this epoch is
                as none.

        Raises:
            WeightsError: the state is damaged, or belongs to another configuration.
        """
        if not self.path.exists():
            return None
        content = read_torch_checkpoint(self.path)
        if resume_from is not None and content.get("resumed_from") != resume_from:
            return None
        with one_line_errors(WeightsError, self.path, "is no state of this kind of training"):
            return self._take(content)

    def _take(self, content: dict[str, Any]) -> int:
        config = _what_is_learned(completed(self._kind, content["config"]))
        if config != self.config:
            raise WeightsError(
                f"{self.path} belongs to a run with another configuration "
                f"({', '.join(_differences(config, self.config))}); choose another --experiment "
                "or restore the configuration"
            )
        for name, learner in self.learners.items():
            learner.load_state_dict(content["learners"][name])
        self.seconds = content["seconds"]
        self.resumed_from = content.get("resumed_from")
        self.is_epoch_open = content.get("is_epoch_open", False)
        if content["best"] is not None:
            self.best = BestWeights(**content["best"])
        _logger.info("going on from step %d of %s", content["step"], self.path)
        return int(content["step"])


def _what_is_learned(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without those of which a resumed run may change."""
    return {name: value for name, value in settings.items() if name not in _FREE_ON_RESUME}


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
