"""Which items of the inputs are new, and how they are cut into shards, as a stream."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import count
from typing import TypeVar

from .given_people import given_people
from .items import Item, Shard, frame_item, picture_item
from .media_kinds import VIDEO_SUFFIXES, read_suffixes, videos_among
from .sources import Source, in_groups
from .tar_archives import TarIndex, index_tar, is_tar
from .uris import archive_of, member_uri, suffix
from .video_index import VideoIndex, select_frames, split_video
from .videos import index_video

MAX_SHARD_SIZE = 32
_SHARDS_PER_WORKER = 4
_INDEXING_THREADS = 8

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class PlanRules:
    """What is an item, and how large shards are."""

    frame_step: int = 1
    fps: float | None = None
    max_megapixels: float = 100.0
    """Videos with larger frames are not read."""

    time_limit_s: float | None = None
    """For finding the frames of one video; None: any."""

    shard_size: int | None = None
    """Items per shard; None: so that every worker gets several, at most MAX_SHARD_SIZE."""

    num_workers: Callable[[int], int] = lambda num_items: 1
    """Processes that so many items are shared out to."""

    limit: int | None = None
    """At most so many new items."""


@dataclass
class Planner:
    """Finds the new items of the inputs and cuts them into shards.

    Args:
        sources: Pictures, videos and tar archives of both; gone through several times.
        done: Ids of items that need not be done.
        rules: See there.
        skipped: Counts members of archives that are not read, by kind.
        replaced: Ids of items of earlier runs that go with what the rules do not choose any more.
    """

    sources: Iterable[Source]
    done: Collection[str]
    rules: PlanRules
    skipped: Counter[str] = field(default_factory=Counter)
    replaced: Collection[str] = ()

    left_out: set[str] = field(default_factory=set)
    """Those of `replaced` that are frames of a video done again, and not chosen, found so far."""
    num_done: int = 0
    """Items that an earlier run finished."""
    num_pictures: int = 0
    num_frames: int = 0
    num_videos: int = 0
    """New ones, found so far."""

    @property
    def num_items(self) -> int:
        """New items found so far."""
        return self.num_pictures + self.num_frames

    def shards(self) -> Iterator[Shard]:
        """Shards of the new items: pictures, those in archives, then videos, cut near key frames.

        Archives and videos are indexed here. A video that cannot be is a single item, which fails
        when it is decoded; so is what is wrong with an archive, besides the members that it has.
        """
        numbers = count()
        for items, details in self._groups():
            yield Shard(next(numbers), tuple(items), details)

    def _groups(self) -> Iterator[tuple[list[Item], Mapping[str, object]]]:
        """Items of each shard with its details."""
        pictures = self._new_pictures()
        size = self.rules.shard_size or self._default_size(self._count_new_pictures())
        for items in _groups_of(pictures, size, _gender):
            yield items, {}
        videos = [source for source in self.sources if source.uri in self._videos]
        for archive, contents in self._indexed(self._archives.values(), self._index_tar):
            yield from self._tar_shards(archive, contents)
            names = (name for name, _ in contents.members if _is_video(name))
            videos += [self._member(archive, name) for name in names]
        for video, index in self._indexed(videos, self._try_index):
            yield from self._video_shards(video, index)

    @cached_property
    def _videos(self) -> set[str]:
        return videos_among(
            (source.uri for source in self.sources),
            lambda uri: picture_item(uri).item_id in self.done,
        )

    @cached_property
    def _archives(self) -> dict[str, Source]:
        return {source.uri: source for source in self.sources if is_tar(source.uri)}

    def _pictures(self) -> Iterator[Source]:
        return (source for source in self.sources
                if source.uri not in self._videos and not is_tar(source.uri))  # fmt: skip

    def _new_pictures(self) -> Iterator[Item]:
        for source in self._pictures():
            new = self._take([_item(self._known(source))])
            self.num_pictures += len(new)
            yield from new

    def _count_new_pictures(self) -> int:
        """How many `_new_pictures` will give; items are named twice rather than kept."""
        if not self.done:
            return sum(1 for _ in self._pictures())
        ids = (picture_item(source.uri).item_id for source in self._pictures())
        return sum(item_id not in self.done for item_id in ids)

    def _indexed(
        self, sources: Iterable[Source], index: Callable[[str], R]
    ) -> Iterator[tuple[Source, R]]:
        """Archives or videos with their indices, a few made at a time."""
        with ThreadPoolExecutor(_INDEXING_THREADS) as pool:
            for some in in_groups(sources, _INDEXING_THREADS):
                if self.rules.limit is not None and self.num_items >= self.rules.limit:
                    return
                found = pool.map(index, [source.uri for source in some])
                yield from zip(some, found, strict=True)

    def _known(self, source: Source) -> Source:
        """What is known of a source; of a member that was given by itself, also by its archive."""
        archive = self._archives.get(archive_of(source.uri) or "")
        if archive is None:
            return source
        return Source(source.uri, source.version or archive.version, source.given or archive.given)

    def _member(self, archive: Source, name: str) -> Source:
        return archive._replace(uri=member_uri(archive.uri, name))

    def _index_tar(self, uri: str) -> TarIndex:
        return index_tar(uri, read_suffixes())

    def _tar_shards(
        self, archive: Source, index: TarIndex
    ) -> Iterator[tuple[list[Item], Mapping[str, object]]]:
        """Pictures of an archive; the videos in it are read like others."""
        self.skipped.update(index.skipped)
        pictures = [(self._member(archive, name), place) for name, place in index.members
                    if not _is_video(name)]  # fmt: skip
        others = [pair for pair in pictures if pair[0].uri not in self._named_members]
        places = {source.uri: place for source, place in others}
        new = self._take([_item(source) for source, _ in others])
        self.num_pictures += len(new)
        size = self.rules.shard_size or self._default_size(self.num_items)
        for members in _groups_of(iter(new), size):
            yield members, {"tar_offset": places[members[0].uri]}
        if index.damage is not None:
            damaged = replace(picture_item(archive.uri, archive.version), refusal=index.damage)
            new = self._take([damaged])
            self.num_pictures += len(new)
            if new:
                yield new, {}

    @cached_property
    def _named_members(self) -> frozenset[str]:
        """Members of archives that are also given by themselves."""
        return frozenset(source.uri for source in self.sources if archive_of(source.uri))

    def _try_index(self, uri: str) -> VideoIndex | None:
        """Index of a video, None where it has none or where that was found out before."""
        if picture_item(uri).item_id in self.done:
            return None
        try:
            return index_video(uri, self.rules.max_megapixels, self.rules.time_limit_s)
        except Exception:  # whatever one file does: who decodes it will tell what is wrong
            return None

    def _video_shards(
        self, video: Source, index: VideoIndex | None
    ) -> Iterator[tuple[list[Item], Mapping[str, object]]]:
        uri, version, given = self._known(video)
        if index is None:
            items = self._take([picture_item(uri, version)])
            self.num_pictures += len(items)
            if items:
                yield items, {}
            return
        frames = select_frames(index, self.rules.frame_step, self.rules.fps)
        items = [frame_item(uri, i, index.times_s[i], version) for i in frames]
        new = self._take([replace(item, given=given) for item in items])
        self.num_frames += len(new)
        self.num_videos += bool(new)
        if new and self.replaced:
            others = set(range(len(index.times_s))).difference(frames)
            ids = (frame_item(uri, number, 0.0).item_id for number in others)
            self.left_out.update(item_id for item_id in ids if item_id in self.replaced)
        by_frame = {item.frame_index: item for item in new}
        wanted = [item.frame_index for item in new if item.frame_index is not None]
        size = self.rules.shard_size or self._default_size(self.num_items)
        for video_range, numbers in split_video(index, wanted, size):
            yield [by_frame[number] for number in numbers], asdict(video_range)

    def _take(self, items: list[Item]) -> list[Item]:
        """The new ones among the items, as far as the limit allows."""
        new = [item for item in items if item.item_id not in self.done]
        self.num_done += len(items) - len(new)
        if self.rules.limit is not None:
            new = new[: self.rules.limit - self.num_items]
        return new

    def _default_size(self, num_items: int) -> int:
        if self.rules.limit is not None:
            num_items = min(num_items, self.rules.limit)
        return default_shard_size(num_items, self.rules.num_workers(num_items))


def _item(source: Source) -> Item:
    return picture_item(source.uri, source.version, source.given)


def _is_video(name: str) -> bool:
    return suffix(name) in VIDEO_SUFFIXES


def default_shard_size(num_items: int, num_workers: int) -> int:
    """Items per shard so that each worker gets several, at most MAX_SHARD_SIZE."""
    return max(1, min(MAX_SHARD_SIZE, math.ceil(num_items / (_SHARDS_PER_WORKER * num_workers))))


def _gender(item: Item) -> str | None:
    """What shards have in common: the body model of their items' people."""
    people = given_people(item.given)
    return people[0].gender if people else None


def _groups_of(
    values: Iterator[T], size: int, key: Callable[[T], object] = lambda value: None
) -> Iterator[list[T]]:
    """The values in runs of `size`, those of different keys apart."""
    groups: dict[object, list[T]] = {}
    for value in values:
        group = groups.setdefault(key(value), [])
        group.append(value)
        if len(group) == size:
            yield groups.pop(key(value))
    yield from groups.values()
