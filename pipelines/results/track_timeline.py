"""Tracks of a run as lines of a timeline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import pyarrow.compute as pc

from .run_folder import RunFolder

_MAX_VIDEOS, _MAX_TRACKS = 12, 40
_GAP_S = 1.0
"""A longer time without the person interrupts the line."""


@dataclass(frozen=True)
class TrackLine:
    """A person of a video over time."""

    key: str
    """Names the track in the page."""
    track_id: int
    num_frames: int
    num_between: int
    """Frames besides, in which the person was not found."""
    confidence: float | None
    segments: tuple[tuple[float, float], ...]
    """Beginning and end of each stretch, s."""


@dataclass(frozen=True)
class VideoTimeline:
    """The longest tracks of a video, in the order of appearance."""

    uri: str
    name: str
    start_s: float
    end_s: float
    lines: tuple[TrackLine, ...]
    num_tracks: int
    """Of the video, also those that are not shown."""


def timelines(folder: RunFolder) -> tuple[list[VideoTimeline], int]:
    """Timelines of the videos with most tracked frames, and how many videos have tracks."""
    rows = folder.tracks(["uri", "person_index", "track_id", "time_s", "track_confidence"])
    if not len(rows):
        return [], 0
    uris = rows["uri"].to_numpy(zero_copy_only=False)
    names, counts = np.unique(uris, return_counts=True)
    shown = names[np.argsort(-counts, kind="stable")][:_MAX_VIDEOS]
    columns = (
        *(rows[name].to_numpy(zero_copy_only=False)
          for name in ("track_id", "time_s", "track_confidence")),
        pc.is_valid(rows["person_index"]).to_numpy(),
    )  # fmt: skip
    found = [_video(uri, *(column[uris == uri] for column in columns)) for uri in shown]
    return found, len(names)


def track_key(uri: str, track_id: int) -> str:
    """The name of a track in the page."""
    return f"{track_id} {uri}"


def _video(
    uri: str, tracks: np.ndarray, times: np.ndarray, sure: np.ndarray, is_seen: np.ndarray
) -> VideoTimeline:
    ids, counts = np.unique(tracks[is_seen], return_counts=True)
    longest = np.sort(ids[np.argsort(-counts, kind="stable")][:_MAX_TRACKS])
    lines = tuple(
        _line(uri, int(one), np.sort(times[(tracks == one) & is_seen]), sure[tracks == one],
              int(((tracks == one) & ~is_seen).sum()))
        for one in longest
    )  # fmt: skip
    start, end = float(times.min()), float(times.max())
    return VideoTimeline(
        uri, PurePosixPath(uri).name, start, max(end, start + 0.1), lines, len(ids)
    )


def _line(
    uri: str, track_id: int, times: np.ndarray, sure: Iterable[float], num_between: int
) -> TrackLine:
    breaks = np.flatnonzero(np.diff(times) > _GAP_S) + 1
    pieces = np.split(times, breaks)
    known = [float(value) for value in sure if value is not None and np.isfinite(value)]
    return TrackLine(
        track_key(uri, track_id), track_id, len(times), num_between, min(known) if known else None,
        tuple((float(piece[0]), float(piece[-1])) for piece in pieces),
    )  # fmt: skip
