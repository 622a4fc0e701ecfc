from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from hierprob3d.configs.synthetic_people import BackgroundConfig
from hierprob3d.configs.training import DataConfig, TrainConfig
from hierprob3d.configs.training_phases import OptimiserConfig
from hierprob3d.training.people import people_source
from hierprob3d.training.people.people_source import (
    EndlessSource,
    RenderedSource,
    training_source,
    validation_source,
)
from hierprob3d.training.people.rendered_people import RenderedSet
from hierprob3d.training.poses.pose_sampler import PoseSampler, PoseSamplerConfig
from hierprob3d.training.run.distributed import Ranks

CPU = torch.device("cpu")


def numbered(num: int) -> RenderedSet:
    """People whose first beta is their number."""
    betas = torch.zeros(num, 10)
    betas[:, 0] = torch.arange(num)
    flags = torch.zeros(num, 17, dtype=torch.bool)
    return RenderedSet(
        edges=torch.zeros(num, 2, 2, dtype=torch.uint8), joints2d=torch.zeros(num, 17, 2),
        outside=flags, hidden=flags, rotvecs=torch.zeros(num, 24, 3), betas=betas,
    )  # fmt: skip


def test_an_epoch_of_rendered_people_has_each_once_in_another_order() -> None:
    source = RenderedSource(numbered(11), batch_size=3, seed=0)
    assert source.steps_per_epoch == 3
    orders = [
        torch.cat([source.batch(epoch, step).betas[:, 0] for step in range(3)]).tolist()
        for epoch in (0, 1)
    ]
    assert all(len(set(order)) == 9 for order in orders) and orders[0] != orders[1]
    again = RenderedSource(numbered(11), batch_size=3, seed=0).batch(1, 2)
    assert again.betas[:, 0].tolist() == orders[1][6:]


def test_less_than_a_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer than one batch of 64"):
        RenderedSource(numbered(11), batch_size=64, seed=0)


@pytest.fixture(scope="module")
def config(pose_file: Path) -> TrainConfig:
    data = DataConfig(
        online=True, train_poses=str(pose_file), num_shards=3,
        background_look=BackgroundConfig(num_drawn=2),
    )  # fmt: skip
    return TrainConfig(data=data, optimiser=OptimiserConfig(batch_size=2))


@pytest.fixture
def endless(config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EndlessSource:
    """Six people an epoch, in three batches."""
    monkeypatch.setattr(people_source, "SHARD_SIZE", 2)
    monkeypatch.setattr(people_source, "_NUM_POSES", 64)
    source = training_source(config, tmp_path / "train", CPU, Ranks())
    assert isinstance(source, EndlessSource)
    return source


def test_endless_people_are_new_at_every_step_and_the_same_again(endless: EndlessSource) -> None:
    assert endless.steps_per_epoch == 3
    steps = [(epoch, within) for epoch in (0, 1) for within in range(3)]
    batches = {step: endless.batch(*step) for step in steps}
    assert all(len(batch) == 2 and batch.stride == 2 for batch in batches.values())
    betas = torch.cat([batch.betas[:, 0] for batch in batches.values()])
    assert len(betas.unique()) == 12
    for step in ((0, 1), (1, 2)):  # out of order, as after a resume
        again = endless.batch(*step)
        assert torch.equal(again.edges, batches[step].edges)
        assert torch.equal(again.joints2d, batches[step].joints2d)


def test_each_process_makes_its_batches_of_the_same_people(
    endless: EndlessSource, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [endless.batch(0, within) for within in range(3)]
    for rank in range(2):

        def gather(self: Ranks, tensor: torch.Tensor) -> list[torch.Tensor]:
            others = [torch.zeros_like(tensor)] * self.size
            return [*others[: self.rank], tensor, *others[self.rank + 1 :]]

        monkeypatch.setattr(Ranks, "gather", gather)
        source = training_source(config, tmp_path / "train", CPU, Ranks(rank, 2))
        shared = [source.batch(0, within) for within in range(3)]
        own = [torch.equal(a.joints2d, b.joints2d) for a, b in zip(alone, shared, strict=True)]
        assert own == ([True, False, True] if rank == 0 else [False, True, False])


def test_a_batch_alone_is_made_when_it_is_asked_for(
    endless: EndlessSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    render = people_source.render_people
    monkeypatch.setattr(
        people_source, "render_people",
        lambda *args: made.append(args[2]) or render(*args),
    )  # fmt: skip
    endless.batch(0, 1)
    endless.batch(0, 1)
    assert made == [2]


def test_an_epoch_can_show_each_pose_once(config: TrainConfig, tmp_path: Path) -> None:
    data = dataclasses.replace(
        config.data, recombine_poses=False, each_pose_once=True, online_validation=True,
        val_poses=config.data.train_poses,
    )  # fmt: skip
    optimiser = dataclasses.replace(config.optimiser, batch_size=6)
    config = dataclasses.replace(config, data=data, optimiser=optimiser)
    source = training_source(config, tmp_path / "train", CPU, Ranks())
    held_back = validation_source(config, tmp_path / "val", CPU)
    poses = PoseSampler(data.train_poses, PoseSamplerConfig(recombine=False)).poses
    assert source.steps_per_epoch == held_back.steps_per_epoch == len(poses) // 6 == 3
    shown = [
        torch.cat([one.batch(epoch, step).rotvecs for step in range(3)]).flatten(1)
        for one, epoch in ((source, 0), (source, 1), (held_back, 0))
    ]
    for some in shown:
        assert len(some.unique(dim=0)) == 18
        assert all((poses.flatten(1) == pose).all(1).any() for pose in some)
    assert not torch.equal(shown[0], shown[1]) and not torch.equal(shown[0], shown[2])
    batch = source.batch(1, 0)
    assert batch.edges.dtype == torch.float32
    # Stored pictures, in bytes, may stand beside them in one sheet.
    stored = dataclasses.replace(batch, edges=(batch.edges * 64).round().byte())
    joined = RenderedSet.joined([batch, stored]).edge_strength()
    torch.testing.assert_close(joined[:6], joined[6:], atol=1 / 128, rtol=0)


def test_many_poses_are_known_beforehand(endless: EndlessSource) -> None:
    assert RenderedSource(numbered(11), 3, 0).rotvecs.shape == (11, 24, 3)
    assert len(endless.rotvecs.flatten(1).unique(dim=0)) > 20
    assert torch.equal(endless.rotvecs, endless.rotvecs)


def test_endless_people_are_described_and_not_mixed(config: TrainConfig, tmp_path: Path) -> None:
    training_source(config, tmp_path, CPU, Ranks())
    description = json.loads((tmp_path / "description.json").read_text())
    assert description["online"] and description["textures"] == "drawn"
    assert description["background_look"]["num_drawn"] == 2
    with pytest.raises(ValueError, match="other settings"):
        training_source(dataclasses.replace(config, seed=4), tmp_path, CPU, Ranks())
