"""A training run: renders, trains, validates, saves; the same call goes on where it ended."""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from pathlib import Path

import torch

from hierprob3d.configs.training import DataConfig, TrainConfig
from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.training.assessment.validation import Validator, mean_rotmats
from hierprob3d.training.learning.batch_parts import check_batch
from hierprob3d.training.learning.learner import Learner
from hierprob3d.training.learning.losses import LossTerms
from hierprob3d.training.learning.schedule import Schedule, Step
from hierprob3d.training.people.bare_people import BarePeople
from hierprob3d.training.people.people_setup import PoseChoice, posed_people
from hierprob3d.training.people.people_source import (
    PeopleSource,
    training_source,
    validation_source,
)
from hierprob3d.training.people.rendered_people import RenderedSet
from hierprob3d.training.people.rendered_set import render_set
from hierprob3d.training.poses.pose_file import held_back, load_poses
from hierprob3d.training.random.draws import seeded_generator
from hierprob3d.training.run.distributed import Ranks, joined_ranks, training_device
from hierprob3d.training.run.paper_checkpoint import (
    PaperCheckpoint,
    find_checkpoint,
    read_paper_checkpoint,
)
from hierprob3d.training.run.run_log import TRAINING, RunLog
from hierprob3d.training.run.run_state import BestWeights, RunState
from hierprob3d.training.run.stopping import StopRequest

from .epoch_end import EpochEnd
from .provenance import code_version

_logger = logging.getLogger(__name__)


class Trainer:
    """One training run in a folder, by one of its processes.

    Args:
        config: the run.
        folder: its folder; pictures, states, logs and weights go there.
        ranks: this process among those of the run.
        stop: says when to end early.
        resume_from: epoch whose checkpoint to go on from, of this or of the paper's training.

    Raises:
        ValueError: the folder holds a run with another configuration, or the configuration does
            not fit this machine, the number of processes or its initial weights.
    """

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        ranks: Ranks,
        stop: StopRequest,
        resume_from: int | None = None,
    ) -> None:
        self.config, self.folder, self.ranks, self.stop = config, folder, ranks, stop
        self.device = training_device(config.device)
        if self.device.type == "cpu":
            torch.set_num_threads(config.num_threads)
        check_batch(config.optimiser.batch_size, ranks.size, config.optimiser.accumulate)
        self.body = load_body(config.data.body_model).to(self.device)
        self.body.h36m_joints14(self.body.v_template)  # missing ones: now, not after an epoch
        self.learner = Learner(config, self.body, self.device, ranks)
        self.state = RunState(folder / "state.pt", config, self.learner.stateful_parts())
        restored = self.state.restore(resume_from)
        self.first = restored or 0
        self.checkpoint: PaperCheckpoint | None = None
        if restored is None and resume_from is not None:
            self.checkpoint = read_paper_checkpoint(find_checkpoint(folder, resume_from))
            self.checkpoint.check_fits(self.learner.net.state_dict(), self.body.family)
        _logger.info("%s", ", ".join(f"{k} {v}" for k, v in code_version().items()))

    def render(self) -> bool:
        """Renders this process's share of what is missing; whether there was time for all."""
        render_missing(self.config, self.folder, self.device, self._own_shards)
        is_stopped = self._is_stopped()
        if is_stopped:
            self._tell_of_stop("while rendering")
        return not is_stopped

    def train(self) -> None:
        """Trains what is left; writes weights, checkpoints, log and pictures."""
        source = training_source(self.config, self.folder / "train", self.device, self.ranks)
        self.schedule = Schedule(self.config, source.steps_per_epoch)
        if self.checkpoint is not None:
            self._go_on_from(self.checkpoint)
        self.bare_people = self._bare_source()
        if self.ranks.is_first:
            self.log = RunLog(self.folder, self.config.log_tensorboard, self.first)
            self.epoch_end = self._epoch_end(source)
        self._train(source)
        self.ranks.wait()  # for the first, which may still validate
        if self.ranks.is_first:
            self.log.close()

    def _go_on_from(self, checkpoint: PaperCheckpoint) -> None:
        """Takes over network, optimiser and best weights; the first step is of the next epoch."""
        self.learner.take(checkpoint)
        self.state.resumed_from = checkpoint.epoch
        stride = float(self.schedule.phase(checkpoint.best_epoch).stride)
        score = (stride, checkpoint.metrics.get(self.config.selection_metric, math.inf))
        self.state.best = BestWeights(
            checkpoint.best_epoch, score, checkpoint.metrics, {}, checkpoint.best_model
        )
        self.first = min((checkpoint.epoch + 1) * self.schedule.steps_per_epoch, len(self.schedule))
        _logger.info("going on after epoch %d of %s", checkpoint.epoch, checkpoint.path)

    def _own_shards(self, num_shards: int) -> Iterator[int]:
        """Numbers of this process's shards, as long as it is not to stop."""
        own = range(self.ranks.rank, num_shards, self.ranks.size)
        return takewhile(lambda _: self.stop.reason is None, own)

    def _train(self, source: PeopleSource) -> None:
        """All steps that are left, or as many as there is time for."""
        self._started = time.monotonic()
        self._measured_from = self.first, self._started
        if self.state.is_epoch_open and not self._end_epoch_again(source):
            return
        if self.first == len(self.schedule):
            _logger.info("this run is finished: all %d steps are done", self.first)
        for step in self.schedule.steps(self.first):
            if step.begins_phase:
                self.learner.begin_phase()
                self._measured_from = step.number, time.monotonic()
            pictures = source.batch(step.epoch, step.within)
            terms = self.learner.learn(self._whole(pictures, step), step, len(self.schedule))
            done = step.number + 1
            if done % self.config.log_every == 0:
                self._log(terms, done)
            if step.ends_epoch:
                self._end_epoch(step, pictures)
            if self._is_over(done):
                return

    def _end_epoch(self, step: Step, pictures: RenderedSet) -> None:
        """What follows the last step of an epoch, all of it done by the first process."""
        done, is_open = step.number + 1, False
        if self.ranks.is_first:
            is_last = done == len(self.schedule)
            effort = self._effort(done)
            is_open = not self.epoch_end.finish(step, pictures, effort, is_last, self._is_asked)
        self.state.is_epoch_open = self.ranks.any(is_open)

    def _is_asked(self) -> bool:
        """Whether this process is asked to end early."""
        return self.stop.reason is not None

    def _end_epoch_again(self, source: PeopleSource) -> bool:
        """Judges the epoch that the run was stopped at the end of; whether there was time."""
        (step,) = itertools.islice(self.schedule.steps(self.first - 1), 1)
        self._end_epoch(step, source.batch(step.epoch, step.within))
        return not self._is_over(self.first)

    def _is_over(self, done: int) -> bool:
        """Saves the state where it is time to; whether the run is to end before the next step."""
        is_finished = done == len(self.schedule) and not self.state.is_epoch_open
        is_stopped = not is_finished and self._is_stopped()
        is_due = is_stopped or is_finished or done % self.config.save_every == 0
        if self.ranks.is_first and is_due:
            self.state.save(done, self._seconds())
        if is_stopped:
            self._tell_of_stop(f"after step {done} of {len(self.schedule)}")
        return is_stopped

    def _whole(self, pictures: RenderedSet, step: Step) -> RenderedSet:
        """The batch of a step: its pictures, and the bare people of its phase."""
        pictures = pictures.to(self.device)
        if self.bare_people is None or not step.phase.bare_people:
            return pictures
        generator = seeded_generator(self.device, step.seed)
        return self.bare_people.added_to(pictures, generator, step.phase.bare_people)

    def _bare_source(self) -> BarePeople | None:
        """Where bare people come from, if some phase wants any."""
        data = self.config.data
        if not any(phase.bare_people for phase in self.config.phases):
            return None
        return BarePeople(posed_people(data, PoseChoice.for_training(data), self.device))

    def _epoch_end(self, source: PeopleSource) -> EpochEnd:
        val_people = validation_source(self.config, self.folder / "val", self.device)
        validator = Validator(self.body, self.config, mean_rotmats(source.rotvecs))
        return EpochEnd(
            self.config, self.folder, self.body, self.learner, validator, val_people, self.state,
            self.log,
        )  # fmt: skip

    def _is_stopped(self) -> bool:
        """Whether some process is to end early; the same answer in all."""
        return self.ranks.any(self._is_asked())

    def _tell_of_stop(self, place: str) -> None:
        reason = self.stop.reason or "another process ends"
        _logger.info("stopped %s (%s): the same command goes on from there", place, reason)

    def _seconds(self) -> float:
        """Time that training has taken, earlier processes included."""
        return self.state.seconds + time.monotonic() - self._started

    def _effort(self, done: int) -> dict[str, float]:
        """What `done` steps took."""
        pictures, bare_people = self.schedule.people(done)
        minutes = round(self._seconds() / 60, 1)
        effort = {"steps": done, "samples": pictures + bare_people, "minutes": minutes}
        return {**effort, "bare_people": bare_people} if bare_people else effort

    def _log(self, terms: LossTerms, done: int) -> None:
        """Logs losses and errors of the whole batch, of which each process has a share.

        Phases differ in speed by up to thirty times: only the present one is measured, and the time
        left is what all that is left would take at its speed.
        """
        known = {**vars(terms), **self.learner.errors}
        values = torch.stack(list(known.values()))
        self.ranks.sum_([values])
        if not self.ranks.is_first:
            return
        first, started = self._measured_from
        seconds = time.monotonic() - started
        steps_per_s = (done - first) / seconds
        samples = sum(self.schedule.people(done)) - sum(self.schedule.people(first))
        line = {
            "step": done,
            "of": len(self.schedule),
            "samples_per_s": round(samples / seconds, 1),
            "minutes_left": round((len(self.schedule) - done) / steps_per_s / 60, 1),
        }
        losses = {name: round(v, 4) for name, v in zip(known, values.tolist(), strict=True)}
        self.log.write(TRAINING, {**line, **losses})


def train(
    config: TrainConfig,
    folder: str | Path,
    render_only: bool = False,
    resume_from: int | None = None,
) -> int:
    """Runs or resumes the training of `config` in `folder`, with the other processes of torchrun.

    Args:
        config: the run.
        folder: of the run.
        render_only: end before the first step.
        resume_from: epoch whose checkpoint in the folder to go on from; a run that did so before
            goes on from its own state.

    Returns:
        Exit code: 0 where it is finished or its time is over, 75 after SIGTERM, 130 after Ctrl-C.

    Raises:
        ValueError: the folder holds a run with another configuration.
        FileNotFoundError: poses, backgrounds or initial weights are missing.
        OSError: a file cannot be written; the last state is kept.
    """
    with joined_ranks() as ranks, StopRequest(config.max_minutes) as stop:
        trainer = Trainer(config, Path(folder), ranks, stop, resume_from)
        if trainer.render() and not render_only:
            trainer.train()
    return stop.exit_code


def render_missing(
    config: TrainConfig,
    folder: Path,
    device: torch.device | str = "cpu",
    turns: Callable[[int], Iterable[int]] = range,
) -> None:
    """Renders the shards of both sets that are not there yet.

    Args:
        config: the run.
        folder: of the run.
        device: cpu or cuda.
        turns: numbers of the shards to render, given how many there are to be.
    """
    data = config.data
    train_poses, val_poses = PoseChoice.for_training(data), PoseChoice.for_validation(data)
    sets = []
    if not data.online_validation:
        val_look = data.for_validation()
        sets.append(("val", val_look, val_poses, data.num_val_shards, config.seed + 1))
    if not data.online:
        sets.append(("train", data.for_training(), train_poses, data.num_shards, config.seed))
    _check_poses(data, train_poses, "data.train_poses=FILE.npz with poses (N, 72)")
    val_mend = "data.val_poses=FILE.npz with poses (N, 72), or data.held_back_every=16"
    _check_poses(data.for_validation(), val_poses, val_mend)
    for name, look, _, num_shards, _ in sets:
        if len(list((folder / name).glob("shard_*.npz"))) < num_shards:
            _check_sources(name, look)
    for name, look, poses, num_shards, seed in sets:
        numbers = turns(num_shards)
        render_set(folder / name, look, poses, numbers, seed, str(device), check_sources=False)


def _check_sources(of: str, look: DataConfig) -> None:
    """Finds out before hours of rendering that something to make pictures of is missing."""
    for name in ("backgrounds", "textures", "densepose_uv"):
        path = getattr(look, name)
        if path is not None and not Path(path).exists():
            raise FileNotFoundError(
                f"no {path}: correct {name} of the {of} pictures, or leave it out"
            )


def _check_poses(data: DataConfig, poses: PoseChoice, mend: str) -> None:
    """Finds out before hours of rendering that poses cannot be used, and says what to pass."""
    if not Path(poses.path).is_file():
        raise FileNotFoundError(f"no pose file {poses.path!r}; pass {mend}")
    _, clips = load_poses(poses.path, data.pose_tiers, data.pose_prefixes)
    if poses.held_back_every:
        held_back(clips, poses.held_back_every)
