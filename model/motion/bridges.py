"""Frames in which a person was not found, between two in which it was."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .sightings import Floats, Integers


@dataclass(frozen=True)
class Bridges:
    """M frames without a sighting of a track, each between two that have one."""

    frame_indices: Integers
    """(M,) frame of the video."""
    times: Floats
    """(M,) s."""
    before: Integers
    """(M,) the track's row before each."""
    share: Floats
    """(M,) how far it is from that row to the next one, in time."""


def bridges(frame_indices: Integers, times: Floats, tracks: Integers, max_gap_s: float) -> Bridges:
    """The frames of a video that its tracks lack.

    Args:
        frame_indices: (N,) frame of each row; rows of a track lie together, in time.
        times: (N,) s.
        tracks: (N,) number of each row's track.
        max_gap_s: longer gaps stay open.
    """
    frames, frame_times = _frames_of_video(frame_indices, times)
    places = np.searchsorted(frames, frame_indices)
    counts = np.diff(places) - 1
    is_gap = (np.diff(tracks) == 0) & (np.diff(times) <= max_gap_s + 1e-6)
    counts = np.where(is_gap, np.maximum(counts, 0), 0)
    before = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(before)) - np.repeat(np.cumsum(counts) - counts, counts)
    missing = places[before] + 1 + within
    elapsed = frame_times[missing] - times[before]
    share = elapsed / (times[before + 1] - times[before])
    return Bridges(frames[missing], frame_times[missing], before, share)


def _frames_of_video(frame_indices: Integers, times: Floats) -> tuple[Integers, Floats]:
    """Frames in which anybody is seen, and those between, where they follow at even steps."""
    frames, first = np.unique(frame_indices, return_index=True)
    frame_times = times[first]
    steps = np.diff(frames)
    if not len(steps) or (steps % steps.min()).any():  # taken by time: which ones is not known
        return frames, frame_times
    even = np.arange(frames[0], frames[-1] + 1, steps.min())
    return even, np.interp(even, frames, frame_times)
