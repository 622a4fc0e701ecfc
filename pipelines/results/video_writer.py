"""Pictures in time as an mp4 that every player and browser shows."""

from __future__ import annotations

from fractions import Fraction
from types import TracebackType

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from hierprob3d.model.picture.drawing import Picture

_TICKS = 90_000
"""A second in the units of the stream's times."""

_OPTIONS = {"crf": "20", "preset": "veryfast"}


class VideoWriter:
    """Writes an H.264 mp4, which is whole after the `with` block.

    Args:
        path: Local path of the file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._stream: VideoStream | None = None
        self._last = -1

    @property
    def has_frames(self) -> bool:
        """Whether there is a video at all."""
        return self._stream is not None

    def __enter__(self) -> VideoWriter:
        self._container = av.open(self._path, "w", format="mp4")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._stream is not None and kind is None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def add(self, picture: Picture, time_s: float) -> bool:
        """Shows a picture from this time on; False, and nothing, if a later one is there already.

        Args:
            picture: Made to fit the size of the first.
            time_s: Seconds from the beginning.
        """
        ticks = round(time_s * _TICKS)
        if ticks <= self._last:
            return False
        self._last = ticks
        if self._stream is None:
            self._stream = self._open(picture)
        frame = av.VideoFrame.from_ndarray(self._fitted(picture, self._stream), format="rgb24")
        frame.pts, frame.time_base = ticks, Fraction(1, _TICKS)
        self._container.mux(self._stream.encode(frame))
        return True

    def _open(self, picture: Picture) -> VideoStream:
        stream = self._container.add_stream("libx264", rate=30, options=_OPTIONS)
        stream.height, stream.width = (max(2, side - side % 2) for side in picture.shape[:2])
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS)
        return stream

    @staticmethod
    def _fitted(picture: Picture, stream: VideoStream) -> np.ndarray:
        height, width = picture.shape[:2]
        if abs(height - stream.height) > 1 or abs(width - stream.width) > 1:
            size = (stream.width, stream.height)
            return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        fitted = picture[: stream.height, : stream.width]
        return np.ascontiguousarray(fitted)
