"""Stage `decode`: the items of a shard become frames, one at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

from hierprob3d.transforms.batch.batches import Batch
from hierprob3d.transforms.batch.isolation import Failure
from hierprob3d.transforms.batch.item_watch import ItemOverdue, ItemWatch
from hierprob3d.transforms.inputs.items import Frame, Item, RefusedItem, Shard, VideoRange
from hierprob3d.transforms.inputs.media_kinds import is_video
from hierprob3d.transforms.inputs.picture_files import Picture, decode_picture, read_picture
from hierprob3d.transforms.inputs.tar_archives import TarReader
from hierprob3d.transforms.inputs.uris import archive_of, member_name
from hierprob3d.transforms.inputs.video_index import UnreadableVideo
from hierprob3d.transforms.inputs.videos import index_video, read_frames

DECODE = "decode"
_MEGAPIXELS = 64.0
"""Pixels of the frames of a batch together, about 200 MB."""


class FrameReader:
    """Decodes shards within limits; an item that fails gives a frame that carries its error.

    Args:
        max_megapixels: Larger pictures are not decoded.
        memory_bytes: Nor are those that take more to decode; None: any.
        watch: Ends the decoding of an item that takes too long; None: no limit.
    """

    def __init__(
        self,
        max_megapixels: float,
        memory_bytes: int | None = None,
        watch: ItemWatch | None = None,
    ) -> None:
        self._max_megapixels = max_megapixels
        self._memory_bytes = memory_bytes
        self._watch = watch

    def batches(self, shard: Shard, max_frames: int) -> Iterator[Batch]:
        """Batches of a shard's frames, one in memory at a time, closed once they are full."""
        frames = _Timed(self.frames(shard))
        num_left, number = len(shard.items), 0
        while num_left:
            batch = Batch([], shard=shard.name, number=number, gender=shard.gender)
            while num_left and len(batch.frames) < max_frames and _megapixels(batch) < _MEGAPIXELS:
                batch.frames.append(next(frames))
                num_left -= 1
            batch.is_last = not num_left
            batch.failures = [
                Failure(f.item, None, DECODE, f.error) for f in batch.frames if f.error
            ]
            batch.clock.add(DECODE, frames.taken())
            yield batch
            number += 1

    def frames(self, shard: Shard) -> Iterator[Frame]:
        """One frame of every item of a shard; of a video those that cannot be had come last."""
        tried = [item for item in shard.items if item.refusal is None]
        if shard.video is not None and tried:
            yield from self._frames_of_video(tried, shard.video, shard.name)
        elif shard.tar_offset is not None and tried:
            yield from self._frames_of_tar(tried, shard.tar_offset, shard.name)
        else:
            for item in tried:
                yield self._frame_of(item, shard.name, self._read_picture)
        for item in shard.items:
            if item.refusal is not None:
                yield Frame(item, None, RefusedItem(item.refusal))

    def _frame_of(self, item: Item, shard: str, read: Callable[[str], Picture]) -> Frame:
        try:
            with self._watching(item, shard):
                return _frame(item, read(item.uri))
        except Exception as error:  # whatever one file does, the others are annotated
            return Frame(item, None, error)

    def _frames_of_tar(self, items: list[Item], offset: int, shard: str) -> Iterator[Frame]:
        archive = archive_of(items[0].uri)
        assert archive is not None  # shards with an offset are planned of members
        with TarReader(archive, offset) as members:

            def read(uri: str) -> Picture:
                data = members.read(member_name(uri), self._memory_bytes)
                return decode_picture(data, self._max_megapixels, self._memory_bytes)

            for item in items:
                yield self._frame_of(item, shard, read)

    def _read_picture(self, uri: str) -> Picture:
        if is_video(uri):
            index_video(uri, self._max_megapixels)  # raises what kept it from being cut into frames
            raise UnreadableVideo("the video could not be read when the run began")
        return read_picture(uri, self._max_megapixels, self._memory_bytes)

    def _frames_of_video(
        self, items: list[Item], video_range: VideoRange, shard: str
    ) -> Iterator[Frame]:
        """A frame that takes too long is left out, and the others are read anew without it."""
        waiting = {item.frame_index: item for item in items}
        while waiting:
            first = next(iter(waiting.values()))
            error: Exception = UnreadableVideo("the decoder did not deliver this frame")
            try:
                yield from self._read_video(waiting, video_range, shard)
            except ItemOverdue as overdue:
                late = next(iter(waiting.values()))
                yield Frame(waiting.pop(late.frame_index), None, overdue)
                if late is not first:
                    continue
                error = overdue  # two in a row, or the way to the first
            except Exception as raised:  # as above: a broken end leaves the beginning usable
                error = raised
            for item in waiting.values():
                yield Frame(item, None, error)
            return

    def _read_video(
        self, waiting: dict[int | None, Item], video_range: VideoRange, shard: str
    ) -> Iterator[Frame]:
        """Frames as they come, which are then no longer waited for."""
        items = list(waiting.values())
        times = {i.frame_index: i.time_s or 0.0 for i in items if i.frame_index is not None}
        frames = read_frames(
            items[0].uri, video_range, times, self._max_megapixels, self._memory_bytes
        )
        while waiting:
            with self._watching(next(iter(waiting.values())), shard):
                found = next(frames, None)
            if found is None:
                return
            yield _frame(waiting.pop(found[0]), found[1])

    def _watching(self, item: Item, shard: str) -> AbstractContextManager[None]:
        return nullcontext() if self._watch is None else self._watch.watching([item], shard)


def _failures(frames: list[Frame]) -> list[Failure]:
    return [Failure(f.item, None, DECODE, f.error) for f in frames if f.error is not None]


def _frame(item: Item, picture: Picture) -> Frame:
    return Frame(item, picture.image, warning=picture.warning, focal_px=picture.focal_px)


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
