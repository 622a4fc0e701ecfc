"""Pictures of several frames or pages: found and decoded one after the other, like a video's.

Pillow lays the frames of an animation over each other as its format says. Pages of a TIFF count as
one a second; thumbnails and masks among them are no pages.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from .encoded_picture import UnreadablePicture
from .frame_counts import full_pages
from .orientation import turn_upright
from .picture_files import Picture, check_size, damage_told, read_encoded, rgb_of
from .picture_formats import examine, open_picture, orientation_of
from .picture_memory import fit_memory
from .video_index import UnreadableVideo, VideoIndex

_SHORTEST_MS = 10
_DEFAULT_MS = 100
"""What browsers take instead of a shorter time, or none."""


def index_animation(uri: str, max_megapixels: float, deadline: float | None) -> VideoIndex:
    """Frames or pages of the picture at a path or fsspec URI, with their times.

    Of a damaged one, those up to the first that cannot be decoded.

    Args:
        uri: Of the picture.
        max_megapixels: Larger ones are refused.
        deadline: By the monotonic clock; None for any time.

    Raises:
        UnreadableVideo: Not indexed in time.
        UnreadablePicture: Damaged from the beginning, or larger than the limit.
        OSError: The file cannot be opened.
    """
    animation = _Animation(uri, max_megapixels)
    times, now = list[float](), 0.0
    for number in range(animation.num_frames):
        if deadline is not None and time.monotonic() > deadline:
            raise UnreadableVideo("finding the frames of the picture takes longer than allowed")
        times.append(round(now, 3))
        try:
            now += animation.seconds(number)
        except UnreadablePicture:
            if number == 0:
                raise
            break  # the frames before can be had, and reading this one says what is wrong
    return VideoIndex(tuple(times), None, (0,))


def read_animation(
    uri: str,
    wanted: Iterable[int],
    max_megapixels: float,
    memory_limit_bytes: int | None = None,
) -> Iterator[tuple[int, Picture]]:
    """Number and picture of the wanted frames, ascending.

    Raises:
        UnreadablePicture: The picture cannot be opened, or some frames cannot be had; then at the
            end.
        OSError: The file cannot be opened.
    """
    animation = _Animation(uri, max_megapixels)
    problem: UnreadablePicture | None = None
    for number in sorted(wanted):
        try:
            picture = animation.picture(number, memory_limit_bytes)
        except UnreadablePicture as error:
            problem = error
            continue
        yield number, picture
    if problem is not None:
        raise problem


class _Animation:
    """A picture of several frames or pages, with its header read.

    Args:
        uri: Path or fsspec URI.
        max_megapixels: Larger ones are refused.
    """

    def __init__(self, uri: str, max_megapixels: float) -> None:
        data = read_encoded(uri)
        self._max_megapixels = max_megapixels
        with damage_told():
            self._encoded = examine(data)
            self._picture = cast(Any, open_picture(self._encoded))
            check_size(self._picture.width, self._picture.height, max_megapixels)
            self._is_paged = self._picture.format == "TIFF"
            is_one = not getattr(self._picture, "is_animated", False)
            # A file may claim any number of frames: no list of them is made before they are seen.
            self._places: Sequence[int] = range(1 if is_one else self._picture.n_frames)
            if self._is_paged and not is_one:
                self._places = full_pages(io.BytesIO(data)) or [0]

    @property
    def num_frames(self) -> int:
        """Frames, or pages that are neither thumbnails nor masks."""
        return len(self._places)

    def seconds(self, number: int) -> float:
        """How long a frame is shown."""
        if self._is_paged:
            return 1.0
        with damage_told():
            self._go_to(number)
            self._picture.load()
            shown_ms = float(self._picture.info.get("duration") or 0)
        return (shown_ms if shown_ms > _SHORTEST_MS else _DEFAULT_MS) / 1000

    def picture(self, number: int, memory_limit_bytes: int | None) -> Picture:
        """A frame or page, upright."""
        with damage_told():
            self._go_to(number)
            fit_memory(self._picture, self._encoded, memory_limit_bytes)
            self._picture.load()
            image, warning = rgb_of(self._picture, self._encoded)
            orientation = orientation_of(self._picture, self._encoded)
        return Picture(turn_upright(image, orientation), warning)

    def _go_to(self, number: int) -> None:
        """Frames may be larger than the first."""
        self._picture.seek(self._places[number])
        check_size(self._picture.width, self._picture.height, self._max_megapixels)
