"""A training that is killed, stopped, or finds the disk full goes on as if nothing had been."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from hierprob3d.configs.training import TrainConfig
from hierprob3d.configs.training_phases import PhaseConfig
from hierprob3d.model.files.weight_files import read_torch_checkpoint
from hierprob3d.model.network.checkpoints import load_distribution_net
from hierprob3d.training.train import train
from tests.training.loss_weights import NO_LOSS

Losses = Callable[[Path], list[float]]
NearlyFullDisk = Callable[[int], AbstractContextManager[None]]


class _Killed(Exception):
    pass


def _kill() -> None:
    raise _Killed


def test_a_killed_run_resumes_with_the_same_losses(
    undisturbed: Path,
    tiny_config: TrainConfig,
    run_folder: Path,
    before_step: Callable,
    losses: Losses,
) -> None:
    before_step(5, _kill)  # counted from 0; the last state is that after step 3
    with pytest.raises(_Killed):
        train(tiny_config, run_folder)
    train(tiny_config, run_folder)
    assert losses(run_folder) == losses(undisturbed)


def test_a_killed_run_of_the_keypoint_branch_resumes_with_the_same_losses(
    tiny_config: TrainConfig, rendered: Path, tmp_path: Path, before_step: Callable, losses: Losses
) -> None:
    first = PhaseConfig(epochs=1, stride=4, lift_only=True, readout=1.0, loss=NO_LOSS)
    phases = (first, dataclasses.replace(tiny_config.phases[1], bare_people=0))
    config = dataclasses.replace(tiny_config, phases=phases, keypoint_lift=True, save_every=2)
    whole, killed = (shutil.copytree(rendered, tmp_path / name) for name in ("whole", "killed"))
    train(config, whole)
    before_step(5, _kill)  # the last state is that after step 4, in the phase with the encoder
    with pytest.raises(_Killed):
        train(config, killed)
    train(config, killed)
    assert losses(killed) == losses(whole) and losses(whole)[-1] != 0
    net = read_torch_checkpoint(killed / "state.pt")["learners"]["net"]
    assert net["encoder_gain"].any()  # the encoder has joined in


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_saves_and_ends(
    number: signal.Signals,
    code: int,
    tiny_config: TrainConfig,
    run_folder: Path,
    before_step: Callable,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    config = dataclasses.replace(tiny_config, save_every=1000)
    before_step(2, lambda: os.kill(os.getpid(), number))
    assert train(config, run_folder) == code
    assert f"stopped after step 3 of 6 ({number.name}): the same command goes on" in caplog.text
    assert read_torch_checkpoint(run_folder / "state.pt")["step"] == 3


def test_a_run_saves_and_ends_when_its_time_is_over(
    tiny_config: TrainConfig,
    run_folder: Path,
    before_step: Callable,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    now = [0.0]
    monkeypatch.setattr(
        "hierprob3d.training.run.stopping.time", SimpleNamespace(monotonic=lambda: now[0])
    )
    config = dataclasses.replace(tiny_config, max_minutes=9.5)
    before_step(1, lambda: now.append(now.pop() + 600))
    assert train(config, run_folder) == 0
    assert "stopped after step 2 of 6 (max_minutes=9.5)" in caplog.text
    assert read_torch_checkpoint(run_folder / "state.pt")["step"] == 2


def test_scale_and_parts_survive_a_stop(
    tiny_config: TrainConfig, run_folder: Path, before_step: Callable, tmp_path: Path,
    losses: Losses,
) -> None:  # fmt: skip
    whole = Path(shutil.copytree(run_folder, tmp_path / "whole"))
    optimiser = dataclasses.replace(tiny_config.optimiser, accumulate=2)
    config = dataclasses.replace(
        tiny_config, precision="fp16", optimiser=optimiser, phases=tiny_config.phases[1:]
    )
    train(config, whole)
    before_step(1, lambda: os.kill(os.getpid(), signal.SIGTERM))
    train(config, run_folder)
    train(config, run_folder)
    assert losses(run_folder) == losses(whole)
    states = [read_torch_checkpoint(folder / "state.pt") for folder in (run_folder, whole)]
    scalers = [state["learners"]["scaler"] for state in states]
    # The first scale is too high for the first step, which is left out.
    assert scalers[0] == scalers[1] and scalers[0]["scale"] < 2**16


def test_rendering_ends_between_shards_when_its_time_is_over(
    tiny_config: TrainConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    hasty = dataclasses.replace(tiny_config, max_minutes=0.0)
    assert train(hasty, tmp_path) == 0
    assert "stopped while rendering (max_minutes=0)" in caplog.text
    assert not list(tmp_path.rglob("*.npz"))


def test_a_full_disk_keeps_what_was_saved(
    tiny_config: TrainConfig,
    run_folder: Path,
    before_step: Callable,
    nearly_full_disk: NearlyFullDisk,
) -> None:
    with ExitStack() as stack:
        before_step(3, lambda: stack.enter_context(nearly_full_disk(100_000)))
        with pytest.raises(OSError, match="cannot save .*before is kept"):
            train(tiny_config, run_folder)
    assert not list(run_folder.rglob("*.tmp"))
    load_distribution_net(run_folder / "weights")  # those of the first epoch
    assert read_torch_checkpoint(run_folder / "state.pt")["step"] == 3
