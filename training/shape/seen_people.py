"""Rendered people and how wide BlazePose sees them, beside how wide they are, as npz shards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hierprob3d.configs.shape_training import ShapeTrainConfig
from hierprob3d.configs.synthetic_people import SynthesisConfig
from hierprob3d.configs.training import DataConfig
from hierprob3d.model.network.lift_input import GIVEN_CONFIDENCE
from hierprob3d.model.network.shape_net import mirrored_keypoints
from hierprob3d.model.people.blazepose import BLAZEPOSE_PATH
from hierprob3d.model.people.blazepose_keypoints import BlazePoseKeypoints
from hierprob3d.model.people.body_widths import body_widths, mirrored_widths
from hierprob3d.model.people.person_detectors import Detections
from hierprob3d.training.people.people_setup import PoseChoice, configured_people, uncut
from hierprob3d.training.people.people_shards import (
    Arrays,
    load_shards,
    made_of,
    write_shards,
)
from hierprob3d.training.people.synthetic_pictures import SyntheticBatch, SyntheticPeople
from hierprob3d.training.random.draws import Draws, seeded_generator

_KIND = "seen"
_ROUGH_PX = 3.0
"""Standard deviation of the rough places that regions are cut about: MoveNet's are like that."""
_ROUGH_SCORES = torch.tensor([0.8, 0.3, 0.05])
"""Of rough keypoints seen, hidden and outside."""
_BOX_MARGIN = 9.0


@dataclass(frozen=True)
class SeenPeople:
    """N rendered people; places in px of the 256 px crop.

    Attributes:
        widths: (N, NUM_WIDTHS) by BlazePose's silhouette and landmarks.
        keypoints: (N, 17, 3) its keypoints.
        true_widths: (N, NUM_WIDTHS) by the true silhouette, clothes included, and true keypoints.
        joints2d: (N, 17, 2) true keypoints.
        betas: (N, 10).
    """

    widths: Tensor
    keypoints: Tensor
    true_widths: Tensor
    joints2d: Tensor
    betas: Tensor

    def __len__(self) -> int:
        return len(self.betas)

    def __getitem__(self, people: slice | Tensor) -> SeenPeople:
        return SeenPeople(**{name: values[people] for name, values in vars(self).items()})

    def with_mirrored(self) -> SeenPeople:
        """The people, and after them their mirror images."""
        image = SeenPeople(
            widths=mirrored_widths(self.widths),
            keypoints=mirrored_keypoints(self.keypoints),
            true_widths=mirrored_widths(self.true_widths),
            joints2d=mirrored_keypoints(with_confidence(self.joints2d))[..., :2],
            betas=self.betas,
        )
        return SeenPeople(
            **{name: torch.cat([mine, getattr(image, name)]) for name, mine in vars(self).items()}
        )


def see_people(
    folder: Path, config: ShapeTrainConfig, num: int, only_held_back: bool
) -> Iterator[Path]:
    """Writes those shards of a folder that are not there yet; each as soon as it is asked for.

    Args:
        folder: where seen_00000.npz and so on go.
        config: looks, poses and seed.
        num: people rendered in all.
        only_held_back: whether they are of the clips that are held back.

    Raises:
        FileNotFoundError, ValueError: see `configured_people` and `write_shards`.
    """
    made: list[tuple[list[SyntheticPeople], BlazePoseKeypoints]] = []

    def make(shard: int, sizes: list[int]) -> Iterator[Arrays]:
        if not made:
            made.append((_sources(config, only_held_back), BlazePoseKeypoints()))
        sources, finder = made[0]
        draws = Draws(seeded_generator("cpu", config.seed, int(only_held_back), shard))
        for turn, size in enumerate(sizes):
            yield _seen(sources[turn % len(sources)], finder, draws, size)

    description = made_of(config, config.seed, [BLAZEPOSE_PATH])
    description["only_held_back"] = only_held_back
    return write_shards(folder, _KIND, num, description, make)


def load_seen(folder: Path) -> SeenPeople:
    """All people of a folder's shards.

    Raises:
        FileNotFoundError: there is no shard.
    """
    return SeenPeople(**load_shards(folder, _KIND))


def with_confidence(points: Tensor) -> Tensor:
    """True places (B, 17, 2) as keypoints (B, 17, 3)."""
    return torch.cat([points, torch.full_like(points[..., :1], GIVEN_CONFIDENCE)], -1)


def data_of(config: ShapeTrainConfig, look: SynthesisConfig) -> DataConfig:
    """Where people of a look come from."""
    return DataConfig(
        train_poses=config.train_poses,
        held_back_every=config.held_back_every,
        pose_tiers=config.pose_tiers,
        backgrounds=config.backgrounds,
        synthesis=look,
    )


def pose_choice(data: DataConfig, only_held_back: bool) -> PoseChoice:
    """Poses of the training, or those held back from it."""
    return PoseChoice.for_validation(data) if only_held_back else PoseChoice.for_training(data)


def _sources(config: ShapeTrainConfig, only_held_back: bool) -> list[SyntheticPeople]:
    """People whole, and cropped and covered, in turns; each of another thickness of clothes."""
    sources = []
    for turn, thickness in enumerate(config.clothes):
        look = replace(config.synthesis, clothes_thickness=thickness)
        data = data_of(config, uncut(look) if turn % 2 == 0 else look)
        sources.append(configured_people(data, pose_choice(data, only_held_back), "cpu"))
    return sources


def _seen(source: SyntheticPeople, finder: BlazePoseKeypoints, draws: Draws, num: int) -> Arrays:
    """What is true of `num` new people, and what BlazePose says of them."""
    batch = source.sample(draws.generator, num)
    pictures = list((batch.rgb.permute(0, 2, 3, 1) * 255).round().byte().numpy())
    found = finder.estimate_batch(pictures, _rough(batch, draws))
    true_keypoints = with_confidence(batch.joints2d)
    assert all(one.widths is not None for one in found)
    return {
        "widths": np.concatenate([one.widths for one in found if one.widths is not None]),
        "keypoints": np.concatenate([one.keypoints for one in found]),
        "true_widths": body_widths(batch.silhouette.float(), true_keypoints).numpy(),
        "joints2d": batch.joints2d.numpy(),
        "betas": batch.betas.numpy(),
    }


def _rough(batch: SyntheticBatch, draws: Draws) -> list[Detections]:
    """A detector's answer for each picture: regions hang on little else than hips and shoulders."""
    places = batch.joints2d + draws.normal(_ROUGH_PX, *batch.joints2d.shape)
    kinds = torch.where(batch.outside, 2, batch.hidden.long())
    rough = torch.cat([places, _ROUGH_SCORES[kinds][..., None]], -1)
    low, high = places.amin(1) - _BOX_MARGIN, places.amax(1) + _BOX_MARGIN
    boxes = torch.cat([low, high], 1).numpy()
    score = np.ones(1, np.float32)
    return [
        Detections(box[None], score, keypoints[None])
        for box, keypoints in zip(boxes, rough.numpy(), strict=True)
    ]
