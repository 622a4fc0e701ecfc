"""Where the training gets its people from: rendered shards, or pictures made as they are needed.

Both give the batch of any step on its own, so a resumed run sees the people of an undisturbed one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from hierprob3d.configs.training import TrainConfig
from hierprob3d.training.random.draws import Draws, seeded_generator
from hierprob3d.training.run.distributed import Ranks

from .people_description import describe
from .people_setup import PoseChoice, configured_people
from .rendered_people import RenderedSet
from .rendered_set import SHARD_SIZE, load_rendered_set, render_people
from .synthetic_pictures import SyntheticPeople

_BLOCK = 1024
"""Endless people are made so many at a time, or a batch if that is more, to keep a GPU busy."""

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


class EndlessSource:
    """New people at every step, made on the device of their body.

    They are made in blocks, each by one of the processes of a run for all of them, so that more
    processes make more people and still all see the same.

    Args:
        people: where they come from.
        stride: pixels of the crop averaged per stored pixel, in each direction.
        batch_size: people per step.
        num: people per epoch.
        seed: decides all of them.
        ranks: this process among those of the run.

    Raises:
        ValueError: an epoch has not one batch.
    """

    def __init__(
        self,
        people: SyntheticPeople,
        stride: int,
        batch_size: int,
        num: int,
        seed: int,
        ranks: Ranks,
    ) -> None:
        if num < batch_size:
            raise ValueError(f"{num} pictures are fewer than one batch of {batch_size}")
        self.steps_per_epoch = num // batch_size
        self._source, self._stride, self._seed, self._ranks = people, stride, seed, ranks
        self._batch_size, self._steps_per_block = batch_size, max(1, _BLOCK // batch_size)
        self._blocks: dict[tuple[int, int], RenderedSet] = {}

    @property
    def rotvecs(self) -> Tensor:
        """(N, 24, 3) poses as people have them."""
        draws = Draws(seeded_generator(self._source.body.faces.device, self._seed))
        return self._source.poses.sample(draws, _NUM_POSES).cpu()

    def batch(self, epoch: int, within: int) -> RenderedSet:
        """People of one step."""
        number, step = divmod(within, self._steps_per_block)
        if (epoch, number) not in self._blocks:
            self._blocks = self._render_for_all(epoch, number - number % self._ranks.size)
        return self._blocks[epoch, number][step * self._batch_size :][: self._batch_size]

    def _render_for_all(self, epoch: int, first: int) -> dict[tuple[int, int], RenderedSet]:
        """As many blocks as there are processes, of which each makes one."""
        own = vars(self._render(epoch, first + self._ranks.rank))
        gathered = {name: self._ranks.gather(value) for name, value in own.items()}
        return {
            (epoch, first + rank): RenderedSet(**{name: v[rank] for name, v in gathered.items()})
            for rank in range(self._ranks.size)
        }

    def _render(self, epoch: int, number: int) -> RenderedSet:
        generator = seeded_generator(self._source.body.faces.device, self._seed, epoch, number)
        num = self._batch_size * self._steps_per_block
        return render_people(self._source, generator, num, self._stride)


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
    poses = PoseChoice.for_training(data)
    source = configured_people(data, poses, device)
    describe(folder, source, data, poses, config.seed)
    num = data.num_shards * SHARD_SIZE
    return EndlessSource(source, data.stored_stride, batch_size, num, config.seed, ranks)
