"""Rows of tracks/ from the people of a video: who is who, then the smoothed motion of each."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch

from hierprob3d.model.body.skeleton import NUM_JOINTS, NUM_KEYPOINTS
from hierprob3d.model.motion.person_tracks import track_people
from hierprob3d.model.motion.sightings import Floats, Integers, Sightings
from hierprob3d.model.motion.smoothing import smooth_rotations, smooth_values
from hierprob3d.model.rotation.rotations import unitquat_to_rotmat
from hierprob3d.transforms.tables.rows import table_of
from hierprob3d.transforms.tables.track_schema import track_schema

from .video_people import numbers

_ROTATION_STIFFNESS = 0.01
"""s^3 / rad^2: the inverse of the accelerations' power that a motion is expected to have."""

_PLACE_STIFFNESS, _PLACE_PRECISION = 0.5, 1 / 0.02**2
"""s^3 / m^2 and 1 / m^2, across the line of sight."""

_SCALE_STIFFNESS, _SCALE_PRECISION = 100.0, 1 / 0.03**2
"""s^3 and 1, of the logarithm of the size, hence of the distance."""


def track_rows(
    uri: str, people: pa.Table, max_gap_s: float, smoothing: float, run_id: str
) -> pa.Table:
    """Rows of tracks/ of one video, by track and frame.

    Args:
        uri: the video.
        people: all of them, under `VIDEO_PEOPLE`.
        max_gap_s: see `track_people`.
        smoothing: how much accelerations are held against a motion; 0 smooths nothing.
        run_id: of `track`.
    """
    people = people.sort_by([("frame_index", "ascending"), ("person_index", "ascending")])
    times = people["time_s"].to_numpy()
    seen = Sightings(
        people["frame_index"].to_numpy(), times, numbers(people, "bbox"),
        numbers(people, "keypoints").reshape(-1, NUM_KEYPOINTS, 3),
    )  # fmt: skip
    tracks = track_people(seen, max_gap_s)
    gaps = np.where(tracks.previous >= 0, times - times[tracks.previous], np.nan)
    order = np.argsort(tracks.track_ids, kind="stable")
    people, track_ids = people.take(order), tracks.track_ids[order]
    columns = {
        **{name: people[name].to_pylist()
           for name in ("item_id", "frame_index", "time_s", "person_index")},
        "uri": [uri] * len(people),
        "track_id": track_ids,
        "track_confidence": tracks.track_confidences[order],
        "link_confidence": tracks.link_confidences[order],
        "gap_s": gaps[order],
        **_smoothed(people, track_ids, smoothing),
        "run_id": [run_id] * len(people),
    }  # fmt: skip
    return table_of(columns, track_schema())


def _smoothed(people: pa.Table, tracks: Integers, smoothing: float) -> dict[str, np.ndarray]:
    """The smoothed columns; rows of a track lie together, in time."""
    times = people["time_s"].to_numpy()
    quats = numbers(people, "quats").reshape(-1, NUM_JOINTS, 4)
    precisions = numbers(people, "precisions")
    if smoothing:
        stiffness = smoothing * _ROTATION_STIFFNESS
        quats = smooth_rotations(quats, precisions, times, tracks, stiffness)
    rotmats = unitquat_to_rotmat(torch.tensor(quats, dtype=torch.float32)).numpy()
    camera, crop = numbers(people, "camera"), numbers(people, "crop")
    return {
        "smoothed_pose": rotmats[:, 1:],
        "smoothed_global_rotmat": rotmats[:, 0],
        "smoothed_betas": _betas(people, tracks),
        "smoothed_camera": _smooth_camera(camera, crop, times, tracks, smoothing)
        if smoothing else camera,
    }  # fmt: skip


def _betas(people: pa.Table, tracks: Integers) -> Floats:
    """(N, 10) of the track: the means weighted by precision."""
    weights = 1 / np.square(np.maximum(numbers(people, "shape_std"), 1e-6), dtype=np.float64)
    sums = _track_sums(weights * numbers(people, "shape_mean"), tracks)
    return (sums / _track_sums(weights, tracks))[tracks]


def _track_sums(values: Floats, tracks: Integers) -> Floats:
    """(T, D) sums of rows (N, D) over each track."""
    starts = np.flatnonzero(np.diff(tracks, prepend=-1))
    return np.add.reduceat(values, starts, axis=0)


def _smooth_camera(
    camera: Floats, crop: Floats, times: Floats, tracks: Integers, smoothing: float
) -> Floats:
    """(N, 3) weak perspective of each row's own crop, along a smooth motion in the picture.

    A metre is s side / 2 px, and the body's origin lies at the crop's centre plus that times t:
    both are smoothed, as a crop jumps with its box.
    """
    metre = camera[:, :1] * crop[:, 2:] / 2
    place = crop[:, :2] + metre * camera[:, 1:]
    counts = _track_sums(np.ones((len(tracks), 1)), tracks)
    unit = (_track_sums(metre, tracks) / counts)[tracks]
    weights = np.full(len(tracks), _PLACE_PRECISION)
    place = unit * smooth_values(place / unit, weights, times, tracks, smoothing * _PLACE_STIFFNESS)
    weights = np.full(len(tracks), _SCALE_PRECISION)
    stiffness = smoothing * _SCALE_STIFFNESS
    metre = np.exp(smooth_values(np.log(metre), weights, times, tracks, stiffness))
    return np.concatenate([2 * metre / crop[:, 2:], (place - crop[:, :2]) / metre], axis=1)
