"""A training goes on from a checkpoint, and from the end of an epoch that it was stopped at."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hierprob3d.configs.training import TrainConfig
from hierprob3d.model.files.weight_files import read_torch_checkpoint
from hierprob3d.training.assessment.validation import Validator
from hierprob3d.training.run.run_log import VALIDATION, read_log
from hierprob3d.training.train import train

Losses = Callable[[Path], list[float]]


def test_a_checkpoint_gives_the_same_training(
    undisturbed: Path, tiny_config: TrainConfig, run_folder: Path, losses: Losses
) -> None:
    (run_folder / "checkpoints").mkdir()
    shutil.copy(undisturbed / "checkpoints" / "epoch_000.tar", run_folder / "checkpoints")
    assert train(tiny_config, run_folder, resume_from=0) == 0
    assert losses(run_folder) == losses(undisturbed)[3:]
    log = read_log(run_folder / "log.jsonl")
    assert {"PVE", "MPJPE-PA", "joints2D-L2E"} <= log[0].keys()
    before = (run_folder / "state.pt").read_bytes()
    assert train(tiny_config, run_folder, resume_from=0) == 0  # the same command again: finished
    assert (run_folder / "state.pt").read_bytes() == before
    with pytest.raises(FileNotFoundError, match="has no epoch_009.tar"):
        train(tiny_config, run_folder, resume_from=9)


def test_an_epoch_that_a_stop_left_unjudged_is_judged_first(
    undisturbed: Path, tiny_config: TrainConfig, run_folder: Path, losses: Losses,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    validate = Validator.validate

    def stopped(*arguments: Any) -> Any:
        monkeypatch.setattr(Validator, "validate", validate)
        os.kill(os.getpid(), signal.SIGTERM)
        return validate(*arguments)

    monkeypatch.setattr(Validator, "validate", stopped)
    assert train(tiny_config, run_folder) == 75
    state = read_torch_checkpoint(run_folder / "state.pt")
    assert state["step"] == 3 and state["is_epoch_open"] and not (run_folder / "weights").exists()
    assert train(tiny_config, run_folder) == 0
    assert losses(run_folder) == losses(undisturbed)
    folders = (run_folder, undisturbed)
    judged = [[line for line in read_log(f / "log.jsonl") if line["kind"] == VALIDATION]
              for f in folders]  # fmt: skip
    assert judged[0] == judged[1] and len(judged[0]) == 2
