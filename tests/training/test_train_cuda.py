"""The same tiny training on a GPU: in each precision, compiled, online, stopped and resumed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from hierprob3d.configs.training import TrainConfig
from hierprob3d.configs.training_phases import PhaseConfig
from hierprob3d.model.network.checkpoints import load_distribution_net
from hierprob3d.training.run.distributed import Ranks
from hierprob3d.training.train import train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

Losses = Callable[[Path], list[float]]


@pytest.fixture
def gpu_config(tiny_config: TrainConfig) -> TrainConfig:
    """Online, at all strides, with a distribution of the global rotation."""
    data = dataclasses.replace(tiny_config.data, online=True, stored_stride=1)
    phases = (
        PhaseConfig(epochs=1, stride=4, readout=1.0, bare_people=2),
        PhaseConfig(epochs=1, stride=2, num_samples=2),
        PhaseConfig(epochs=1, stride=1, num_samples=2),
    )
    return dataclasses.replace(
        tiny_config, data=data, phases=phases, global_spread=True, device="cuda"
    )


@pytest.fixture(autouse=True)
def few_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hierprob3d.training.people.rendered_set.SHARD_SIZE", 12)
    monkeypatch.setattr("hierprob3d.training.people.people_source.SHARD_SIZE", 12)


@pytest.mark.parametrize("precision", ["bf16", "fp16", "fp32"])
def test_a_run_on_a_gpu_leaves_usable_weights(
    precision: str, gpu_config: TrainConfig, tmp_path: Path, losses: Losses
) -> None:
    assert train(dataclasses.replace(gpu_config, precision=precision), tmp_path) == 0
    values = torch.tensor(losses(tmp_path))
    assert len(values) == 9 and values.isfinite().all()
    output = load_distribution_net(tmp_path / "weights")(torch.zeros(1, 18, 256, 256))
    assert output.pose_F.isfinite().all()


def test_a_compiled_run_that_is_killed_goes_on(
    gpu_config: TrainConfig, tmp_path: Path, before_step: Callable
) -> None:
    def kill() -> None:
        raise KeyboardInterrupt

    config = dataclasses.replace(gpu_config, compile_encoder=True)
    before_step(5, kill)  # counted from 0; the last state is that after step 3
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path)
    assert train(config, tmp_path) == 0
    assert load_distribution_net(tmp_path / "weights").metadata is not None


def test_numbers_of_processes_add_up_through_nccl(tmp_path: Path) -> None:
    store = f"file://{tmp_path}/store"
    dist.init_process_group("cpu:gloo,cuda:nccl", init_method=store, rank=0, world_size=1)
    try:
        ranks = Ranks(0, 2)  # of two, so that it does ask
        numbers = torch.arange(3.0, device="cuda")
        ranks.sum_([numbers])
        assert numbers.tolist() == [0, 1, 2]
        assert ranks.any(True) and not ranks.any(False)
    finally:
        dist.destroy_process_group()
