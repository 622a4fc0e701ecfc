"""Which files are videos, by their extension or their first bytes."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hierprob3d.transforms.inputs.frame_counts import full_pages, holds_frames
from hierprob3d.transforms.inputs.media_kinds import is_video, videos_among

KINDS: dict[str, dict[str, Any]] = {"GIF": {}, "PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}}


def encode(kind: str, num_frames: int, **options: Any) -> bytes:
    first, *others = (Image.new("RGB", (9, 7), (20 * i, 0, 0)) for i in range(num_frames))
    data = io.BytesIO()
    first.save(data, kind, save_all=True, append_images=others, **KINDS[kind], **options)
    return data.getvalue()


def test_videos_by_extension() -> None:
    assert is_video("a.MP4") and is_video("s3://x/y.webm") and not is_video("mp4.jpg")


@pytest.mark.parametrize("kind", KINDS)
def test_several_frames_are_told_from_one(kind: str) -> None:
    assert not holds_frames(io.BytesIO(encode(kind, 1)))
    for num_frames in (2, 5):
        assert holds_frames(io.BytesIO(encode(kind, num_frames)))


def test_an_animated_png_behind_long_metadata() -> None:
    data = encode("PNG", 3)
    chunk = (100_000).to_bytes(4) + b"tEXt" + bytes(100_000) + bytes(4)
    assert holds_frames(io.BytesIO(data[:33] + chunk + data[33:]))


def test_pages_of_a_tiff_in_a_circle_come_to_an_end() -> None:
    data = bytearray(encode("TIFF", 2))
    first = int.from_bytes(data[4:8], "little")
    (second,) = [place for place in range(len(data) - 4) if is_link(data, place, first)][:1]
    data[second : second + 4] = first.to_bytes(4, "little")  # the first page's next is itself
    assert full_pages(io.BytesIO(data)) == [0]


def is_link(data: bytearray, place: int, first: int) -> bool:
    """Whether the place is where the first directory names the next."""
    num_entries = int.from_bytes(data[first : first + 2], "little")
    return place == first + 2 + 12 * num_entries


def test_known_pictures_are_not_looked_into(tmp_path: Path) -> None:
    path = str(tmp_path / "a.gif")
    Path(path).write_bytes(encode("GIF", 3))
    assert videos_among([path, "/b.mp4", "/c.jpg"], lambda uri: False) == {path, "/b.mp4"}
    assert videos_among([path, "/b.mp4", "/c.jpg"], lambda uri: True) == {"/b.mp4"}


def test_what_cannot_be_looked_into_is_no_video(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gif")
    for name in ("pipe.gif", "none.gif", "nosuchproto://x.gif", "a\0b.gif"):
        assert not is_video(name if "://" in name else str(tmp_path / name))


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_answered(kind: str) -> None:
    data, random = encode(kind, 3), np.random.default_rng(0)
    for _ in range(200):
        mutated = np.frombuffer(data, np.uint8).copy()
        mutated[random.integers(0, len(data), 5)] = random.integers(0, 256, 5)
        assert holds_frames(io.BytesIO(mutated[: random.integers(0, len(data))])) in (True, False)
