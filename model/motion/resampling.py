"""Motions at even steps of time, as players and the field's motion files have them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .sightings import Floats, Integers

_COMMON_RATES = (
    *(whole * 1000 / 1001 for whole in (24, 30, 48, 60, 120)), 24, 25, 30, 48, 50, 60, 90, 100, 120,
    240,
)  # fmt: skip
"""Frames per second that videos have."""

_CLOCK_S = 1e-3
"""Error of a presentation time: many containers count in milliseconds."""

_NEAR = 0.3
"""Of a step: a row so near to a wanted time is taken as it is."""


@dataclass(frozen=True)
class EvenTimes:
    """N times at even steps, each between two rows of a motion."""

    times: NDArray[np.float64]
    """(N,) s."""
    before: Integers
    """(N,) the row at or before each time."""
    after: Integers
    """(N,) the next one; the same where the time is the row's own."""
    share: NDArray[np.float64]
    """(N,) how far from one to the other; 0 where the time is the row's own."""

    @property
    def is_row(self) -> NDArray[np.bool_]:
        """(N,) whether the time is that of a row."""
        return self.share == 0

    @property
    def nearest(self) -> Integers:
        """(N,) the row nearest to each time."""
        return np.where(self.share < 0.5, self.before, self.after)

    def values(self, rows: Floats) -> NDArray[np.float64]:
        """(N, ...) between values (T, ...) of the rows."""
        return between_values(rows[self.before], rows[self.after], self.share)

    def rotations(self, quats: Floats) -> NDArray[np.float64]:
        """(N, ..., 4) along the shortest turns between unit quaternions (T, ..., 4) of the rows."""
        return between_rotations(quats[self.before], quats[self.after], self.share)


def between_values(first: Floats, second: Floats, share: Floats) -> NDArray[np.float64]:
    """(N, ...) values at shares (N,) of the way from the first (N, ...) to the second."""
    share = share.reshape(-1, *(1,) * (first.ndim - 1))
    return first * (1 - share) + second * share


def between_rotations(first: Floats, second: Floats, share: Floats) -> NDArray[np.float64]:
    """(N, ..., 4) unit quaternions likewise, along the shortest turns."""
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    cosine = (first * second).sum(-1, keepdims=True)
    second, cosine = np.where(cosine < 0, -second, second), np.abs(cosine).clip(max=1)
    angle = np.arccos(cosine)
    share = share.reshape(-1, *(1,) * (first.ndim - 1))
    is_small = angle < 1e-4
    sine = np.where(is_small, 1, np.sin(angle))
    weights = [np.where(is_small, part, np.sin(part * angle) / sine) for part in (1 - share, share)]
    found = weights[0] * first + weights[1] * second
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def frame_rate(frame_indices: Integers, times: Floats) -> float | None:
    """Frames per second at which a video's frames were taken; None of a single one.

    Times are rounded in many containers, so it is told from all frames that follow each other, and
    where a rate that videos have is as near as that allows, it is that one: 25, or 30000 / 1001.

    Args:
        frame_indices: (T,) of all frames that were taken, ascending; each second one gives half
            the video's rate.
        times: (T,) s.
    """
    steps, hops = np.diff(times), np.diff(frame_indices)
    if not len(steps) or np.median(steps) <= 0:
        return None
    hop = max(1, int(np.median(hops)))
    if (hops % hop).any():  # taken by time, not every so many
        is_usual = np.abs(steps - np.median(steps)) < np.median(steps) / 2
        return float(1 / steps[is_usual].mean())
    rate = float(hops.sum() / hop / steps.sum())
    known = np.array(_COMMON_RATES) / hop
    nearest = known[np.abs(known - rate).argmin()]
    allowed = max(1e-6, 1.1 * _CLOCK_S / steps.sum())
    return float(nearest) if abs(nearest - rate) < allowed * rate else rate


def even_times(times: Floats, rate: float) -> EvenTimes:
    """Even times from the first to the last of a motion's rows.

    Args:
        times: (T,) s, ascending.
        rate: per second.
    """
    times = np.asarray(times, np.float64)
    count = int(np.floor((times[-1] - times[0]) * rate + _NEAR)) + 1
    wanted = times[0] + np.arange(count) / rate
    before = np.clip(np.searchsorted(times, wanted, "right") - 1, 0, len(times) - 1)
    after = np.minimum(before + 1, len(times) - 1)
    is_before = (wanted - times[before]) * rate < _NEAR
    is_after = ~is_before & ((times[after] - wanted) * rate < _NEAR)
    is_row = is_before | is_after | (before == after)
    before = np.where(is_after, after, before)
    after = np.where(is_row, before, after)
    span = np.where(is_row, 1, times[after] - times[before])
    share = np.where(is_row, 0, (wanted - times[before]) / span)
    return EvenTimes(wanted, before, after, share)
