"""The people of every step: views with modelled errors, with real ones, and detected people."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hierprob3d.configs.keypoint_noise import KeypointNoiseConfig
from hierprob3d.configs.lift_training import LiftTrainConfig
from hierprob3d.model.body.keypoint_body import KeypointBody
from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.body.skeleton import NUM_KEYPOINTS
from hierprob3d.model.network.lift_input import LiftInput
from hierprob3d.training.look.backgrounds import Backgrounds
from hierprob3d.training.people.people_setup import uncut
from hierprob3d.training.people.synthetic_pictures import SyntheticPeople
from hierprob3d.training.poses.pose_sampler import PoseSampler, PoseSamplerConfig
from hierprob3d.training.random.draws import Draws, seeded_generator

from .detected_people import detect_people, load_detected, true_joints2d
from .lift_batch import LiftBatch, depth_missing, keypoints_missing, one_finder_missing
from .modelled_errors import modelled
from .moved_errors import RealErrors
from .point_body import PointBody
from .views import ViewSource

_HELD_BACK_BODIES = 8_192
_MOST_LOST = 0.5
_BODIES, _HELD_BACK = 1, 2
"""Streams of the run's seed, beside those of its steps."""

_logger = logging.getLogger(__name__)


class LiftPeople:
    """Batches of people by step; that of a step does not depend on the others.

    Args:
        config: the run.
        body: OpenBody.
        errors: of the detectors on rendered people; None: all errors are modelled.
        unseen: the same, of people from whom bodies are not learnt; None: `errors`.
    """

    def __init__(
        self,
        config: LiftTrainConfig,
        body: Body,
        errors: RealErrors | None,
        unseen: RealErrors | None = None,
    ) -> None:
        self.config, self.errors, self.unseen = config, errors, unseen
        self._noises = tuple(KeypointNoiseConfig.PRESETS[name] for name in config.noises)
        points = PointBody(body)

        def source(only_held_back: bool, num: int, stream: int) -> ViewSource:
            poses = pose_sampler(config, only_held_back)
            draws = Draws(seeded_generator("cpu", config.seed, stream, 0))
            return ViewSource(points, poses, config.synthesis, num, draws)

        _logger.info("making %d bodies", config.num_bodies)
        self.views = source(False, config.num_bodies, _BODIES)
        self.held_back_views = source(True, min(_HELD_BACK_BODIES, config.num_bodies), _HELD_BACK)

    def batch(self, step: int, num: int) -> LiftBatch:
        """The `num` people of a step in which bodies are learnt."""
        draws = Draws(seeded_generator("cpu", self.config.seed, step))
        return self._draw(self.views, draws, num, self.errors, self.config.detected_share)

    def spread_batch(self, step: int, num: int) -> LiftBatch:
        """The `num` people of a step in which it is learnt how sure the bodies are.

        What is known by heart teaches too much confidence: clips are those held back, errors those
        made on people kept apart, and detected people themselves are none of them.
        """
        draws = Draws(seeded_generator("cpu", self.config.seed, step))
        return self._draw(self.held_back_views, draws, num, self.unseen or self.errors, 0.0)

    def held_back(self, num: int) -> LiftBatch:
        """`num` views of people of clips that are held back, always the same."""
        draws = Draws(seeded_generator("cpu", self.config.seed, _HELD_BACK, 1))
        return self._draw(self.held_back_views, draws, num, self.errors or self.unseen, 0.0)

    def _draw(
        self,
        source: ViewSource,
        draws: Draws,
        num: int,
        errors: RealErrors | None,
        detected_share: float,
    ) -> LiftBatch:
        """People of the configured kinds; views take the place of detected ones not wanted.

        Views with modelled errors have landmarks only where no real errors are known: the depths
        of modelled ones err each by itself, and would be trusted too much.
        """
        config = self.config
        num_moved = num_detected = 0
        if errors is not None:
            num_detected = int(detected_share * num)
            num_moved = int((config.moved_share + config.detected_share) * num) - num_detected
        parts = []
        if errors is not None and num_moved:
            views = source.see(draws, num_moved)
            parts.append(LiftBatch.of(errors.moved(views, draws), views))
        if errors is not None and num_detected:
            parts.append(errors.themselves(draws, num_detected))
        if rest := num - num_moved - num_detected:
            views = source.see(draws, rest)
            seen = modelled(views, self._noises, config.exact_share, draws)
            seen = seen if errors is None else LiftInput.of_keypoints(seen.keypoints)
            parts.append(LiftBatch.of(seen, views))
        batch = LiftBatch.joined(parts).mirrored(draws.chance(0.5, num))
        return replace(batch, seen=self._with_gaps(batch.seen, draws))

    def _with_gaps(self, seen: LiftInput, draws: Draws) -> LiftInput:
        """The people, of whom some have been looked at by one finder, or lack depth or points."""
        config, num = self.config, len(seen)
        which = draws.uniform(0, 1, num)
        has_landmarks = seen.landmarks.isfinite().flatten(1).all(1)
        no_keypoints = (which < config.no_keypoints) & has_landmarks
        no_landmarks = which >= 1 - config.no_landmarks
        seen = depth_missing(seen, draws.chance(config.no_depth, num))
        share = draws.uniform(0, _MOST_LOST, num, 1) * draws.chance(config.lost_keypoints, num, 1)
        seen = keypoints_missing(seen, draws.uniform(0, 1, num, NUM_KEYPOINTS) < share)
        return one_finder_missing(seen, no_keypoints, no_landmarks)


def pose_sampler(config: LiftTrainConfig, only_held_back: bool = False) -> PoseSampler:
    """Poses and cameras of the run's people, or of those held back.

    Raises:
        FileNotFoundError, ValueError: see PoseSampler.
    """
    return PoseSampler(config.train_poses, _varied(config, only_held_back))


def _varied(config: LiftTrainConfig, only_held_back: bool) -> PoseSamplerConfig:
    look = config.synthesis
    return PoseSamplerConfig(
        tiers=config.pose_tiers,
        held_back_every=config.held_back_every,
        only_held_back=only_held_back,
        camera_pitch_std=look.camera_pitch_std,
        camera_roll_std=look.camera_roll_std,
        tumbled=look.tumbled,
        contorted=look.contorted,
    )


def _as_recorded(config: LiftTrainConfig) -> PoseSampler:
    """Held-back poses as people took them."""
    varied = _varied(config, only_held_back=True)
    plain = replace(
        varied, upper_body_swap=0.0, arm_swap=0.0, noise=0.0, tumbled=0.0, contorted=0.0
    )
    return PoseSampler(config.train_poses, plain)


def real_errors(
    config: LiftTrainConfig,
    body: Body,
    folder: Path,
    num: int,
    seed: int,
    is_stopped: Callable[[], bool],
    thunder_every: int = 1,
) -> RealErrors | None:
    """Errors of the detectors on rendered people, whom it renders where they are not there yet.

    Args:
        config: the run.
        body: OpenBody.
        folder: of what the detectors said.
        num: people rendered; 0: there are no errors.
        seed: of these people.
        is_stopped: asked between two shards; then what is there is used.
        thunder_every: see `detect_people`.

    Raises:
        FileNotFoundError, ValueError: see `write_shards`.
    """
    if not num:
        return None
    source = _pictures(config, body, pose_sampler(config))
    for _ in detect_people(folder, config, source, num, seed, thunder_every):
        if is_stopped():
            break
    return RealErrors(load_detected(folder), KeypointBody(body))


def calibration_people(
    config: LiftTrainConfig, body: Body, folder: Path, seed: int
) -> tuple[LiftBatch, LiftBatch]:
    """People of held-back clips as the detectors found them, whom it renders likewise.

    Half of their poses are recorded ones, and half varied as those of training are, which lets
    them be as hard as those of other sources.

    Returns:
        The same people twice: with thunder's keypoints alone, and with both detectors' answers.
    """
    samplers = _as_recorded(config), pose_sampler(config, only_held_back=True)
    sources = [_pictures(config, body, poses) for poses in samplers]

    def in_turns(chunk: int) -> SyntheticPeople:
        return sources[chunk // len(config.clothes) % len(sources)](chunk)

    for _ in detect_people(folder, config, in_turns, config.num_calibrated, seed):
        pass
    people = load_detected(folder)
    joints2d = true_joints2d(people, KeypointBody(body))
    alone, both = LiftInput.of_keypoints(people.thunder), LiftInput(people.rough, people.landmarks)
    truth = joints2d, people.rotmats, people.betas
    return LiftBatch(alone, *truth), LiftBatch(both, *truth)


def _pictures(
    config: LiftTrainConfig, body: Body, poses: PoseSampler
) -> Callable[[int], SyntheticPeople]:
    """By number of the chunk: people whole and in full view, or cropped and covered, in turns."""
    backgrounds = Backgrounds(config.backgrounds, config.background_look)

    def source(thickness: float, is_whole: bool) -> SyntheticPeople:
        look = replace(config.synthesis, clothes_thickness=thickness)
        return SyntheticPeople(body, poses, backgrounds, uncut(look) if is_whole else look)

    sources = [source(thick, turn % 2 == 0) for turn, thick in enumerate(config.clothes)]
    return lambda chunk: sources[chunk % len(sources)]
