"""Motions smoothed as a whole: near what was seen where that is sure, with little acceleration.

The curve x minimises sum_t w_t |x_t - y_t|^2 + s * integral |x''|^2 dt: a smoothing spline, solved
at once for all times from a matrix with two bands. Of rotations, x runs through unit quaternions,
and w are the concentrations of the predicted distributions. Steps may differ: over long ones
nearly nothing is smoothed, as a motion says little about them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from .sightings import Floats, Integers

_DEGREES_OF_FREEDOM = 4.0
"""Of the t distribution that residuals are taken to have: a few of them are gross errors."""

_MAX_RATIO = 1e7
"""Of a curve's bending to its weight: above it the solution is no longer exact in float64."""


def smooth_rotations(
    quats: Floats, weights: Floats, times: Floats, tracks: Integers, stiffness: float
) -> NDArray[np.float64]:
    """Unit quaternions (N, J, 4) along smooth curves.

    Args:
        quats: (N, J, 4) unit quaternions of J joints, of either sign; rows of a track follow each
            other in time.
        weights: (N, J) precision of each rotation, 1 / rad^2.
        times: (N,) s, ascending within a track.
        tracks: (N,) number of each row's track; rows of a track lie together.
        stiffness: s^3 / rad^2; 0 leaves all as it is.
    """
    curves = _continuous(np.asarray(quats, np.float64), tracks)
    # A quaternion turns by half the angle, hence moves half as far: its square has four times
    # the precision, and its acceleration four times the stiffness.
    bending = 4 * stiffness * _bending(times, tracks)
    smooth = [
        _smooth(curves[:, joint], 4 * weights[:, joint], bending)
        for joint in range(curves.shape[1])
    ]
    found = np.stack(smooth, axis=1)
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def smooth_values(
    values: Floats, weights: Floats, times: Floats, tracks: Integers, stiffness: float
) -> NDArray[np.float64]:
    """Values (N, D) along smooth curves; gross errors count less.

    Args:
        values: (N, D); rows of a track follow each other in time.
        weights: (N,) precision of the rows.
        times: (N,) s, ascending within a track.
        tracks: (N,) number of each row's track; rows of a track lie together.
        stiffness: of the integral of the squared acceleration.
    """
    return _smooth(values, weights, stiffness * _bending(times, tracks))


def _smooth(values: Floats, weights: Floats, bending: Floats) -> NDArray[np.float64]:
    curve = _solve(values, weights, bending)
    squares = np.square(values - curve).sum(-1) * weights
    return _solve(values, weights / (1 + squares / _DEGREES_OF_FREEDOM), bending)


def _continuous(quats: NDArray[np.float64], tracks: Integers) -> NDArray[np.float64]:
    """The same rotations with signs such that no two that follow each other are far apart."""
    flips = (quats[1:] * quats[:-1]).sum(-1) < 0
    flips[np.diff(tracks) != 0] = False
    signs = 1 - 2 * (np.cumsum(flips, axis=0) % 2)
    return np.concatenate([quats[:1], quats[1:] * signs[..., None]])


def _bending(times: Floats, tracks: Integers) -> NDArray[np.float64]:
    """(3, N) bands of the matrix whose quadratic form is the integral of x''^2.

    The main diagonal is last, as `solveh_banded` has it. Over three rows of a track x'' is the
    difference of their slopes over the middle of their steps.
    """
    bands = np.zeros((3, len(times)))
    steps = np.diff(np.asarray(times, np.float64))
    is_track = np.diff(tracks) == 0
    inside = np.flatnonzero(is_track[1:] & is_track[:-1])
    before, after = steps[inside], steps[inside + 1]
    scale = np.sqrt(2 / (before + after))
    row = np.stack([scale / before, -scale * (1 / before + 1 / after), scale / after])
    for i in range(3):
        for j in range(i, 3):
            bands[2 - (j - i), inside + j] += row[i] * row[j]
    return bands


def _solve(values: Floats, weights: Floats, bending: Floats) -> NDArray[np.float64]:
    weights = np.maximum(weights.astype(np.float64), bending[2] / _MAX_RATIO)
    matrix = bending.copy()
    matrix[2] += weights
    return solveh_banded(matrix, weights[:, None] * values, check_finite=False)
