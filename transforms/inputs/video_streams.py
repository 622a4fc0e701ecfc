"""Video files as PyAV opens them: one file, one stream of frames, errors that name the cause."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, TypeAlias

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from .encoded_picture import UnreadablePicture
from .items import InterruptedWork
from .uris import check_regular, is_remote, open_uri
from .video_index import UnreadableVideo

_CONTAINERS = (
    "mov", "matroska", "avi", "mpeg", "mpegts", "mpegvideo", "m4v", "h261", "h263", "h264", "hevc",
    "vvc", "av1", "obu", "ivf", "asf", "flv", "ogg", "rm", "mxf", "gxf", "nut", "nsv", "wtv", "dv",
    "vc1", "vc1test", "dirac", "cavsvideo", "avs2", "avs3", "dnxhd", "mjpeg", "mjpeg_2000",
    "mpjpeg", "smjpeg", "yuv4mpegpipe", "amv", "dhav", "lxf", "pva", "kux",
)  # fmt: skip
"""FFmpeg's demuxers that read the one file they are given. Playlists (hls, dash, concat, sdp,
number patterns of pictures) would open others on behalf of it."""

_MOST_PIXELS = (1 << 31) - 1
"""FFmpeg's own limit."""

_PROBED_PIXELS = 40_000_000
"""Frames up to this size are decoded while a file is opened, so that messages can name theirs."""

_REFUSED_AS_ARGUMENT = 22

Source: TypeAlias = "tuple[InputContainer, VideoStream]"


@contextmanager
def open_stream(
    uri: str, max_megapixels: float, time_limit_s: float | None = None
) -> Iterator[Source]:
    """The opened file and its best video stream, whose decoder makes no larger frame than allowed.

    Args:
        uri: Path or fsspec URI.
        max_megapixels: Of a frame.
        time_limit_s: For opening it, and for each wait of its reader; None for any.

    Raises:
        UnreadableVideo: Whatever is wrong with the file, here or while it is read.
        OSError: It cannot be opened at all.
    """
    max_pixels = int(min(max_megapixels * 1e6, _MOST_PIXELS))
    options = {
        "format_whitelist": ",".join(_CONTAINERS),
        "protocol_whitelist": "file",
        "max_pixels": str(max(max_pixels, _PROBED_PIXELS)),
    }
    try:
        with _source(uri) as source:
            with av.open(
                source, "r", options=options, metadata_errors="ignore", timeout=time_limit_s
            ) as container:
                stream = _best_stream(container)
                stream.codec_context.options = {"max_pixels": str(max_pixels)}
                yield container, stream
    except (UnreadableVideo, UnreadablePicture, InterruptedWork):
        raise
    except av.FFmpegError as error:  # some are Python's own kinds of OSError, too
        raise UnreadableVideo(f"not a readable video: {reason_of(error)}") from error
    except OSError:
        raise
    except Exception as error:  # a defect of PyAV on one file must not stop the others
        raise UnreadableVideo(f"not a readable video: {error or type(error).__name__}") from error


def reason_of(error: av.FFmpegError) -> str:
    """What went wrong, in FFmpeg's words."""
    if error.errno == _REFUSED_AS_ARGUMENT and "Invalid argument" in str(error):
        return "damaged, or a kind (such as a playlist) that is not read"
    return str(error.strerror or error)


def _best_stream(container: InputContainer) -> VideoStream:
    """The stream that players show: no cover picture."""
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise UnreadableVideo("the file has no video stream")
    best = container.streams.best("video")
    stream = best if best in streams else streams[0]
    if not isinstance(stream, VideoStream) or stream.codec_context is None:
        raise UnreadableVideo("nothing here decodes its codec")
    return stream


@contextmanager
def _source(uri: str) -> Iterator[str | BinaryIO]:
    """What PyAV opens: a local path, which its own reader reads faster, or an open file."""
    if not is_remote(uri):
        check_regular(uri)
        with open(uri, "rb"):  # says what FFmpeg would say less clearly
            pass
        yield uri
        return
    with open_uri(uri) as file:
        yield file
