"""Stage `decode`: the items of a shard become frames, one at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator

from hierprob3d.transforms.batch.batches import Batch
from hierprob3d.transforms.batch.isolation import Failure
from hierprob3d.transforms.inputs.items import Frame, Item, Shard, VideoRange
from hierprob3d.transforms.inputs.media_kinds import is_video
from hierprob3d.transforms.inputs.picture_files import read_picture
from hierprob3d.transforms.inputs.video_index import UnreadableVideo
from hierprob3d.transforms.inputs.videos import index_video, read_frames

DECODE = "decode"
_MEGAPIXELS = 64.0
"""Pixels of the frames of a batch together, about 200 MB."""


def read_shard(shard: Shard, max_megapixels: float) -> Iterator[Frame]:
    """Frames of all items of a shard in order; an item that fails carries its error.

    Args:
        shard: Pictures, or frames of one video range.
        max_megapixels: Larger pictures are not decoded.
    """
    if shard.video is not None:
        yield from _read_video(shard.items, shard.video, max_megapixels)
        return
    for item in shard.items:
        yield _read_item(item, max_megapixels)


def read_batches(shard: Shard, max_frames: int, max_megapixels: float) -> Iterator[Batch]:
    """Batches of a shard's frames, one in memory at a time, closed once they are full.

    Args:
        shard: As `read_shard`.
        max_frames: Frames of a batch at most.
        max_megapixels: As `read_shard`.
    """
    frames = _Timed(read_shard(shard, max_megapixels))
    num_left, number = len(shard.items), 0
    while num_left:
        batch = Batch([], shard=shard.name, number=number)
        while num_left and len(batch.frames) < max_frames and _megapixels(batch) < _MEGAPIXELS:
            batch.frames.append(next(frames))
            num_left -= 1
        batch.is_last = not num_left
        batch.failures = [Failure(f.item, None, DECODE, f.error) for f in batch.frames if f.error]
        batch.clock.add(DECODE, frames.taken())
        yield batch
        number += 1


class _Timed:
    """An iterator that measures how long it takes."""

    def __init__(self, frames: Iterator[Frame]) -> None:
        self._frames = frames
        self._seconds = 0.0

    def __iter__(self) -> _Timed:
        return self

    def __next__(self) -> Frame:
        start = time.perf_counter()
        try:
            return next(self._frames)
        finally:
            self._seconds += time.perf_counter() - start

    def taken(self) -> float:
        """Seconds since this was asked last."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds


def _megapixels(batch: Batch) -> float:
    return sum(frame.num_pixels for frame in batch.frames) / 1e6


def _read_item(item: Item, max_megapixels: float) -> Frame:
    try:
        if is_video(item.uri):
            index_video(item.uri, max_megapixels)  # raises what kept it from being cut into frames
            raise UnreadableVideo("the video could not be read when the run began")
        picture = read_picture(item.uri, max_megapixels)
        return Frame(item, picture.image, warning=picture.warning)
    except Exception as error:  # whatever one file does, the others are annotated
        return Frame(item, None, error)


def _read_video(
    items: tuple[Item, ...], video_range: VideoRange, max_megapixels: float
) -> Iterator[Frame]:
    """Frames of one video; those that the decoder does not deliver follow with the reason."""
    waiting = {item.frame_index: item for item in items}
    error: Exception = UnreadableVideo("the decoder did not deliver this frame")
    try:
        times = {i.frame_index: i.time_s or 0.0 for i in items if i.frame_index is not None}
        for index, picture in read_frames(items[0].uri, video_range, times, max_megapixels):
            yield Frame(waiting.pop(index), picture.image, warning=picture.warning)
    except Exception as raised:  # as above: a broken end leaves the beginning usable
        error = raised
    for item in waiting.values():
        yield Frame(item, None, error)
