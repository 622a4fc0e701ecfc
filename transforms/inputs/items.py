"""What flows through the pipeline: items, shards of items, and decoded frames."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

import numpy as np

from .uris import printable


@dataclass(frozen=True)
class Item:
    """One picture, or one frame of a video: what gets one row in the frames table."""

    item_id: str
    uri: str
    frame_index: int | None = None
    time_s: float | None = None
    source_version: str | None = None
    """Etag, or size and time of change, of what the URI names; None if unknown."""

    @property
    def name(self) -> str:
        """The URI as the tables write it."""
        return printable(self.uri)


def picture_item(uri: str) -> Item:
    """The item of a picture file, or of a whole video that cannot be read."""
    return Item(_sha1(uri), uri)


def frame_item(uri: str, frame_index: int, time_s: float) -> Item:
    """The item of one video frame."""
    return Item(_sha1(f"{uri}#frame={frame_index}"), uri, frame_index, time_s)


def _sha1(text: str) -> str:
    return hashlib.sha1(os.fsencode(text), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class VideoRange:
    """Frames of a video between two key frames, half-open in presentation time.

    Times are in ticks of the stream's time base.
    """

    start_pts: int | None
    """First key frame; None = from the beginning, where times are missing or repeated."""

    end_pts: int | None
    """Key frame at which the next range begins; None = to the end."""

    by_time: bool = True
    """Whether frames are known by their time; False: by their number, where times are missing or
    repeated, and the range is the whole video."""


@dataclass(frozen=True)
class Shard:
    """The unit of work, of retry and of commit: pictures, or frames of one range of a video."""

    index: int
    items: tuple[Item, ...]
    video: VideoRange | None = None
    """Where the items' frames lie, None for pictures."""

    @property
    def name(self) -> str:
        """Part of the file names of what the shard writes."""
        return f"{self.index:05d}"


@dataclass(frozen=True)
class Frame:
    """A decoded item, or why it could not be decoded."""

    item: Item
    image: np.ndarray | None
    """(H, W, 3) uint8 RGB, upright."""

    error: Exception | None = None
    warning: str | None = None
    """What to know of a picture that could be used, such as a damaged end."""

    @property
    def num_pixels(self) -> int:
        """Pixels of the picture, 0 without one."""
        return 0 if self.image is None else self.image.shape[0] * self.image.shape[1]
