"""Frames of animated pictures and pages of a TIFF are frames of a video."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image

from hierprob3d.transforms.inputs.items import VideoRange, picture_item
from hierprob3d.transforms.inputs.media_kinds import is_video
from hierprob3d.transforms.inputs.picture_files import UnreadablePicture, read_picture
from hierprob3d.transforms.inputs.planning import Planner, PlanRules
from hierprob3d.transforms.inputs.sources import Source
from hierprob3d.transforms.inputs.videos import index_video, read_frames
from hierprob3d.transforms.prediction.decoding import FrameReader

WHOLE = VideoRange(None, None, by_time=False)
COLOURS = [(10 * i, 20, 200 - 30 * i) for i in range(5)]
KINDS: dict[str, dict[str, Any]] = {
    ".gif": {"duration": [100, 200, 100, 0, 50]},
    ".png": {"duration": [100, 200, 100, 0, 50]},
    ".webp": {"duration": [100, 200, 100, 0, 50], "lossless": True},
    ".tiff": {},
}


def write_animation(path: Path | io.BytesIO, **options: Any) -> None:
    first, *others = (Image.new("RGB", (24, 16), colour) for colour in COLOURS)
    first.save(path, save_all=True, append_images=others, **options)


@pytest.mark.parametrize("suffix", KINDS)
def test_every_frame_is_an_item(suffix: str, tmp_path: Path) -> None:
    moving, still = str(tmp_path / f"moving{suffix}"), str(tmp_path / f"still{suffix}")
    write_animation(Path(moving), **KINDS[suffix])
    Image.new("RGB", (24, 16)).save(still)
    shards = list(Planner([Source(moving), Source(still)], (), PlanRules(shard_size=2)).shards())
    frames = [frame for shard in shards for frame in FrameReader(100).frames(shard)]
    assert [frame.item.frame_index for frame in frames] == [None, 0, 1, 2, 3, 4]
    assert all(frame.error is None and frame.warning is None for frame in frames)
    shown = [frame.image[0, 0].tolist() for frame in frames[1:] if frame.image is not None]
    np.testing.assert_allclose(shown, COLOURS, atol=1)
    one_a_second = suffix == ".tiff"
    times = [float(i) for i in range(5)] if one_a_second else [0.0, 0.1, 0.3, 0.4, 0.5]
    assert [frame.item.time_s for frame in frames[1:]] == times


def test_a_picture_that_is_done_is_not_looked_into(tmp_path: Path) -> None:
    path = str(tmp_path / "a.gif")
    write_animation(Path(path))
    planner = Planner([Source(path)], {picture_item(path).item_id}, PlanRules())
    assert list(planner.shards()) == [] and planner.num_done == 1


def test_remote_animations_are_told_by_their_beginning() -> None:
    fs, data = fsspec.filesystem("memory"), io.BytesIO()
    write_animation(data, format="GIF", loop=0)
    fs.pipe_file("/in/moving.gif", data.getvalue())
    fs.pipe_file("/in/none.png", b"")
    try:
        assert is_video("memory:///in/moving.gif")
        assert not is_video("memory:///in/none.gif") and not is_video("memory:///in/none.png")
    finally:
        fs.rm("/in", recursive=True)


def test_some_frames_can_be_had_alone(tmp_path: Path) -> None:
    write_animation(tmp_path / "a.gif")
    found = dict(read_frames(str(tmp_path / "a.gif"), WHOLE, {3: 0.3, 1: 0.1}, 100))
    assert {number: tuple(p.image[0, 0]) for number, p in found.items()} == {
        1: COLOURS[1],
        3: COLOURS[3],
    }


def test_read_as_a_still_picture_it_says_what_is_left_out(tmp_path: Path) -> None:
    write_animation(tmp_path / "a.webp", lossless=True)
    picture = read_picture(str(tmp_path / "a.webp"), 100)
    assert tuple(picture.image[0, 0]) == COLOURS[0]
    assert picture.warning == "only the first of 5 frames or pages"


def test_thumbnails_and_masks_of_a_tiff_are_no_pages(tmp_path: Path) -> None:
    path = tmp_path / "pyramid.tif"
    pages = [Image.new("RGB", (size, size), (size, 0, 0)) for size in (32, 16, 64)]
    for page, kind in zip(pages, (0, 1, 0), strict=True):
        page.encoderinfo = {"tiffinfo": {254: kind}}
    pages[0].save(path, save_all=True, append_images=pages[1:])
    assert is_video(str(path))
    found = read_frames(str(path), WHOLE, {0: 0.0, 1: 1.0}, 100)
    assert [picture.image.shape[0] for _, picture in found] == [32, 64]


def test_a_damaged_frame_leaves_those_before(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    write_animation(path)
    data = bytearray(path.read_bytes())
    place = data.rindex(b",")  # the last frame's header: make its size absurd
    data[place + 5 : place + 9] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    index = index_video(str(path), 0.01)
    assert len(index.times_s) == 5
    found = list[int]()
    with pytest.raises(UnreadablePicture):
        for number, _ in read_frames(str(path), WHOLE, dict(enumerate(index.times_s)), 0.01):
            found.append(number)
    assert found == [0, 1, 2, 3]


def test_frames_that_are_only_claimed_take_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_animation(path)
    data = path.read_bytes()
    place = data.index(b"acTL")
    chunk = b"acTL" + struct.pack(">II", 1 << 31, 0)
    chunk += struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(data[:place] + chunk + data[place + len(chunk) :])
    assert is_video(str(path))
    tracemalloc.start()
    index = index_video(str(path), 1)
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()
    assert len(index.times_s) == 6  # those that are there, and the first that is not
    with pytest.raises(UnreadablePicture):
        list(read_frames(str(path), WHOLE, {5: 0.5}, 1))


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damaged TIFF tags
def test_what_is_damaged_is_no_animation_or_says_so(suffix: str, tmp_path: Path) -> None:
    path, random = tmp_path / f"a{suffix}", np.random.default_rng(0)
    write_animation(path, **KINDS[suffix])
    data = path.read_bytes()
    for _ in range(40):
        mutated = np.frombuffer(data, np.uint8).copy()
        places = random.integers(0, min(len(data), 300), 6)
        mutated[places] = random.integers(0, 256, 6)
        path.write_bytes(mutated[: random.integers(20, len(data))].tobytes())
        is_video(str(path))
        try:
            index = index_video(str(path), 1)
            list(read_frames(str(path), WHOLE, dict(enumerate(index.times_s)), 1))
        except UnreadablePicture:
            pass
