"""The plan of a run: which items are new, and how they are cut into shards."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from .items import Item, Shard, frame_item, picture_item
from .media_kinds import is_video
from .picture_files import UnreadablePicture
from .video_index import UnreadableVideo, VideoIndex, select_frames, split_video
from .videos import index_video

MAX_SHARD_SIZE = 32
_SHARDS_PER_WORKER = 4
_INDEXING_THREADS = 8

T = TypeVar("T")


@dataclass
class Work:
    """New items, before they are cut."""

    pictures: list[Item] = field(default_factory=list)
    videos: list[tuple[VideoIndex, list[Item]]] = field(default_factory=list)
    num_done: int = 0
    """Items that an earlier run finished."""

    @property
    def num_items(self) -> int:
        """New items in all."""
        return len(self.pictures) + sum(len(items) for _, items in self.videos)

    def items(self) -> Iterator[Item]:
        """All new items."""
        yield from self.pictures
        for _, items in self.videos:
            yield from items


@dataclass(frozen=True, kw_only=True)
class FrameRule:
    """Which frames of a video are items, and how large they may be."""

    frame_step: int = 1
    fps: float | None = None
    max_megapixels: float = 100.0


def find_work(
    uris: list[str], done: Container[str], rule: FrameRule, limit: int | None = None
) -> Work:
    """The items of the URIs that are not done, the first `limit` of them.

    Videos are indexed here. One that cannot be is a single item, which fails when it is decoded.
    """
    work = Work()
    videos = [uri for uri in uris if is_video(uri)]
    for uri in uris:
        if not is_video(uri):
            _add_new(work, [picture_item(uri)], done, work.pictures.extend, limit)
    with ThreadPoolExecutor(_INDEXING_THREADS) as pool:
        for some in _groups(videos, _INDEXING_THREADS):
            if limit is not None and work.num_items >= limit:
                break
            indexes = pool.map(lambda uri: _try_index(uri, done, rule), some)
            for uri, index in zip(some, indexes, strict=True):
                _add_video(work, uri, index, done, rule, limit)
    return work


def cut_into_shards(work: Work, shard_size: int) -> list[Shard]:
    """Shards of about `shard_size` items; a video range may be longer, see `split_video`."""
    shards: list[Shard] = []
    for members in _groups(work.pictures, shard_size):
        shards.append(Shard(len(shards), tuple(members)))
    for index, items in work.videos:
        by_frame = {item.frame_index: item for item in items}
        wanted = [item.frame_index for item in items if item.frame_index is not None]
        for video_range, frames in split_video(index, wanted, shard_size):
            of_range = tuple(by_frame[frame] for frame in frames)
            shards.append(Shard(len(shards), of_range, video_range))
    return shards


def default_shard_size(num_items: int, num_workers: int) -> int:
    """Items per shard so that each worker gets several, at most MAX_SHARD_SIZE."""
    return max(1, min(MAX_SHARD_SIZE, math.ceil(num_items / (_SHARDS_PER_WORKER * num_workers))))


def _groups(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The values in runs of `size`."""
    return (values[start : start + size] for start in range(0, len(values), size))


def _try_index(uri: str, done: Container[str], rule: FrameRule) -> VideoIndex | None:
    """Index of a video, None where it has none or where that was found out before."""
    if picture_item(uri).item_id in done:
        return None
    try:
        return index_video(uri, rule.max_megapixels)
    except (UnreadableVideo, UnreadablePicture, OSError):
        return None


def _add_video(
    work: Work,
    uri: str,
    index: VideoIndex | None,
    done: Container[str],
    rule: FrameRule,
    limit: int | None,
) -> None:
    if index is None:
        _add_new(work, [picture_item(uri)], done, work.pictures.extend, limit)
        return
    frames = select_frames(index, rule.frame_step, rule.fps)
    items = [frame_item(uri, frame, index.times_s[frame]) for frame in frames]
    _add_new(work, items, done, lambda new: work.videos.append((index, new)), limit)


def _add_new(
    work: Work,
    items: list[Item],
    done: Container[str],
    add: Callable[[list[Item]], None],
    limit: int | None,
) -> None:
    """Hands the new ones of `items` to `add`, as far as the limit allows."""
    new = [item for item in items if item.item_id not in done]
    work.num_done += len(items) - len(new)
    room = None if limit is None else limit - work.num_items
    new = list(islice(new, room))
    if new:
        add(new)
