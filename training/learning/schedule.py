"""The steps of a run: in which epoch and phase each is, and with which seed it draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hierprob3d.configs.training import TrainConfig
from hierprob3d.configs.training_phases import PhaseConfig

_SEEDS = 1_000_003
"""Steps between the seeds of two runs: runs whose seeds are neighbours share no noise."""


@dataclass(frozen=True)
class Step:
    """One step of the optimiser.

    Attributes:
        number: counted from 0 over the whole run.
        epoch: counted likewise.
        within: number of the step in its epoch.
        phase: of the epoch.
        seed: of bare people, mirror images, noise and samples.
        begins_phase: whether the step before, if any, was of another phase.
        ends_epoch: whether it is the last of its epoch.
    """

    number: int
    epoch: int
    within: int
    phase: PhaseConfig
    seed: int
    begins_phase: bool
    ends_epoch: bool


class Schedule:
    """All steps of a run.

    Args:
        config: the run.
        steps_per_epoch: batches of an epoch.
    """

    def __init__(self, config: TrainConfig, steps_per_epoch: int) -> None:
        self._seed = config.seed
        self.steps_per_epoch = steps_per_epoch
        """Batches of an epoch."""
        self._batch_size, self._is_bare = config.optimiser.batch_size, config.data.bare
        self._epochs = [phase for phase in config.phases for _ in range(phase.epochs)]

    def __len__(self) -> int:
        return self.steps_per_epoch * len(self._epochs)

    def phase(self, epoch: int) -> PhaseConfig:
        """Phase of an epoch; of the last for those that never come."""
        return self._epochs[min(epoch, len(self._epochs) - 1)]

    def people(self, num_steps: int) -> tuple[int, int]:
        """Pictures, and people without one, that the first `num_steps` steps learn from."""
        epochs, rest = divmod(num_steps, self.steps_per_epoch)
        bare = [phase.bare_people * self.steps_per_epoch for phase in self._epochs[:epochs]]
        if rest:
            bare.append(self._epochs[epochs].bare_people * rest)
        people = num_steps * self._batch_size
        return (0, people + sum(bare)) if self._is_bare else (people, sum(bare))

    def steps(self, first: int) -> Iterator[Step]:
        """Steps from number `first` to the last."""
        for number in range(first, len(self)):
            epoch, within = divmod(number, self.steps_per_epoch)
            phase, previous = self._epochs[epoch], self._epochs[max(epoch - 1, 0)]
            yield Step(
                number=number,
                epoch=epoch,
                within=within,
                phase=phase,
                seed=(self._seed + 1) * _SEEDS + number,
                begins_phase=within == 0 and phase != previous,
                ends_epoch=within == self.steps_per_epoch - 1,
            )
