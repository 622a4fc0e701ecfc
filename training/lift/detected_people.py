"""Rendered people and what the bundled detectors really say of them, as npz shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hierprob3d.configs.lift_training import LiftTrainConfig
from hierprob3d.model.body.keypoint_body import KeypointBody
from hierprob3d.model.body.skeleton import NUM_KEYPOINTS, NUM_LANDMARKS
from hierprob3d.model.people.blazepose import BLAZEPOSE_PATH
from hierprob3d.model.people.blazepose_keypoints import BlazePoseKeypoints
from hierprob3d.model.people.keypoint_estimators import KeypointEstimator, MoveNetKeypoints
from hierprob3d.model.people.movenet import MULTIPOSE_PATH, THUNDER_PATH
from hierprob3d.model.people.person_detectors import Detections, MoveNetDetector
from hierprob3d.model.picture.cameras import half_turn_x
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.training.people.people_shards import (
    Arrays,
    load_shards,
    made_of,
    write_shards,
)
from hierprob3d.training.people.synthetic_pictures import SyntheticPeople
from hierprob3d.training.random.draws import seeded_generator

_KIND = "detected"


@dataclass(frozen=True)
class DetectedPeople:
    """N rendered people whom the detectors found; places in px of the 256 px crop.

    Attributes:
        joints2d: (N, 17, 2) true COCO keypoints.
        outside: (N, 17) bool.
        hidden: (N, 17) bool.
        rotvecs: (N, 24, 3) pose, the pelvis first.
        betas: (N, 10).
        rough: (N, 17, 3) keypoints of the person detector.
        thunder: (N, 17, 3) those of MoveNet thunder; not numbers of people he was not asked about.
        landmarks: (N, 33, 5) of BlazePose.
    """

    joints2d: Tensor
    outside: Tensor
    hidden: Tensor
    rotvecs: Tensor
    betas: Tensor
    rough: Tensor
    thunder: Tensor
    landmarks: Tensor

    def __len__(self) -> int:
        return len(self.betas)

    def __getitem__(self, people: slice | Tensor) -> DetectedPeople:
        return DetectedPeople(**{name: values[people] for name, values in vars(self).items()})

    @property
    def rotmats(self) -> Tensor:
        """(N, 24, 3, 3)."""
        return rotvec_to_rotmat(self.rotvecs)


class _Finders(NamedTuple):
    detector: MoveNetDetector
    blazepose: KeypointEstimator
    thunder: KeypointEstimator | None
    """None: he is not asked."""


def detect_people(
    folder: Path,
    config: LiftTrainConfig,
    people: Callable[[int], SyntheticPeople],
    num: int,
    seed: int,
    thunder_every: int = 1,
) -> Iterator[Path]:
    """Writes those shards of a folder that are not there yet; each as soon as it is asked for.

    Args:
        folder: where detected_00000.npz and so on go.
        config: the run.
        people: source of the pictures of a chunk, by its number.
        num: people rendered in all.
        seed: of the pictures.
        thunder_every: thunder, who takes longest, looks at every so-many-th shard.

    Raises:
        FileNotFoundError, ValueError: see `write_shards`.
    """
    finders: list[_Finders] = []

    def make(shard: int, sizes: list[int]) -> Iterator[Arrays]:
        if not finders:
            finders.append(_Finders(MoveNetDetector(), BlazePoseKeypoints(), MoveNetKeypoints()))
        generator = seeded_generator("cpu", seed, shard)
        asked = finders[0] if shard % thunder_every == 0 else finders[0]._replace(thunder=None)
        for chunk, size in enumerate(sizes):
            yield _detect(people(chunk), generator, size, asked)

    description = made_of(config, seed, [MULTIPOSE_PATH, THUNDER_PATH, BLAZEPOSE_PATH])
    description["thunder_every"] = thunder_every
    return write_shards(folder, _KIND, num, description, make)


def load_detected(folder: Path, limit: int | None = None) -> DetectedPeople:
    """All people of a folder's shards, or of the first few.

    Raises:
        FileNotFoundError: there is no shard.
    """
    return DetectedPeople(**load_shards(folder, _KIND, limit))


def true_joints2d(people: DetectedPeople, body: KeypointBody) -> Tensor:
    """(N, 24, 2) px of the SMPL joints, by the weak perspective that fits the true keypoints."""
    posed = body.pose(people.betas, people.rotmats)
    flat, joints = (half_turn_x(points)[..., :2] for points in (posed.points, posed.joints))
    middle, seen_middle = flat.mean(1, keepdim=True), people.joints2d.mean(1, keepdim=True)
    seen, flat = people.joints2d - seen_middle, flat - middle
    scale = (flat * seen).sum((1, 2)) / flat.square().sum((1, 2))
    return (joints - middle) * scale[:, None, None] + seen_middle


def _detect(
    source: SyntheticPeople,
    generator: torch.Generator,
    num: int,
    finders: _Finders,
) -> Arrays:
    """Truth and answers for `num` new pictures, nobody found left out."""
    batch = source.sample(generator, num)
    pictures = list((batch.rgb.permute(0, 2, 3, 1) * 255).round().byte().numpy())
    found = [_best(people) for people in finders.detector.detect_batch(pictures)]
    outer = finders.blazepose.estimate_batch(pictures, found)
    answers = {
        "rough": _rows([people.keypoints for people in found], (NUM_KEYPOINTS, 3)),
        "landmarks": _rows([one.landmarks for one in outer], (NUM_LANDMARKS, 5)),
    }
    if finders.thunder is not None:
        fine = finders.thunder.estimate_batch(pictures, found)
        answers["thunder"] = _rows([one.keypoints for one in fine], (NUM_KEYPOINTS, 3))
    known = np.all([np.isfinite(rows).all((1, 2)) for rows in answers.values()], axis=0)
    answers.setdefault("thunder", np.full_like(answers["rough"], np.nan))
    truth = {
        name: getattr(batch, name).numpy()
        for name in ("joints2d", "outside", "hidden", "rotvecs", "betas")
    }
    return {name: rows[known] for name, rows in {**truth, **answers}.items()}


def _best(people: Detections) -> Detections:
    return people.select([int(np.argmax(people.scores))]) if len(people) else people


def _rows(found: list[np.ndarray | None], shape: tuple[int, int]) -> np.ndarray:
    """One row for each picture, not numbers where nobody was found."""
    rows = np.full((len(found), *shape), np.nan, dtype=np.float32)
    for place, answer in enumerate(found):
        if answer is not None and len(answer):
            rows[place] = answer[0]
    return rows
