"""One training by several processes: what each does, and that it is the same training."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
import yaml

from hierprob3d.configs.training import TrainConfig
from hierprob3d.configs.training_phases import OptimiserConfig
from hierprob3d.training.run.distributed import Ranks, joined_ranks, training_device
from hierprob3d.training.run.stopping import StopRequest
from hierprob3d.training.train import Trainer, train

Losses = Callable[[Path], list[float]]
ROOT = Path(__file__).parents[3]


def test_processes_share_the_shards() -> None:
    shards = []
    for rank in range(3):
        trainer = cast(Trainer, SimpleNamespace(ranks=Ranks(rank, 3), stop=StopRequest()))
        shards.append(list(Trainer._own_shards(trainer, 7)))
    assert shards == [[0, 3, 6], [1, 4], [2, 5]]


def _exchange(rank: int, results: Any) -> None:
    """What one of two processes sees of the other."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}
    with joined_ranks() as ranks:
        value = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[ranks.rank]
        gathered = ranks.gather(value > 1.5)
        total, mean = value.clone(), value.clone()
        ranks.sum_([total, torch.zeros(1, 3)])
        ranks.average_([mean])
        said = ranks.any(ranks.rank == 1)
        results[rank] = (total.tolist(), mean.tolist(), [g.tolist() for g in gathered], said)


def test_processes_exchange_tensors_and_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        monkeypatch.setenv("MASTER_PORT", str(free.getsockname()[1]))
    with torch.multiprocessing.Manager() as manager:
        results = manager.dict()
        torch.multiprocessing.start_processes(_exchange, (results,), nprocs=2, start_method="fork")
        expected = ([4.0, 6.0], [2.0, 3.0], [[False, True], [True, True]], True)
        assert dict(results) == {0: expected, 1: expected}


def test_a_process_without_a_gpu_of_its_own_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ValueError, match="process 2 of this machine finds 2 GPUs"):
        training_device("cuda")
    assert training_device("cpu") == torch.device("cpu")


def test_two_processes_train_as_one_in_two_parts(
    tiny_config: TrainConfig, run_folder: Path, tmp_path: Path, losses: Losses
) -> None:
    """Both normalise the same halves of each batch, so that BatchNorm makes no difference."""
    config = dataclasses.replace(tiny_config, precision="fp32", save_every=1000)
    alone = Path(shutil.copytree(run_folder, tmp_path / "alone"))
    optimiser = OptimiserConfig(batch_size=4, warmup_steps=2, accumulate=2)
    train(dataclasses.replace(config, optimiser=optimiser), alone)
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump(json.loads(json.dumps(dataclasses.asdict(config)))))
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    words += ["hierprob3d", "train", "--experiment", str(run_folder), "--config", str(settings)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, env=environment)
    assert losses(run_folder) == pytest.approx(losses(alone), rel=1e-3)
    assert losses(run_folder)[0] == pytest.approx(losses(alone)[0], rel=1e-6)
    assert len((run_folder / "log.jsonl").read_text().splitlines()) == 8  # of one process
    assert (run_folder / "checkpoints" / "epoch_001.tar").exists()
