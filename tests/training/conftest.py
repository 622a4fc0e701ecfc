"""A handful of poses to train on: invented, so that these tests need no data from elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hierprob3d.configs.synthetic_people import BackgroundConfig
from hierprob3d.configs.training import DataConfig, TrainConfig
from hierprob3d.configs.training_phases import OptimiserConfig, PhaseConfig
from hierprob3d.training.learning.learner import Learner
from hierprob3d.training.people import rendered_set
from hierprob3d.training.poses.joint_limits import HIGHEST, LOWEST
from hierprob3d.training.random.draws import Draws, seeded_generator
from hierprob3d.training.run.run_log import read_log
from hierprob3d.training.train import render_missing, train


@pytest.fixture(scope="session")
def pose_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 poses of 4 clips within a fifth of the joint limits, the pelvis upright."""
    rng = np.random.default_rng(0)
    low, high = np.maximum(LOWEST, -0.5) / 5, np.minimum(HIGHEST, 0.5) / 5
    poses = rng.uniform(low, high, (40, 24, 3))
    poses[:, 0] = 0
    path = tmp_path_factory.mktemp("poses") / "poses.npz"
    np.savez(
        path, poses=poses.reshape(40, 72), clip=np.arange(40) // 10, source=np.arange(40) // 20,
        source_tier=np.array(["A", "B"]),
    )  # fmt: skip
    return path


@pytest.fixture(scope="session")
def tiny_config(pose_file: Path) -> TrainConfig:
    """Six steps of four people: three to learn by the readout, three with samples in the loss
    and two bare people on top."""
    poses = str(pose_file)
    return TrainConfig(
        data=DataConfig(
            train_poses=poses, val_poses=poses, num_shards=1, num_val_shards=1,
            background_look=BackgroundConfig(num_drawn=4),
        ),
        phases=(
            PhaseConfig(epochs=1, stride=4, readout=1.0, detach_heads=True),
            PhaseConfig(epochs=1, stride=4, num_samples=2, bare_people=2),
        ),
        optimiser=OptimiserConfig(batch_size=4, warmup_steps=2),
        device="cpu", num_threads=1, save_every=3, log_every=1, log_tensorboard=False,
        contact_sheet_people=0,
    )  # fmt: skip


@pytest.fixture(scope="session")
def rendered(tiny_config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run with its pictures, 12 for training and 12 for validation, and no more."""
    folder = tmp_path_factory.mktemp("rendered")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rendered_set, "SHARD_SIZE", 12)
        patch.setattr(rendered_set, "_CHUNK", 4)
        render_missing(tiny_config, folder)
    return folder


@pytest.fixture(scope="session")
def undisturbed(
    tiny_config: TrainConfig, rendered: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Folder of a run of `tiny_config` that went through without a stop."""
    folder = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(rendered, folder, dirs_exist_ok=True)
    assert train(tiny_config, folder) == 0
    return folder


@pytest.fixture
def run_folder(rendered: Path, tmp_path: Path) -> Path:
    """Folder of a new run whose pictures are rendered."""
    return Path(shutil.copytree(rendered, tmp_path / "run"))


@pytest.fixture(scope="session")
def losses() -> Callable[[Path], list[float]]:
    """Gives the losses of all steps of a run with `log_every=1`."""

    def read(folder: Path) -> list[float]:
        return [line["total"] for line in read_log(folder / "log.jsonl") if "total" in line]

    return read


@pytest.fixture
def before_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], None]], None]:
    """Lets something happen once, before a step of the given number."""

    def arrange(number: int, happen: Callable[[], None]) -> None:
        learn = Learner.learn
        todo = [happen]

        def learn_after_it(self: Learner, people: Any, step: Any, *rest: Any) -> Any:
            if step.number == number and todo:
                todo.pop()()
            return learn(self, people, step, *rest)

        monkeypatch.setattr(Learner, "learn", learn_after_it)

    return arrange


@pytest.fixture
def draws() -> Draws:
    """Random numbers, the same in every test."""
    return Draws(seeded_generator("cpu", 0))
