"""The motion of tracks through their gaps, smoothed, as columns of tracks/."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
import torch

from hierprob3d.model.body.skeleton import NUM_JOINTS
from hierprob3d.model.motion.bridges import Bridges
from hierprob3d.model.motion.resampling import between_rotations, between_values
from hierprob3d.model.motion.sightings import Floats, Integers
from hierprob3d.model.motion.smoothing import smooth_rotations, smooth_values
from hierprob3d.model.rotation.rotations import unitquat_to_rotmat

from .video_people import numbers

_ROTATION_STIFFNESS = 0.01
"""s^3 / rad^2: the inverse of the accelerations' power that a motion is expected to have."""

_PLACE_STIFFNESS, _PLACE_PRECISION = 0.5, 1 / 0.02**2
"""s^3 / m^2 and 1 / m^2, across the line of sight."""

_SCALE_STIFFNESS, _SCALE_PRECISION = 100.0, 1 / 0.03**2
"""s^3 and 1, of the logarithm of the size, hence of the distance."""


@dataclass(frozen=True)
class TrackMotion:
    """N rows; those of a track lie together, in time."""

    tracks: Integers
    """(N,) number of each row's track."""
    times: Floats
    """(N,) s."""
    is_seen: Floats
    """(N,) 1; 0 of rows between, which say nothing themselves."""
    quats: Floats
    """(N, 24, 4) unit quaternions, the pelvis first."""
    precisions: Floats
    """(N, 24) of the rotations, 1 / rad^2."""
    metre: Floats
    """(N, 1) px."""
    place: Floats
    """(N, 2) the body's origin in the picture, px."""
    bbox: Floats
    """(N, 4) px."""
    crop: Floats
    """(N, 3) px."""

    @classmethod
    def of(cls, people: pa.Table, tracks: Integers) -> TrackMotion:
        """The motion as it was predicted, from people under `VIDEO_PEOPLE`.

        A metre is s side / 2 px, and the body's origin lies at the crop's centre plus that times t:
        these are smoothed, as a crop jumps with its box.
        """
        camera, crop = numbers(people, "camera"), numbers(people, "crop")
        metre = camera[:, :1] * crop[:, 2:] / 2
        return cls(
            tracks, people["time_s"].to_numpy(), np.ones(len(people), np.float32),
            numbers(people, "quats").reshape(-1, NUM_JOINTS, 4), numbers(people, "precisions"),
            metre, crop[:, :2] + metre * camera[:, 1:], numbers(people, "bbox"), crop,
        )  # fmt: skip

    def between(self, missing: Bridges) -> TrackMotion:
        """Rows in the gaps, on straight ways, without any precision."""
        before, after, share = missing.before, missing.before + 1, missing.share
        ways = {
            name: between_values(values[before], values[after], share)
            for name, values in vars(self).items()
            if name in ("metre", "place", "bbox", "crop")
        }
        quats = between_rotations(self.quats[before], self.quats[after], share)
        nothing = np.zeros(len(before), np.float32)
        precisions = np.zeros((len(before), NUM_JOINTS), np.float32)
        return TrackMotion(self.tracks[before], missing.times, nothing, quats, precisions, **ways)

    def joined(self, other: TrackMotion, order: Integers) -> TrackMotion:
        """The rows of both, in an order of all of them."""
        parts = ((getattr(motion, field.name) for motion in (self, other))
                 for field in fields(self))  # fmt: skip
        return TrackMotion(*(np.concatenate(list(part))[order] for part in parts))

    def smoothed(self, smoothing: float) -> dict[str, np.ndarray]:
        """Columns smoothed_pose, smoothed_global_rotmat and smoothed_camera."""
        quats, metre, place = self.quats, self.metre, self.place
        if smoothing:
            stiffness = smoothing * _ROTATION_STIFFNESS
            quats = smooth_rotations(quats, self.precisions, self.times, self.tracks, stiffness)
            metre, place = self._smooth_way(smoothing)
        rotmats = unitquat_to_rotmat(torch.tensor(quats, dtype=torch.float32)).numpy()
        camera = [2 * metre / self.crop[:, 2:], (place - self.crop[:, :2]) / metre]
        return {
            "smoothed_pose": rotmats[:, 1:],
            "smoothed_global_rotmat": rotmats[:, 0],
            "smoothed_camera": np.concatenate(camera, axis=1),
        }

    def _smooth_way(self, smoothing: float) -> tuple[Floats, Floats]:
        """Metre and place along a smooth way through the picture."""
        unit = (track_sums(self.metre, self.tracks) / _lengths(self.tracks))[self.tracks]
        way = smooth_values(
            self.place / unit, _PLACE_PRECISION * self.is_seen, self.times, self.tracks,
            smoothing * _PLACE_STIFFNESS,
        )  # fmt: skip
        logarithm = smooth_values(
            np.log(self.metre), _SCALE_PRECISION * self.is_seen, self.times, self.tracks,
            smoothing * _SCALE_STIFFNESS,
        )  # fmt: skip
        return np.exp(logarithm), unit * way


def track_betas(people: pa.Table, tracks: Integers) -> Floats:
    """(T, 10) of each track: the means weighted by precision."""
    weights = 1 / np.square(np.maximum(numbers(people, "shape_std"), 1e-6), dtype=np.float64)
    sums = track_sums(weights * numbers(people, "shape_mean"), tracks)
    return sums / track_sums(weights, tracks)


def track_sums(values: Floats, tracks: Integers) -> Floats:
    """(T, D) sums of rows (N, D) over each track."""
    starts = np.flatnonzero(np.diff(tracks, prepend=-1))
    return np.add.reduceat(values, starts, axis=0)


def _lengths(tracks: Integers) -> Integers:
    """(T, 1) rows of each track."""
    return np.bincount(tracks)[:, None]
