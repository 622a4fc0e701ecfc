"""Videos: the frames of one are found without decoding, and those of a range decoded.

A video is indexed by demuxing alone. A range lies between two key frames, half open in presentation
time: the decoder seeks backward to its first key frame, earlier frames are dropped, and decoding
goes on past the end until times reach it, so that frames of open groups of pictures are neither
lost nor seen twice.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Generator, Iterator, Mapping
from fractions import Fraction

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from .animations import index_animation, read_animation
from .encoded_picture import UnreadablePicture
from .items import VideoRange
from .media_kinds import is_picture_kind
from .picture_files import Picture, check_size
from .video_display import as_shown, shown_size
from .video_index import UnreadableVideo, VideoIndex
from .video_streams import Source, open_stream, reason_of

_BYTES, _BYTES_PER_THREAD = 45, 4
"""Per pixel: frames that a decoder keeps for later ones, RGB and its copies. Up to 39 were measured
with H.264 of 16 reference frames, VP9 and motion JPEG at 8 megapixels, and 4 more with two threads
that decode frames side by side."""

_MOST_THREADS = 16
"""FFmpeg takes no more by itself."""


def index_video(uri: str, max_megapixels: float, time_limit_s: float | None = None) -> VideoIndex:
    """The frames of the video at a path or fsspec URI; those of animated pictures are decoded.

    Args:
        uri: Of a video, or of a picture with several frames or pages.
        max_megapixels: Larger frames are refused, as far as the header knows.
        time_limit_s: For all of it, None for any.

    Raises:
        UnreadableVideo: Not a video, damaged, without frames, or not indexed in time.
        UnreadablePicture: Frames larger than the limit.
        OSError: The file cannot be opened.
    """
    deadline = None if time_limit_s is None else time.monotonic() + time_limit_s
    if is_picture_kind(uri):
        return index_animation(uri, max_megapixels, deadline)
    with open_stream(uri, max_megapixels, time_limit_s) as (container, stream):
        _check_stream(stream, max_megapixels)
        packets = list(_packets(container, stream, deadline))
        time_base, rate = stream.time_base, stream.average_rate
    if not packets:
        raise UnreadableVideo("the video has no frames")
    return _index(packets, time_base, rate)


def _check_stream(stream: VideoStream, max_megapixels: float) -> None:
    """Raise UnreadablePicture if the header names frames that are too large, or of no size."""
    if not stream.width or not stream.height:
        raise UnreadablePicture(
            f"frames of no size, or of more than {max_megapixels:g} megapixels (--max-megapixels)"
        )
    size = shown_size(stream.width, stream.height, stream.sample_aspect_ratio)
    check_size(*size, max_megapixels)


def _packets(
    container: InputContainer, stream: VideoStream, deadline: float | None
) -> Iterator[tuple[int | None, bool]]:
    """Time and whether it is a key frame, of every frame that players show."""
    for packet in container.demux(stream):
        if deadline is not None and time.monotonic() > deadline:
            raise UnreadableVideo("finding the frames of the video takes longer than allowed")
        if packet.size > 0 and not packet.is_discard:  # the demuxer ends with an empty packet
            yield packet.pts, packet.is_keyframe


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


def read_frames(
    uri: str,
    video_range: VideoRange,
    wanted: Mapping[int, float],
    max_megapixels: float,
    memory_limit_bytes: int | None = None,
) -> Iterator[tuple[int, Picture]]:
    """Index and picture of the wanted frames of a range, as players show them.

    In order, but for frames near damaged places, which come last.

    Args:
        uri: As of `index_video`.
        video_range: Where the frames lie.
        wanted: Time in seconds of each frame by its index.
        max_megapixels: Larger frames are not delivered.
        memory_limit_bytes: Nor are those that take more to decode, at about 45 bytes per pixel.

    Raises:
        UnreadableVideo: The video cannot be opened, or some frames cannot be had; then at the end.
    """
    if is_picture_kind(uri):
        yield from read_animation(uri, wanted, max_megapixels, memory_limit_bytes)
        return
    waiting = dict(wanted)
    memory = math.inf if memory_limit_bytes is None else memory_limit_bytes
    problem: str | None = None
    for threads in (min(os.cpu_count() or 1, _MOST_THREADS), 0):
        # Threads that decode several frames at once lose good frames together with a bad one: what
        # is still waited for comes without them, as do frames that take too much memory with them.
        largest = min(max_megapixels, memory / (_BYTES + threads * _BYTES_PER_THREAD) / 1e6)
        kind = "AUTO" if threads else "SLICE"
        problem = yield from _read_waiting(uri, video_range, waiting, largest, kind)
        if not waiting or not problem:
            return
    if waiting and problem:
        raise UnreadableVideo(f"this frame could not be decoded: {problem}")


def read_frame(uri: str, index: int, time_s: float, max_megapixels: float) -> Picture:
    """One frame of a video, found by its time and, where times say nothing, by its number.

    Args:
        uri: As of `index_video`.
        index: Of the frame.
        time_s: Its time.
        max_megapixels: A larger one is not delivered.

    Raises:
        UnreadableVideo: It cannot be had.
        UnreadablePicture: It is larger.
        OSError: The file cannot be opened.
    """
    whole = VideoRange(None, None, by_time=False)
    ranges = [whole]
    if not is_picture_kind(uri):
        with open_stream(uri, max_megapixels) as (_, stream):
            ticks = round(time_s / (stream.time_base or 1))
        ranges = [VideoRange(ticks, ticks + 1), whole]
    for video_range in ranges:
        for _, picture in read_frames(uri, video_range, {index: time_s}, max_megapixels):
            return picture
    raise UnreadableVideo("the video has no such frame")


def _read_waiting(
    uri: str,
    video_range: VideoRange,
    waiting: dict[int, float],
    max_megapixels: float,
    thread_type: str,
) -> Generator[tuple[int, Picture], None, str | None]:
    """Frames that are waited for, which are then no longer; returns the decoder's last problem."""
    decoder = _Decoder(max_megapixels)
    with open_stream(uri, max_megapixels) as source:
        stream = source[1]
        stream.thread_type = thread_type
        aspect = _PixelAspect(stream)
        ticks: dict[int | None, int] = {
            round(time / (stream.time_base or 1)): index for index, time in waiting.items()
        }
        # Without frames out of order, and one by one, a lost packet is the frame of its number.
        keeps_count = thread_type == "SLICE" and not stream.codec_context.has_b_frames
        for number, frame in enumerate(decoder.frames(source, video_range)):
            if decoder.problem and not (video_range.by_time or keeps_count):
                break  # frames after a damaged one have no known number
            index = (
                number if not video_range.by_time else ticks.get(frame.pts if frame else None, -1)
            )
            if frame is not None and index in waiting:
                try:
                    image = as_shown(frame, aspect.now(), max_megapixels)
                except UnreadablePicture as error:
                    decoder.problem = str(error)
                    continue
                del waiting[index]
                yield index, Picture(image)
            if not waiting:
                break
    return decoder.problem


class _PixelAspect:
    """Width of a stream's pixels by their height; the container's word counts until it changes."""

    def __init__(self, stream: VideoStream) -> None:
        self._stream = stream
        self._first, self._container = self._of_codec(), stream.sample_aspect_ratio

    def now(self) -> Fraction | None:
        """Of the frame that was decoded last."""
        now = self._of_codec()
        return self._container if now == self._first else now

    def _of_codec(self) -> Fraction | None:
        return self._stream.codec_context.sample_aspect_ratio


class _Decoder:
    """Decodes ranges, and keeps the last problem.

    Args:
        max_megapixels: The limit of frames that the stream's decoder was given, for messages.
    """

    def __init__(self, max_megapixels: float) -> None:
        self._max_megapixels = max_megapixels
        self.problem: str | None = None

    def frames(self, source: Source, video_range: VideoRange) -> Iterator[av.VideoFrame | None]:
        """Decoded frames up to the end of the range, in presentation order; None for lost ones."""
        end = video_range.end_pts
        for frame in self._decode_from(source, video_range.start_pts):
            if frame is not None and end is not None and frame.pts is not None and frame.pts >= end:
                return
            yield frame

    def _decode_from(self, source: Source, start: int | None) -> Iterator[av.VideoFrame | None]:
        """Frames from the last possible entry whose first frame is not after `start`.

        MPEG-TS may land a group of pictures late: then the seek steps further back, at last to the
        beginning.
        """
        container, stream = source
        if start is None:
            yield from self._decode(source)
            return
        back = int(1 / stream.time_base) if stream.time_base else 1  # one second of ticks
        for target in (start, start - back, start - 10 * back):
            try:
                container.seek(target, stream=stream, backward=True)
            except av.FFmpegError:  # before the beginning, for some containers
                break
            frames = self._decode(source)
            first = next((frame for frame in frames if frame is not None), None)
            if first is not None and first.pts is not None and first.pts <= start:
                yield first
                yield from frames
                return
        container.seek(0, stream=stream, backward=True)
        yield from self._decode(source)

    def _decode(self, source: Source) -> Iterator[av.VideoFrame | None]:
        """Frames from the current place on; None for packets that cannot be decoded."""
        container, stream = source
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                self.problem = self._reason(error, stream)
                yield None
                continue
            yield from frames

    def _reason(self, error: av.FFmpegError, stream: VideoStream) -> str:
        if stream.codec_context.width == 0:  # what a refused size leaves behind
            return (
                f"more than {self._max_megapixels:.3g} megapixels (--max-megapixels, or what the "
                "worker's memory allows)"
            )
        return reason_of(error)
