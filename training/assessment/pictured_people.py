"""Rendered people as photographs in which somebody is to be found, with the truth behind them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from hierprob3d.configs.training import DataConfig
from hierprob3d.training.people.people_setup import PoseChoice, configured_people
from hierprob3d.training.random.draws import seeded_generator

WHOLE, CUT = "whole", "cut"
"""People in full, and people of whom a quarter is cut by the picture's side, a quarter stands
behind something and a fifth is cut at hips, thighs or elbows."""

_CHUNK = 16
_CLOTHES_THICKNESS = 0.02
_LOOKS: dict[str, dict[str, Any]] = {
    WHOLE: {
        "extreme_crop_probability": 0.0,
        "truncation_probability": 0.0,
        "occluder_probability": 0.0,
    },
    CUT: {
        "extreme_crop_probability": 0.2,
        "extreme_crop_shares": (0.4, 0.3, 0.3),
        "truncation_probability": 0.25,
        "occluder_probability": 0.25,
    },
}


@dataclass(frozen=True)
class PicturedPeople:
    """B people, one in each picture.

    Attributes:
        images: (H, W, 3) uint8 RGB, H = W = 256.
        joints2d: (B, 17, 2) true COCO keypoints, px.
        seen: (B, 17) neither hidden nor outside the picture.
        hidden: (B, 17) behind the body or an object.
        rotvecs: (B, 24, 3) pose, the pelvis first.
        betas: (B, 10).
        silhouette: (B, 256, 256) bool, clothes included, also where something stands before them.
    """

    images: list[np.ndarray]
    joints2d: Tensor
    seen: Tensor
    hidden: Tensor
    rotvecs: Tensor
    betas: Tensor
    silhouette: Tensor


def pictured_people(data: DataConfig, kind: str, num: int, seed: int) -> Iterator[PicturedPeople]:
    """`num` held-back people, some at a time.

    Args:
        data: body, poses and backgrounds of a validation; how far people are in view is `kind`.
        kind: WHOLE or CUT.
        num: of people.
        seed: with the kind decides everything else.

    Raises:
        FileNotFoundError, ValueError: see `configured_people`.
    """
    look = replace(data.synthesis, clothes_thickness=_CLOTHES_THICKNESS, **_LOOKS[kind])
    data = replace(data.for_validation(), synthesis=look)
    source = configured_people(data, PoseChoice.for_validation(data), "cpu")
    generator = seeded_generator("cpu", seed, list(_LOOKS).index(kind))
    for start in range(0, num, _CHUNK):
        batch = source.sample(generator, min(_CHUNK, num - start))
        pixels = (batch.rgb.permute(0, 2, 3, 1) * 255).round().byte().numpy()
        yield PicturedPeople(
            images=list(pixels),
            joints2d=batch.joints2d,
            seen=~(batch.hidden | batch.outside),
            hidden=batch.hidden,
            rotvecs=batch.rotvecs,
            betas=batch.betas,
            silhouette=batch.silhouette,
        )
