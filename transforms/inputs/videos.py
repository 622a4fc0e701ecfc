"""Videos: which frames there are, how they are cut into ranges, and the decoded frames of one.

A video is indexed by demuxing alone, without decoding. A range lies between two key frames, half
open in presentation time: the decoder seeks backward to its first key frame, earlier frames are
dropped, and decoding goes on past the end until times reach it, so that frames of open groups of
pictures are neither lost nor seen twice.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import BinaryIO

import av
import numpy as np

from .items import VideoRange
from .picture_files import check_size
from .uris import check_regular, is_remote, open_uri


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


def index_video(uri: str, max_megapixels: float) -> VideoIndex:
    """The frames of the video at a path or fsspec URI, found without decoding.

    Raises:
        UnreadableVideo: Not a video, damaged, without frames.
        UnreadablePicture: Frames larger than the limit.
    """
    with _open_stream(uri) as (container, stream):
        check_size(stream.width, stream.height, max_megapixels)
        packets = [(p.pts, p.is_keyframe) for p in container.demux(stream) if _is_shown(p)]
        time_base, rate = stream.time_base, stream.average_rate
    if not packets:
        raise UnreadableVideo("the video has no frames")
    return _index(packets, time_base, rate)


def _is_shown(packet: av.Packet) -> bool:
    """Whether the packet holds a frame that players show; the demuxer ends with an empty one."""
    return packet.size > 0 and not packet.is_discard


def _index(
    packets: list[tuple[int | None, bool]], time_base: Fraction | None, rate: Fraction | None
) -> VideoIndex:
    times = [pts for pts, _ in packets if pts is not None]
    if len(set(times)) < len(packets) or time_base is None:
        step = float(1 / rate) if rate else 0.0
        return VideoIndex(tuple(i * step for i in range(len(packets))), None, (0,))
    pts = tuple(sorted(times))
    place = {time: index for index, time in enumerate(pts)}
    keys = {place[time] for time, is_key in packets if is_key and time is not None}
    return VideoIndex(
        tuple(float(time * time_base) for time in pts), pts, tuple(sorted(keys | {0}))
    )


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


def read_frames(
    uri: str, video_range: VideoRange, wanted: Mapping[int, float]
) -> Iterator[tuple[int, np.ndarray]]:
    """(index, (H, W, 3) uint8 RGB) of the wanted frames of a range, upright.

    In order, but for frames near damaged places, which come last.

    Args:
        uri: Of the video.
        video_range: Where the frames lie.
        wanted: Time in seconds of each frame by its index.

    Raises:
        UnreadableVideo: The video cannot be opened, or some frames cannot be had; then at the end.
    """
    waiting = dict(wanted)
    problem = yield from _read_waiting(uri, video_range, waiting, "AUTO")
    if waiting and problem:
        # Threads that decode several frames at once lose good frames together with a bad one.
        problem = yield from _read_waiting(uri, video_range, waiting, "SLICE")
    if waiting and problem:
        raise UnreadableVideo(f"this frame could not be decoded: {problem}")


def _read_waiting(
    uri: str, video_range: VideoRange, waiting: dict[int, float], thread_type: str
) -> Generator[tuple[int, np.ndarray], None, str | None]:
    """Frames that are waited for, which are then no longer; returns the decoder's last problem."""
    problems: list[str] = []
    with _open_stream(uri) as (container, stream):
        stream.thread_type = thread_type
        ticks: dict[int | None, int] = {
            round(time / (stream.time_base or 1)): index for index, time in waiting.items()
        }
        for number, frame in enumerate(_frames_of_range(container, stream, video_range, problems)):
            if problems and not video_range.by_time:
                break  # frames after a damaged one have no known number
            index = ticks.get(frame.pts, -1) if video_range.by_time else number
            if index in waiting:
                del waiting[index]
                yield index, _upright(frame)
            if not waiting:
                break
    return problems[-1] if problems else None


def _frames_of_range(
    container: av.container.InputContainer,
    stream: av.video.stream.VideoStream,
    video_range: VideoRange,
    problems: list[str],
) -> Iterator[av.VideoFrame]:
    """Decoded frames up to the end of the range, in presentation order."""
    end = video_range.end_pts
    for frame in _decode_from(container, stream, video_range.start_pts, problems):
        if end is not None and frame.pts is not None and frame.pts >= end:
            return
        yield frame


def _decode_from(
    container: av.container.InputContainer,
    stream: av.video.stream.VideoStream,
    start: int | None,
    problems: list[str],
) -> Iterator[av.VideoFrame]:
    """Frames from the last possible entry whose first frame is not after `start`.

    MPEG-TS may land a group of pictures late: then the seek steps further back, at last to the
    beginning.
    """
    if start is None:
        yield from _decode(container, stream, problems)
        return
    back = int(1 / stream.time_base) if stream.time_base else 1  # one second of ticks
    for target in (start, start - back, start - 10 * back):
        container.seek(target, stream=stream, backward=True)
        frames = _decode(container, stream, problems)
        first = next(frames, None)
        if first is not None and first.pts is not None and first.pts <= start:
            yield first
            yield from frames
            return
    container.seek(0, stream=stream, backward=True)
    yield from _decode(container, stream, problems)


def _decode(
    container: av.container.InputContainer,
    stream: av.video.stream.VideoStream,
    problems: list[str],
) -> Iterator[av.VideoFrame]:
    """Frames from the current place on; packets that cannot be decoded are noted and passed by."""
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            problems.append(_reason(error))
            continue
        yield from frames


def _reason(error: av.FFmpegError) -> str:
    return str(error.strerror or error)


def _upright(frame: av.VideoFrame) -> np.ndarray:
    """RGB of a frame, turned as the file's rotation says."""
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))


@contextmanager
def _open_stream(
    uri: str,
) -> Iterator[tuple[av.container.InputContainer, av.video.stream.VideoStream]]:
    """The opened file and its first video stream; PyAV's errors become UnreadableVideo."""
    try:
        with _source(uri) as source, av.open(source, "r") as container:
            if not container.streams.video:
                raise UnreadableVideo("the file has no video stream")
            yield container, container.streams.video[0]
    except av.FFmpegError as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise UnreadableVideo(f"not a readable video: {_reason(error)}") from error


@contextmanager
def _source(uri: str) -> Iterator[str | BinaryIO]:
    """What PyAV opens: a local path, which its own reader reads faster, or an open file."""
    if not is_remote(uri):
        check_regular(uri)
        yield uri
        return
    with open_uri(uri) as file:
        yield file
