"""One person in time: rows of a track at even steps, or the one row of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hierprob3d.model.estimate.reconstruction import parameters_of_rows
from hierprob3d.model.motion.resampling import EvenTimes, even_times
from hierprob3d.model.rotation.rotations import rotmat_to_unitquat

from .picture_places import Places

STILL_FRAMERATE = 30.0
"""Frames per second written for single pictures: readers refuse less than their own rate."""

RowDict = dict[str, Any]


@dataclass(frozen=True)
class PersonSequence:
    """N bodies of one person."""

    rate: float
    """Of the bodies, per second."""
    times: EvenTimes
    """When they are, and which rows each lies between."""
    quats: np.ndarray
    """(N, 24, 4) unit quaternions, the pelvis first, real part first."""
    betas: np.ndarray
    """(10,) shape."""
    places: np.ndarray
    """(N, 3) metres from the body frame's origin to the person's place before the camera."""

    @property
    def seconds(self) -> np.ndarray:
        """(N,) since the first body."""
        return np.arange(len(self.quats)) / self.rate


def sequence_key(row: RowDict) -> tuple[str, ...]:
    """Rows with the same key are one person in time: of one track, or of one picture alone."""
    if row["track_id"] is None:
        return (row["item_id"], str(row["person_index"]))
    return (row["uri"], f"track {row['track_id']}")


def person_sequence(
    rows: Sequence[RowDict], places: Places, rate: float | None = None
) -> PersonSequence:
    """The sequence of rows; between rows that are further apart than a step it is interpolated.

    Args:
        rows: one person in frames, in order, or in one picture.
        places: where people stand, and how fast frames follow each other.
        rate: bodies per second; None: as the video's frames were taken.
    """
    rate = rate or places.rate(rows[0]) or STILL_FRAMERATE
    times = even_times(np.array([row["time_s"] or 0.0 for row in rows]), rate)
    people = parameters_of_rows(rows)
    rotmats = torch.cat([people.global_rotmat[:, None], people.pose_mode], dim=1)
    return PersonSequence(
        rate=rate,
        times=times,
        quats=times.rotations(rotmat_to_unitquat(rotmats).numpy()),
        betas=_common_betas(people.shape_mean, people.shape_std),
        places=times.values(places.translation(rows).numpy()),
    )


def _common_betas(mean: Tensor, std: Tensor) -> np.ndarray:
    """(10,) betas of a person seen N times: means weighted by their precision."""
    weights = std.clamp(min=1e-6).square().reciprocal()
    return ((weights * mean).sum(0) / weights.sum(0)).numpy()
