"""People of whom only the silhouette is made, with the errors that BlazePose made on others."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hierprob3d.configs.shape_training import ShapeTrainConfig
from hierprob3d.model.people.body_widths import NUM_PLACES, body_widths
from hierprob3d.training.people.people_setup import posed_people, uncut
from hierprob3d.training.random.draws import Draws

from .seen_people import SeenPeople, data_of, pose_choice, with_confidence

_CHUNK = 32
_SIDE = 128
"""Pixels a side of the silhouettes, as many as BlazePose's outlines have."""
_PX = 256 / _SIDE
_MOST_ALIKE = 6
_ERROR_SPREAD = 0.3
"""Standard deviation of the logarithm of a factor on all errors of a person."""
_JITTER, _JITTER_PX = 0.008, 0.7
"""Of lengths in sizes of the person, and of keypoints: else people are known by heart."""
_LENGTHS = slice(2 * NUM_PLACES)
_SEEN = slice(2 * NUM_PLACES, 3 * NUM_PLACES)
_WIDEST = 0.9

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class OutlinedPeople:
    """N people whose widths and keypoints are true, clothes included.

    Attributes:
        widths: (N, NUM_WIDTHS).
        joints2d: (N, 17, 2) COCO keypoints, px of the 256 px crop.
        betas: (N, 10).
    """

    widths: Tensor
    joints2d: Tensor
    betas: Tensor

    def __len__(self) -> int:
        return len(self.betas)

    def __getitem__(self, people: Tensor) -> OutlinedPeople:
        return OutlinedPeople(self.widths[people], self.joints2d[people], self.betas[people])


@dataclass(frozen=True)
class ShapeBatch:
    """B people as the network is given them: see `ShapeNet.forward`."""

    widths: Tensor
    keypoints: Tensor
    betas: Tensor

    @classmethod
    def joined(cls, *parts: ShapeBatch) -> ShapeBatch:
        """The people of all parts."""
        names = ("widths", "keypoints", "betas")
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


@torch.no_grad()
def outlined_people(config: ShapeTrainConfig, draws: Draws) -> OutlinedPeople:
    """People in full, in all thicknesses of clothes in turns.

    Raises:
        FileNotFoundError, ValueError: see `posed_people`.
    """
    sources = []
    for thickness in config.clothes:
        look = uncut(replace(config.synthesis, clothes_thickness=thickness))
        data = data_of(config, look)
        sources.append(posed_people(data, pose_choice(data, only_held_back=False), "cpu"))
    parts: list[OutlinedPeople] = []
    for turn in range(-(-config.num_outlines // _CHUNK)):
        source = sources[turn % len(sources)]
        people = source.sample(draws, _CHUNK)
        silhouettes = source.rasterized(people, _SIDE).mask.float()
        joints2d = people.framed.keypoints[..., :2]
        widths = body_widths(silhouettes, with_confidence(joints2d / _PX))
        parts.append(OutlinedPeople(widths, joints2d, people.betas))
    _logger.info("made %d silhouettes", len(parts) * _CHUNK)
    names = ("widths", "joints2d", "betas")
    return OutlinedPeople(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


class MovedWidths:
    """Batches of silhouettes with the errors that BlazePose made on people who look alike.

    Args:
        people: whom BlazePose saw.
    """

    def __init__(self, people: SeenPeople) -> None:
        self.people = people.with_mirrored()
        self._key, size = _key(self.people.joints2d)
        self._squared = self._key.square().sum(1)
        self._shift = (self.people.keypoints[..., :2] - self.people.joints2d) / size
        self._error = self.people.widths - self.people.true_widths

    def themselves(self, draws: Draws, num: int) -> ShapeBatch:
        """`num` of the people or of their mirror images, each a little changed."""
        mine = self.people[draws.below(len(self.people), num)]
        return _jittered(ShapeBatch(mine.widths, mine.keypoints, mine.betas), draws)

    def moved(self, others: OutlinedPeople, draws: Draws) -> ShapeBatch:
        """What BlazePose would say of others."""
        num = len(others)
        key, size = _key(others.joints2d)
        distance = self._squared - 2 * key @ self._key.T
        alike = distance.topk(min(_MOST_ALIKE, len(self.people)), 1, largest=False).indices
        donor = alike.gather(1, draws.below(alike.shape[1], num, 1))[:, 0]
        factor = draws.normal(_ERROR_SPREAD, num, 1).exp()
        lost = self.people.widths[donor, _LENGTHS] == 0
        widths = others.widths + self._error[donor] * factor
        widths[:, _LENGTHS] = widths[:, _LENGTHS].clamp(0, _WIDEST).masked_fill(lost, 0)
        widths[:, _SEEN] = self.people.widths[donor, _SEEN]
        places = others.joints2d + self._shift[donor] * size * factor[..., None]
        keypoints = torch.cat([places, self.people.keypoints[donor, :, 2:]], -1)
        return _jittered(ShapeBatch(widths, keypoints, others.betas), draws)


def exact(people: OutlinedPeople) -> ShapeBatch:
    """People seen without errors."""
    return ShapeBatch(people.widths, with_confidence(people.joints2d), people.betas)


def _jittered(batch: ShapeBatch, draws: Draws) -> ShapeBatch:
    widths, keypoints = batch.widths.clone(), batch.keypoints.clone()
    lengths = widths[:, _LENGTHS]
    noise = draws.normal(_JITTER, *lengths.shape) * (lengths > 0)
    widths[:, _LENGTHS] = (lengths + noise).clamp(0, _WIDEST)
    keypoints[..., :2] += draws.normal(_JITTER_PX, *keypoints.shape[:2], 2)
    return ShapeBatch(widths, keypoints, batch.betas)


def _key(joints2d: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 34) what people are compared by, and their sizes (B, 1, 1) px."""
    centred = joints2d - joints2d.mean(1, keepdim=True)
    size = centred.square().sum(-1).mean(1).sqrt().clamp_min(4.0)[:, None, None]
    return (centred / size).flatten(1), size
