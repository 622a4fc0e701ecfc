"""The people of every step: views with modelled errors, with real ones, and detected people."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from hierprob3d.configs.keypoint_noise import KeypointNoiseConfig
from hierprob3d.configs.lift_training import LiftTrainConfig
from hierprob3d.configs.synthetic_people import SynthesisConfig
from hierprob3d.model.body.keypoint_body import KeypointBody
from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.network.lift_input import LiftInput
from hierprob3d.training.look.backgrounds import Backgrounds
from hierprob3d.training.people.synthetic_pictures import SyntheticPeople
from hierprob3d.training.poses.pose_sampler import PoseSampler, PoseSamplerConfig
from hierprob3d.training.random.draws import Draws, seeded_generator

from .detected_people import detect_people, load_detected, true_joints2d
from .lift_batch import LiftBatch, one_finder_missing
from .modelled_errors import modelled
from .moved_errors import RealErrors
from .point_body import PointBody
from .views import ViewSource

_HELD_BACK_BODIES = 8_192
_BODIES, _HELD_BACK = 1, 2
"""Streams of the run's seed, beside those of its steps."""

_logger = logging.getLogger(__name__)


class LiftPeople:
    """Batches of people by step; that of a step does not depend on the others.

    Args:
        config: the run.
        body: OpenBody.
        errors: of the detectors on rendered people; None: all errors are modelled.
    """

    def __init__(self, config: LiftTrainConfig, body: Body, errors: RealErrors | None) -> None:
        self.config, self.errors = config, errors
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
        return self._draw(self.views, draws, num, self.config.detected_share)

    def spread_batch(self, step: int, num: int) -> LiftBatch:
        """The `num` people of a step in which it is learnt how sure the bodies are.

        What is known by heart teaches too much confidence, so detected people are none of them; and
        so do landmarks with modelled errors, whose depths err each by itself: views have real
        errors, or keypoints alone.
        """
        draws = Draws(seeded_generator("cpu", self.config.seed, step))
        return self._draw(self.views, draws, num, 0.0, bare_models=self.errors is not None)

    def held_back(self, num: int) -> LiftBatch:
        """`num` views of people of clips that are held back, always the same."""
        draws = Draws(seeded_generator("cpu", self.config.seed, _HELD_BACK, 1))
        return self._draw(self.held_back_views, draws, num, 0.0)

    def _draw(
        self,
        source: ViewSource,
        draws: Draws,
        num: int,
        detected_share: float,
        bare_models: bool = False,
    ) -> LiftBatch:
        """People of the configured kinds; views take the place of detected ones not wanted."""
        config = self.config
        num_moved = num_detected = 0
        if self.errors is not None:
            num_detected = int(detected_share * num)
            num_moved = int((config.moved_share + config.detected_share) * num) - num_detected
        parts = []
        if self.errors is not None and num_moved:
            views = source.see(draws, num_moved)
            parts.append(LiftBatch.of(self.errors.moved(views, draws), views))
        if self.errors is not None and num_detected:
            parts.append(self.errors.themselves(draws, num_detected))
        if rest := num - num_moved - num_detected:
            views = source.see(draws, rest)
            seen = modelled(views, self._noises, config.exact_share, draws)
            seen = LiftInput.of_keypoints(seen.keypoints) if bare_models else seen
            parts.append(LiftBatch.of(seen, views))
        batch = LiftBatch.joined(parts).mirrored(draws.chance(0.5, num))
        which = draws.uniform(0, 1, num)
        has_landmarks = batch.seen.landmarks.isfinite().flatten(1).all(1)
        no_keypoints = (which < config.no_keypoints) & has_landmarks
        no_landmarks = which >= 1 - config.no_landmarks
        return replace(batch, seen=one_finder_missing(batch.seen, no_keypoints, no_landmarks))


def pose_sampler(config: LiftTrainConfig, only_held_back: bool = False) -> PoseSampler:
    """Poses and cameras of the run's people, or of those held back.

    Raises:
        FileNotFoundError, ValueError: see PoseSampler.
    """
    look = config.synthesis
    return PoseSampler(
        config.train_poses,
        PoseSamplerConfig(
            tiers=config.pose_tiers,
            held_back_every=config.held_back_every,
            only_held_back=only_held_back,
            camera_pitch_std=look.camera_pitch_std,
            camera_roll_std=look.camera_roll_std,
            tumbled=look.tumbled,
            contorted=look.contorted,
        ),
    )


def real_errors(
    config: LiftTrainConfig, body: Body, folder: Path, is_stopped: Callable[[], bool]
) -> RealErrors | None:
    """Errors of the detectors on rendered people, whom it renders where they are not there yet.

    Args:
        config: the run.
        body: OpenBody.
        folder: of what the detectors said.
        is_stopped: asked between two shards; then what is there is used.
    """
    if not config.num_detected:
        return None
    source = _pictures(config, body, only_held_back=False)
    for _ in detect_people(folder, source, config.num_detected, config.seed):
        if is_stopped():
            break
    return RealErrors(load_detected(folder), KeypointBody(body))


def calibration_people(config: LiftTrainConfig, body: Body, folder: Path) -> LiftBatch:
    """People of held-back clips as the detectors found them, whom it renders likewise.

    Of two in three both detectors' answers are given, of the others thunder's keypoints alone.
    """
    source = _pictures(config, body, only_held_back=True)
    for _ in detect_people(folder, source, config.num_calibrated, config.seed + 1):
        pass
    people = load_detected(folder)
    has_both = (torch.arange(len(people)) % 3 > 0)[:, None, None]
    seen = LiftInput(
        torch.where(has_both, people.rough, people.thunder),
        people.landmarks.masked_fill(~has_both, torch.nan),
    )
    joints2d = true_joints2d(people, KeypointBody(body))
    return LiftBatch(seen, joints2d, people.rotmats, people.betas)


def _pictures(
    config: LiftTrainConfig, body: Body, only_held_back: bool
) -> Callable[[int], SyntheticPeople]:
    """By number of the chunk: people whole and in full view, or cropped and covered, in turns."""
    poses = pose_sampler(config, only_held_back)
    backgrounds = Backgrounds(config.backgrounds, config.background_look)

    def source(thickness: float, is_whole: bool) -> SyntheticPeople:
        look = replace(config.synthesis, clothes_thickness=thickness)
        return SyntheticPeople(body, poses, backgrounds, _uncut(look) if is_whole else look)

    sources = [source(thick, turn % 2 == 0) for turn, thick in enumerate(config.clothes)]
    return lambda chunk: sources[chunk % len(sources)]


def _uncut(look: SynthesisConfig) -> SynthesisConfig:
    return replace(
        look, extreme_crop_probability=0.0, truncation_probability=0.0, occluder_probability=0.0
    )
