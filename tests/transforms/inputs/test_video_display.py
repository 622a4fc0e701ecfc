"""Frames are what a player shows, whatever the file stores."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from hierprob3d.transforms.inputs.picture_files import UnreadablePicture
from hierprob3d.transforms.inputs.video_display import shown_size
from hierprob3d.transforms.inputs.video_index import split_video
from hierprob3d.transforms.inputs.videos import index_video, read_frames

SIDE = 64
ONE = 1 << 16

# As ISO 14496-12 defines the matrix: a place (x, y) is shown at (a x + c y, b x + d y).
MATRICES = {
    "as stored": (1, 0, 0, 1),
    "left and right changed": (-1, 0, 0, 1),
    "top and bottom changed": (1, 0, 0, -1),
    "half a turn": (-1, 0, 0, -1),
    "quarter clockwise": (0, 1, -1, 0),
    "quarter anticlockwise": (0, -1, 1, 0),
    "diagonals": (0, 1, 1, 0),
    "other diagonal": (0, -1, -1, 0),
}


def pattern(height: int = SIDE, width: int = SIDE) -> np.ndarray:
    """No turn or mirror maps it to itself."""
    image = np.full((height, width, 3), 128, np.uint8)
    image[: height // 2] = (200, 60, 60)
    image[: height // 4, : width // 4] = 255
    image[height // 2 :, : width // 2] = (40, 40, 160)
    return image


def write_video(
    path: Path, image: np.ndarray, codec: str = "libx264", aspect: Fraction | None = None
) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options={"crf": "1"})
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "yuv420p"
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def write_matrix(path: Path, matrix: tuple[int, int, int, int]) -> None:
    data = bytearray(path.read_bytes())
    start = data.find(struct.pack(">9i", ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30), data.find(b"tkhd"))
    a, b, c, d = (ONE * entry for entry in matrix)
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def frames_of(path: Path) -> list[np.ndarray]:
    index = index_video(str(path), 100)
    found = dict[int, np.ndarray]()
    for video_range, frames in split_video(index, range(len(index.times_s)), 100):
        wanted = {frame: index.times_s[frame] for frame in frames}
        for number, picture in read_frames(str(path), video_range, wanted, 100):
            found[number] = picture.image
    return [found[number] for number in sorted(found)]


@pytest.mark.parametrize("name", MATRICES)
def test_display_matrix(name: str, tmp_path: Path) -> None:
    a, b, c, d = MATRICES[name]
    stored = pattern(48, SIDE)
    write_video(tmp_path / "clip.mp4", stored)
    expected = frames_of(tmp_path / "clip.mp4")[0]
    write_matrix(tmp_path / "clip.mp4", MATRICES[name])
    shown = frames_of(tmp_path / "clip.mp4")[0]
    height, width = expected.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    x, y = a * columns + c * rows, b * columns + d * rows
    by_hand = np.zeros((np.ptp(y) + 1, np.ptp(x) + 1, 3), np.uint8)
    by_hand[y - y.min(), x - x.min()] = expected
    np.testing.assert_array_equal(shown, by_hand)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_pixels_that_are_not_square(suffix: str, tmp_path: Path) -> None:
    write_video(tmp_path / f"wide{suffix}", pattern(SIDE, 48), aspect=Fraction(4, 3))
    (first, *_) = frames_of(tmp_path / f"wide{suffix}")
    assert first.shape == (SIDE, SIDE, 3)
    assert np.abs(first.astype(int) - pattern()).mean() < 8


def test_square_pixels_lose_no_row_or_column() -> None:
    assert shown_size(720, 576, Fraction(64, 45)) == (1024, 576)
    assert shown_size(720, 480, Fraction(8, 9)) == (720, 540)
    assert shown_size(64, 48, None) == (64, 48)


def test_a_frame_that_grows_by_its_pixels_aspect_is_limited(tmp_path: Path) -> None:
    write_video(tmp_path / "wide.mp4", pattern(SIDE, 48), aspect=Fraction(20, 1))
    with pytest.raises(UnreadablePicture, match="960 x 64 px"):
        index_video(str(tmp_path / "wide.mp4"), 0.05)


@pytest.mark.parametrize("suffix", [".ts", ".h264"])
def test_frames_that_change_their_size_midway(suffix: str, tmp_path: Path) -> None:
    parts = []
    for side in (SIDE, 2 * SIDE):
        part = tmp_path / f"{side}{suffix}"
        write_video(part, pattern(side, side))
        parts.append(part.read_bytes())
    path = tmp_path / f"both{suffix}"
    path.write_bytes(b"".join(parts))
    assert [frame.shape[0] for frame in frames_of(path)] == [SIDE] * 3 + [2 * SIDE] * 3


def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mkv"
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        film = container.add_stream("libx264", rate=10)
        film.width, film.height, film.pix_fmt = SIDE, SIDE, "yuv420p"
        for stream, size in ((cover, 32), (film, SIDE), (film, SIDE)):
            frame = av.VideoFrame.from_ndarray(pattern(size, size), format="rgb24")
            container.mux(stream.encode(frame))
        for stream in (cover, film):
            container.mux(stream.encode(None))
    assert [frame.shape[0] for frame in frames_of(path)] == [SIDE] * 2
