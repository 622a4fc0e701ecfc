"""Where the training gets its people from: rendered shards, or pictures made as they are needed.

Both give the batch of any step on its own, so a resumed run sees the people of an undisturbed one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from hierprob3d.configs.training import DataConfig, TrainConfig
from hierprob3d.training.random.draws import Draws, seeded_generator
from hierprob3d.training.run.distributed import Ranks

from .people_description import describe
from .people_setup import PoseChoice, configured_people
from .rendered_people import RenderedSet
from .rendered_set import SHARD_SIZE, KeptForm, load_rendered_set, render_people
from .synthetic_pictures import SyntheticPeople

_NUM_POSES = 4096
"""Poses of endless people that stand for all."""


class PeopleSource(Protocol):
    """Batches of people by epoch and step."""

    @property
    def rotvecs(self) -> Tensor:
        """(N, 24, 3) poses of all or of many people, on the CPU."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch."""

    def batch(self, epoch: int, within: int) -> RenderedSet:
        """People of one step; `within` counts the steps of the epoch from 0."""


class RenderedSource:
    """Rendered people, in another order each epoch.

    Args:
        people: at least one batch of them.
        batch_size: people per step.
        seed: decides the orders.

    Raises:
        ValueError: there is not one batch.
    """

    def __init__(self, people: RenderedSet, batch_size: int, seed: int) -> None:
        if len(people) < batch_size:
            raise ValueError(f"{len(people)} pictures are fewer than one batch of {batch_size}")
        self.rotvecs, self.steps_per_epoch = people.rotvecs, len(people) // batch_size
        self._people, self._batch_size, self._seed = people, batch_size, seed
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.long)

    def batch(self, epoch: int, within: int) -> RenderedSet:
        """People of one step."""
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(self._seed * 1_000_003 + epoch)
            self._epoch = epoch
            self._order = torch.randperm(len(self._people), generator=generator)
        return self._people[self._order[within * self._batch_size :][: self._batch_size]]


class WholeSet:
    """Rendered people, all in one batch.

    Args:
        people: they.
    """

    steps_per_epoch = 1

    def __init__(self, people: RenderedSet) -> None:
        self.people = people

    @property
    def rotvecs(self) -> Tensor:
        """(N, 24, 3) their poses."""
        return self.people.rotvecs

    def batch(self, epoch: int, within: int) -> RenderedSet:
        """All of them."""
        return self.people


@dataclass(frozen=True, kw_only=True)
class EpochOf:
    """What an epoch of endless people is.

    Attributes:
        num: people; None for as many as there are recorded poses, each pose once, in another
            order each epoch.
        batch_size: people per step; what is left of them is left out.
        seed: decides all of them.
    """

    num: int | None
    batch_size: int
    seed: int


class EndlessSource:
    """New people at every step, made on the device of their body.

    As many batches as the run has processes are made at a time, each by one process for all of
    them, so that more processes make more people and still all see the same.

    Args:
        people: where they come from.
        form: how they are kept.
        epoch: what an epoch is.
        ranks: this process among those of the run.

    Raises:
        ValueError: an epoch has not one batch.
    """

    def __init__(
        self, people: SyntheticPeople, form: KeptForm, epoch: EpochOf, ranks: Ranks
    ) -> None:
        self._num_poses = len(people.poses.poses)
        num = self._num_poses if epoch.num is None else epoch.num
        if num < epoch.batch_size:
            raise ValueError(f"{num} pictures are fewer than one batch of {epoch.batch_size}")
        self.steps_per_epoch = num // epoch.batch_size
        self._source, self._form, self._epoch, self._ranks = people, form, epoch, ranks
        self._batches: dict[tuple[int, int], RenderedSet] = {}

    @property
    def rotvecs(self) -> Tensor:
        """(N, 24, 3) poses as people have them."""
        draws = Draws(seeded_generator(self._source.body.faces.device, self._epoch.seed))
        return self._source.poses.sample(draws, _NUM_POSES).cpu()

    def batch(self, epoch: int, within: int) -> RenderedSet:
        """People of one step."""
        if (epoch, within) not in self._batches:
            self._batches = self._render_for_all(epoch, within - within % self._ranks.size)
        return self._batches[epoch, within]

    def _render_for_all(self, epoch: int, first: int) -> dict[tuple[int, int], RenderedSet]:
        """As many batches as there are processes, of which each makes one."""
        own = vars(self._render(epoch, first + self._ranks.rank))
        gathered = {name: self._ranks.gather(value) for name, value in own.items()}
        return {
            (epoch, first + rank): RenderedSet(**{name: v[rank] for name, v in gathered.items()})
            for rank in range(self._ranks.size)
        }

    def _render(self, epoch: int, within: int) -> RenderedSet:
        generator = seeded_generator(
            self._source.body.faces.device, self._epoch.seed, epoch, within
        )
        size = self._epoch.batch_size
        rows = self._order(epoch).roll(-within * size)[:size] if self._epoch.num is None else None
        return render_people(self._source, generator, size, self._form, rows)

    def _order(self, epoch: int) -> Tensor:
        """Numbers of all poses, in the order of an epoch."""
        generator = seeded_generator("cpu", self._epoch.seed, epoch)
        return torch.randperm(self._num_poses, generator=generator)


def training_source(
    config: TrainConfig, folder: Path, device: torch.device, ranks: Ranks
) -> PeopleSource:
    """The source of a run's training people.

    Args:
        config: the run.
        folder: of the training pictures: shards, or for endless people their description only.
        device: where endless people are made.
        ranks: this process among those of the run.

    Raises:
        FileNotFoundError: there are no shards.
        ValueError: the folder belongs to other pictures, or there is not one batch.
    """
    data, batch_size = config.data, config.optimiser.batch_size
    if not data.online:
        people = load_rendered_set(folder, data.num_shards)
        return RenderedSource(people, batch_size, config.seed)
    poses, num = PoseChoice.for_training(data), data.num_shards * SHARD_SIZE
    return _endless_source(config, data, poses, folder, (num, config.seed), device, ranks)


def validation_source(
    config: TrainConfig, folder: Path, device: torch.device | str
) -> PeopleSource:
    """The source of a run's held-back people; arguments and errors likewise."""
    data = config.data
    if not data.online_validation:
        return WholeSet(load_rendered_set(folder, data.num_val_shards))
    poses, num = PoseChoice.for_validation(data), data.num_val_shards * SHARD_SIZE
    look = data.for_validation()
    return _endless_source(config, look, poses, folder, (num, config.seed + 1), device, Ranks())


def _endless_source(
    config: TrainConfig,
    look: DataConfig,
    poses: PoseChoice,
    folder: Path,
    num_and_seed: tuple[int, int],
    device: torch.device | str,
    ranks: Ranks,
) -> EndlessSource:
    num, seed = num_and_seed
    source = configured_people(look, poses, device)
    describe(folder, source, look, poses, seed)
    epoch = EpochOf(
        num=None if look.each_pose_once else num, batch_size=config.optimiser.batch_size, seed=seed
    )
    form = KeptForm(look.stored_stride, look.proxy, in_bytes=False)
    return EndlessSource(source, form, epoch, ranks)
