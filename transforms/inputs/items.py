"""What flows through the pipeline: items, shards of items, and decoded frames."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from .given_people import given_people
from .uris import archive_of, printable


@dataclass(frozen=True)
class Item:
    """One picture, or one frame of a video: what gets one row in the frames table."""

    item_id: str
    uri: str
    frame_index: int | None = None
    time_s: float | None = None
    source_version: str | None = None
    """Etag, or size and time of change, of what the URI names; None if unknown."""
    attempts: int = 1
    """Which attempt this is; earlier ones took the worker down."""
    refusal: str | None = None
    """Why it is not to be tried again."""
    given: str | None = None
    """What a list says of its people, see `given_people`; None where nothing is."""

    def check_refusal(self) -> None:
        """Raise RefusedItem if the item is not to be tried."""
        if self.refusal is not None:
            raise RefusedItem(self.refusal)

    @property
    def name(self) -> str:
        """The URI as the tables write it."""
        return printable(self.uri)


def picture_item(uri: str, source_version: str | None = None, given: str | None = None) -> Item:
    """The item of a picture file, or of a whole video that cannot be read."""
    return Item(_sha1(uri), uri, source_version=source_version, given=given)


def frame_item(
    uri: str, frame_index: int, time_s: float, source_version: str | None = None
) -> Item:
    """The item of one video frame."""
    return Item(_sha1(f"{uri}#frame={frame_index}"), uri, frame_index, time_s, source_version)


def _sha1(text: str) -> str:
    return hashlib.sha1(os.fsencode(text), usedforsecurity=False).hexdigest()


class InterruptedWork(Exception):
    """Work on an item is ended from outside: nothing that a reader may take for damage."""


class RefusedItem(RuntimeError):
    """An item that is not tried again; the message says why."""


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
    """The unit of work, of retry and of commit: some items that are done one after the other."""

    index: int
    items: tuple[Item, ...]
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else is known of all of them, such as the video range that their frames lie in."""

    @property
    def name(self) -> str:
        """Part of the file names of what the shard writes."""
        return shard_name(self.index)

    @property
    def video(self) -> VideoRange | None:
        """Where the items' frames lie, None for pictures."""
        if self.details.get("by_time") is None:
            return None
        return VideoRange(**{f.name: self.details[f.name] for f in fields(VideoRange)})

    @property
    def gender(self) -> str | None:
        """Whose body model the items' people have, where a list says so: all have the same."""
        people = given_people(self.items[0].given)
        return people[0].gender if people else None

    @property
    def container(self) -> str | None:
        """The video or archive that the items are part of."""
        uri = self.items[0].uri
        if self.video is not None:
            return uri
        return archive_of(uri) if self.tar_offset is not None else None

    @property
    def tar_offset(self) -> int | None:
        """Where in their tar archive the items begin, None where they are in none."""
        return self.details.get("tar_offset")


def shard_name(index: int) -> str:
    """How file names write the number of a shard."""
    return f"{index:05d}"


@dataclass(frozen=True)
class Frame:
    """A decoded item, or why it could not be decoded."""

    item: Item
    image: np.ndarray | None
    """(H, W, 3) uint8 RGB, upright."""

    error: Exception | None = None
    warning: str | None = None
    """What to know of a picture that could be used, such as a damaged end."""

    focal_px: float | None = None
    """Focal length in px of the picture, where its file tells it."""

    @property
    def num_pixels(self) -> int:
        """Pixels of the picture, 0 without one."""
        return 0 if self.image is None else self.image.shape[0] * self.image.shape[1]
