"""Frames of a video, however it is stored: which there are, and how they are cut into ranges."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .items import VideoRange


class UnreadableVideo(ValueError):
    """The file is no video that can be used; the message says why."""


@dataclass(frozen=True)
class VideoIndex:
    """The frames of a video in presentation order."""

    times_s: tuple[float, ...]
    """Presentation time of every frame; the first is 0 in most files."""

    pts: tuple[int, ...] | None
    """The same in ticks of the stream's time base; None where missing or repeated."""

    key_frames: tuple[int, ...]
    """Ascending indices of frames where a range may begin, always with 0."""


def select_frames(index: VideoIndex, frame_step: int, fps: float | None) -> tuple[int, ...]:
    """Indices of the frames to annotate: every `frame_step`-th, or the first of every 1 / fps s."""
    if fps is None:
        return tuple(range(0, len(index.times_s), frame_step))
    # A small allowance: frame times such as 0.1 are rounded, their slot must not depend on it.
    slots = [int((time - index.times_s[0]) * fps + 1e-6) for time in index.times_s]
    return tuple(i for i, slot in enumerate(slots) if i == 0 or slot != slots[i - 1])


def split_video(
    index: VideoIndex, wanted: Sequence[int], shard_size: int
) -> Iterator[tuple[VideoRange, tuple[int, ...]]]:
    """Ranges of a video with the wanted frames of each, about `shard_size` of them per range.

    A range begins at a key frame: a long group of pictures makes a long range.
    """
    bounds = (*index.key_frames, len(index.times_s))
    first, group = 0, list[int]()
    for begin, end in pairwise(bounds):
        first = first if group else begin
        group += wanted[bisect_left(wanted, begin) : bisect_left(wanted, end)]
        if group and (len(group) >= shard_size or end == bounds[-1]):
            yield _range(index, first, end), tuple(group)
            group = []


def _range(index: VideoIndex, first: int, end: int) -> VideoRange:
    """The range from frame `first` up to, not including, frame `end`."""
    if index.pts is None:
        return VideoRange(None, None, by_time=False)
    return VideoRange(
        index.pts[first] if first else None, index.pts[end] if end < len(index.pts) else None
    )
