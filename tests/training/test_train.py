"""A real, tiny training: rendered, trained, killed, resumed and saved."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from configs.training import DataConfig, OptimiserConfig, PhaseConfig, TrainConfig
from model.checkpoints import load_distribution_net
from model.weight_files import read_torch_checkpoint
from training import rendered_set
from training.rendered_set import load_rendered_set
from training.run_state import BestWeights, RunState, is_better
from training.train import Trainer, render_missing, train


@pytest.fixture(scope="module")
def config(pose_file: Path) -> TrainConfig:
    """Five steps of four people, the last two with samples in the loss."""
    poses = str(pose_file)
    return TrainConfig(
        data=DataConfig(train_poses=poses, val_poses=poses, num_shards=1, num_val_shards=1),
        phases=(
            PhaseConfig(epochs=1, stride=4, readout=1.0, detach_heads=True),
            PhaseConfig(epochs=1, stride=4, num_samples=2),
        ),
        optimiser=OptimiserConfig(batch_size=4, warmup_steps=2),
        device="cpu", num_threads=1, save_every=1, log_every=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def small_shards() -> None:
    patch = pytest.MonkeyPatch()
    patch.setattr(rendered_set, "SHARD_SIZE", 12)
    patch.setattr(rendered_set, "_CHUNK", 4)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def undisturbed(
    config: TrainConfig, small_shards: None, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    train(config, folder)
    return folder


def _losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line["total"] for line in lines if "total" in line]


def test_a_run_leaves_usable_weights(undisturbed: Path, config: TrainConfig) -> None:
    net = load_distribution_net(undisturbed / "weights")
    assert net.body_family == "openbody" and net.metadata.input_stride == 4
    provenance = net.metadata.provenance
    assert provenance["config"]["optimiser"]["batch_size"] == 4
    assert set(provenance["validation"]) >= {"MPJPE-PA", "PVE-T-SC", "inside-80%"}
    output = net(torch.zeros(1, 18, 256, 256))
    assert torch.isfinite(output.pose_F).all()
    assert len(_losses(undisturbed)) == 6


def test_a_killed_run_resumes_with_the_same_losses(
    undisturbed: Path, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    step = Trainer._step

    def killed_at_step_4(self: Trainer, people: object, number: int, *rest: object) -> object:
        if number == 4:
            raise Killed
        return step(self, people, number, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", killed_at_step_4)
        with pytest.raises(Killed):
            train(config, tmp_path)
    train(config, tmp_path)
    assert _losses(tmp_path) == _losses(undisturbed)


def test_the_last_checkpoint_has_the_papers_layout(undisturbed: Path) -> None:
    path = undisturbed / "checkpoints" / "epoch_001.tar"
    content = read_torch_checkpoint(path)
    assert set(content) >= {
        "epoch", "best_epoch", "best_epoch_val_metrics", "model_state_dict",
        "best_model_state_dict", "optimiser_state_dict",
    }  # fmt: skip
    net = load_distribution_net(path)
    assert net.body_family == "openbody" and net.config.sign_rule == "invariant"
    kept = load_distribution_net(undisturbed / "weights").state_dict()
    for name, value in net.state_dict().items():
        torch.testing.assert_close(kept[name], value, atol=2e-3, rtol=2e-3)  # float16 parts


def test_detached_heads_need_a_readout() -> None:
    with pytest.raises(ValueError, match="phases.readout"):
        PhaseConfig(epochs=1, detach_heads=True)


def test_nan_never_wins() -> None:
    best = BestWeights(0, (2.0, 100.0), {}, {})
    assert is_better((2.0, 90.0), best) and is_better((1.0, 500.0), best)
    assert not is_better((2.0, float("nan")), best) and not is_better((2.0, float("nan")), None)


def test_another_configuration_is_not_resumed(undisturbed: Path, config: TrainConfig) -> None:
    other = dataclasses.replace(config, optimiser=OptimiserConfig(batch_size=4, lr=0.5))
    with pytest.raises(ValueError, match="optimiser.lr"):
        train(other, undisturbed)


def test_other_pictures_are_not_mixed_in(undisturbed: Path, config: TrainConfig) -> None:
    other = dataclasses.replace(config, seed=9)
    with pytest.raises(ValueError, match="other settings"):
        render_missing(other, undisturbed)


def test_rendering_goes_on_where_it_stopped(undisturbed: Path, config: TrainConfig) -> None:
    shard = undisturbed / "train" / "shard_00000.npz"
    before = load_rendered_set(undisturbed / "train")
    shard.unlink()
    render_missing(config, undisturbed)
    after = load_rendered_set(undisturbed / "train")
    assert torch.equal(before.edges, after.edges) and torch.equal(before.betas, after.betas)


def test_a_full_disk_keeps_the_last_state(
    undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = undisturbed / "state.pt"
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    state = RunState(path, {})
    net = torch.nn.Linear(1, 1)
    with pytest.raises(OSError, match="last state is kept"):
        state.save(1, {"net": net})
    assert path.read_bytes() == before
    assert not list(undisturbed.glob("*.tmp"))


def test_too_few_pictures_are_refused(
    config: TrainConfig, small_shards: None, tmp_path: Path
) -> None:
    greedy = dataclasses.replace(config, optimiser=OptimiserConfig(batch_size=64))
    with pytest.raises(ValueError, match="fewer than one batch of 64"):
        train(greedy, tmp_path)
