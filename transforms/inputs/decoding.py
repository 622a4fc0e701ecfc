"""Stage `decode`: the items of a shard become frames, one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .items import Frame, Item, Shard, VideoRange
from .media_kinds import is_video
from .picture_files import read_picture
from .video_index import UnreadableVideo
from .videos import index_video, read_frames


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


def group_frames(
    frames: Iterable[Frame], max_frames: int, max_megapixels: float
) -> Iterator[list[Frame]]:
    """Batches of frames, closed at `max_frames` or once they hold `max_megapixels` together."""
    batch: list[Frame] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) >= max_frames or _megapixels(batch) >= max_megapixels:
            yield batch
            batch = []
    if batch:
        yield batch


def _megapixels(frames: list[Frame]) -> float:
    return sum(frame.num_pixels for frame in frames) / 1e6


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
