"""Train the lift, which reads coordinates; the same command resumes a killed run."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import torch

from hierprob3d.configs.lift_training import LiftCommandConfig, LiftTrainConfig
from hierprob3d.configs.loading import build_config, read_settings, stored_settings
from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.network.checkpoints import save_distribution_net, sha256_of
from hierprob3d.model.network.network_config import WeightsMetadata
from hierprob3d.model.rotation.rotations import rotmat_to_rotvec
from hierprob3d.training.assessment.validation import MEAN_POSE, mean_rotmats
from hierprob3d.training.provenance import code_version
from hierprob3d.training.run.run_log import TRAINING, VALIDATION, RunLog
from hierprob3d.training.run.run_state import RunState
from hierprob3d.training.run.stopping import StopRequest

from .lift_batch import LiftBatch
from .lift_learner import LiftLearner
from .lift_people import LiftPeople, calibration_people, real_errors
from .lift_validation import LiftValidator
from .moved_errors import RealErrors
from .temperatures import fit_temperatures

DETECTED = "detected"
"""Folder of a run with what the detectors said of rendered people."""

UNSEEN = "unseen"
"""Folder with what they said of those whose errors teach how sure the bodies are."""

CALIBRATION = "calibration"
"""Folder with what they said of people of held-back clips."""

_THUNDER_EVERY = 4
"""Thunder takes a third of the time, and is read by half of the people at most."""

_logger = logging.getLogger(__name__)


def run(config: LiftCommandConfig) -> int:
    """Trains; exit code 0 also where the time allowed is over."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    layers = [read_settings(config.config)] if config.config else []
    training = build_config(LiftTrainConfig, layers, config.settings)
    return train_lift(training, Path(config.experiment))


def train_lift(config: LiftTrainConfig, folder: Path) -> int:
    """Runs or resumes a training in a folder.

    Returns:
        Exit code: 0 where it is finished or its time is over, 75 after SIGTERM, 130 after Ctrl-C.

    Raises:
        ValueError: the folder holds a run with another configuration, or the body is not OpenBody.
        FileNotFoundError: poses, backgrounds or initial weights are missing.
        OSError: a file cannot be written; the last state is kept.
    """
    torch.set_num_threads(config.num_threads)
    folder.mkdir(parents=True, exist_ok=True)
    with StopRequest(config.max_minutes) as stop:
        trainer = LiftTrainer(config, folder, stop)
        if stop.reason is None:
            trainer.train()
    return stop.exit_code


class LiftTrainer:
    """One training run in a folder; see `train_lift`."""

    def __init__(self, config: LiftTrainConfig, folder: Path, stop: StopRequest) -> None:
        self.config, self.folder, self.stop = config, folder, stop
        self.body = load_body(config.body_model)
        self.learner = LiftLearner(config, self.body)
        self.state = RunState(folder / "state.pt", config, self.learner.stateful_parts())
        self.first = self.state.restore() or 0
        num_detected = config.num_detected if config.steps else 0
        self.errors = self._real_errors(DETECTED, num_detected, config.seed, _THUNDER_EVERY)
        is_more = config.num_detected > 0 and stop.reason is None
        num_unseen = config.num_unseen if is_more else 0
        self.unseen = self._real_errors(UNSEEN, num_unseen, config.seed + 2)

    def train(self) -> None:
        """Trains what is left; writes weights and log."""
        config = self.config
        people = LiftPeople(config, self.body, self.errors, self.unseen)
        self.validator = LiftValidator(self.body, people.held_back(config.num_validated))
        self.log = RunLog(self.folder, tensorboard=False, step=self.first)
        self._started = time.monotonic()
        for step in range(self.first, config.num_steps):
            self._step(people, step)
            done = step + 1
            is_stopped = self.stop.reason is not None
            if is_stopped or done == config.num_steps or done % config.save_every == 0:
                self.state.save(done, self._seconds())
            if is_stopped and done < config.num_steps:
                _logger.info("stopped after step %d: the same command goes on from there", done)
                return
        self._finish(people)

    def _real_errors(
        self, name: str, num: int, seed: int, thunder_every: int = 1
    ) -> RealErrors | None:
        def is_stopped() -> bool:
            return self.stop.reason is not None

        folder = self.folder / name
        return real_errors(self.config, self.body, folder, num, seed, is_stopped, thunder_every)

    def _step(self, people: LiftPeople, step: int) -> None:
        """One step of either part of the run, and what the log says of it."""
        config, past = self.config, step - self.config.steps
        if past < 0:
            batch = people.batch(step, config.optimiser.batch_size)
            losses = self.learner.learn_bodies(batch, step)
        else:
            batch = people.spread_batch(step, config.spread_optimiser.batch_size)
            losses = self.learner.learn_spread(batch, past)
        done = step + 1
        if done % config.log_every == 0:
            minutes = round(self._seconds() / 60, 2)
            values = {name: round(float(value), 4) for name, value in losses.items()}
            self.log.write(TRAINING, {"step": done, "of": config.num_steps, "minutes": minutes,
                                      **values})  # fmt: skip
        if past < 0 and (done % config.validate_every == 0 or done == config.steps):
            found = self.validator.validate(self.learner.finished)
            self.log.write(VALIDATION, {"step": done, **found})

    def _finish(self, people: LiftPeople) -> None:
        """Fits the temperatures and writes the weights."""
        config, net = self.config, self.learner.finished
        inside: dict[str, Any] = {}
        if config.num_calibrated:
            shares = fit_temperatures(net, self._calibration_people(people), config.seed)
            names = ("inside-80% without landmarks", "inside-80% with landmarks")
            rounded = [[round(share, 3) for share in row] for row in shares.tolist()]
            inside = dict(zip(names, rounded, strict=True))
        metadata = self._metadata(people, {**self.validator.validate(net), **inside})
        save_distribution_net(net, self.folder / "weights", metadata)
        _logger.info("finished: %s", self.folder / "weights")

    def _calibration_people(self, people: LiftPeople) -> tuple[LiftBatch, LiftBatch]:
        """Held-back people without landmarks, and with them; errors are modelled if all are."""
        config = self.config
        if config.num_detected:
            return calibration_people(config, self.body, self.folder / CALIBRATION, config.seed + 1)
        batch = people.held_back(config.num_calibrated)
        return batch.without_landmarks(), batch.having_landmarks()

    def _metadata(self, people: LiftPeople, validation: dict[str, Any]) -> WeightsMetadata:
        config = self.config
        mean_pose = mean_rotmats(people.views.rotvecs.float())
        settings = stored_settings(config)
        for name in ("train_poses", "backgrounds", "initial_weights"):
            settings[name] = settings[name] and Path(settings[name]).name
        flat = rotmat_to_rotvec(mean_pose).flatten().tolist()
        assert self.body.family is not None
        return WeightsMetadata(
            body_family=self.body.family,
            sign_rule="invariant",
            global_spread=True,
            lift_width=config.width,
            lift_blocks=config.blocks,
            lift_doubt=self.learner.net.config.doubt,
            keypoint_visibility="none is left out; confidences are read on MoveNet's scale",
            provenance={
                "code": code_version(),
                "config": settings,
                "data": {
                    "poses_sha256": sha256_of(config.train_poses),
                    "body_sha256": self.body.sha256,
                    "detected_people": len(self.errors.people) if self.errors else 0,
                    "unseen_people": len(self.unseen.people) if self.unseen else 0,
                },
                "effort": {
                    "steps": config.num_steps,
                    "samples": config.steps * config.optimiser.batch_size,
                    "minutes": round(self._seconds() / 60, 1),
                },
                "validation": validation,
                MEAN_POSE: [round(value, 4) for value in flat],
            },
        )

    def _seconds(self) -> float:
        """Time that training has taken, earlier processes included."""
        return self.state.seconds + time.monotonic() - self._started
