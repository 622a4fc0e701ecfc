from __future__ import annotations

from hierprob3d.configs.training import TrainConfig
from hierprob3d.configs.training_phases import OptimiserConfig, PhaseConfig
from hierprob3d.training.learning.schedule import Schedule


def test_people_of_the_steps_done_are_counted_by_phase() -> None:
    config = TrainConfig(
        phases=(PhaseConfig(epochs=2, stride=4), PhaseConfig(epochs=1, stride=4, bare_people=5)),
        optimiser=OptimiserConfig(batch_size=8),
    )
    schedule = Schedule(config, steps_per_epoch=10)
    assert len(schedule) == 30
    assert schedule.people(0) == (0, 0)
    assert schedule.people(20) == (160, 0)
    assert schedule.people(23) == (184, 15)
    assert schedule.people(30) == (240, 50)


def test_steps_know_their_epoch_and_phase() -> None:
    config = TrainConfig(phases=(PhaseConfig(epochs=1, stride=4), PhaseConfig(epochs=1, stride=2)))
    steps = list(Schedule(config, steps_per_epoch=2).steps(1))
    assert [(s.number, s.epoch, s.within) for s in steps] == [(1, 0, 1), (2, 1, 0), (3, 1, 1)]
    assert [s.begins_phase for s in steps] == [False, True, False]
    assert [s.ends_epoch for s in steps] == [True, False, True]
    assert len({s.seed for s in steps}) == 3
