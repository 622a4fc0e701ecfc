"""Video ranges deliver every frame once, whatever the stream is like."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import av
import fsspec
import numpy as np
import pytest
from PIL import Image

from hierprob3d.transforms.inputs.items import (
    InterruptedWork,
    Shard,
    VideoRange,
    frame_item,
    picture_item,
)
from hierprob3d.transforms.inputs.picture_files import UnreadablePicture
from hierprob3d.transforms.inputs.video_index import (
    UnreadableVideo,
    VideoIndex,
    select_frames,
    split_video,
)
from hierprob3d.transforms.inputs.video_streams import open_stream
from hierprob3d.transforms.inputs.videos import index_video, read_frames
from hierprob3d.transforms.prediction.decoding import FrameReader

NUM_FRAMES = 40
WIDTH, HEIGHT = 64, 48

STREAMS = {
    "closed.mp4": ("libx264", {"g": "8", "bf": "2", "x264-params": "open-gop=0:scenecut=0"}),
    "open.mp4": ("libx264", {"g": "8", "bf": "3", "x264-params": "open-gop=1:scenecut=0"}),
    "long.mkv": ("libx264", {"g": "300", "bf": "2"}),
    "broadcast.ts": ("mpeg2video", {"g": "10", "bf": "2"}),
    "old.avi": ("mpeg4", {"g": "10"}),
    "web.webm": ("libvpx-vp9", {"g": "10", "cpu-used": "8"}),
}


def make_video(path: Path, codec: str, options: dict[str, str]) -> None:
    """Frames whose brightness is their number, with a light that wanders."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options=options)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(NUM_FRAMES):
            image = np.full((HEIGHT, WIDTH, 3), 20 + 5 * number, np.uint8)
            image[:8, number : number + 8] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture(scope="module", params=STREAMS)
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    codec, options = STREAMS[request.param]
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no encoder {codec}")
    path = tmp_path_factory.mktemp("video") / request.param
    make_video(path, codec, options)
    return str(path)


def decode_all(path: str) -> list[np.ndarray]:
    with av.open(path) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def times(index: VideoIndex, frames: Iterable[int]) -> dict[int, float]:
    return {frame: index.times_s[frame] for frame in frames}


@pytest.mark.parametrize("shard_size", [1, 7, 100])
def test_ranges_hold_every_frame_once(video: str, shard_size: int) -> None:
    expected = decode_all(video)
    index = index_video(video, 100)
    assert len(index.times_s) == len(expected) == NUM_FRAMES
    found: dict[int, np.ndarray] = {}
    for video_range, frames in split_video(index, range(NUM_FRAMES), shard_size):
        for number, picture in read_frames(video, video_range, times(index, frames), 100):
            assert number not in found
            found[number] = picture.image
    assert sorted(found) == list(range(NUM_FRAMES))
    assert all((found[i] == expected[i]).all() for i in found)


def test_chosen_frames_are_those_frames(video: str) -> None:
    index = index_video(video, 100)
    wanted = select_frames(index, 7, None)
    assert wanted == (0, 7, 14, 21, 28, 35)
    for video_range, frames in split_video(index, wanted, 2):
        for number, picture in read_frames(video, video_range, times(index, frames), 100):
            assert abs(int(picture.image[30, 30, 0]) - (20 + 5 * number)) <= 4


def test_frames_per_second() -> None:
    index = VideoIndex(tuple(0.1 * i for i in range(28)), None, (0,))
    assert select_frames(index, 1, 1.0) == (0, 10, 20)
    assert select_frames(index, 1, 5.0) == tuple(range(0, 28, 2))
    assert select_frames(index, 1, 100.0) == tuple(range(28))


def test_ranges_begin_at_key_frames_and_skip_what_nobody_wants() -> None:
    index = VideoIndex(tuple(float(i) for i in range(30)), tuple(range(100, 130)), (0, 10, 20))
    ranges = list(split_video(index, [12, 13, 25], 1))
    assert ranges == [
        (VideoRange(110, 120), (12, 13)),
        (VideoRange(120, None), (25,)),
    ]
    assert list(split_video(index, [2, 12], 5)) == [(VideoRange(None, None), (2, 12))]


def test_times_without_order_make_one_range() -> None:
    index = VideoIndex((0.0, 0.1, 0.2), None, (0,))
    whole = VideoRange(None, None, by_time=False)
    assert list(split_video(index, [0, 1, 2], 1)) == [(whole, (0, 1, 2))]


def test_not_a_video(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("no video at all")
    with pytest.raises(UnreadableVideo, match="not a readable video"):
        index_video(str(path), 100)
    with pytest.raises(FileNotFoundError):
        index_video(str(tmp_path / "none.mp4"), 100)


def test_frames_above_the_pixel_limit(video: str) -> None:
    with pytest.raises(UnreadablePicture, match="64 x 48 px are more"):
        index_video(video, 0.001)


def test_a_damaged_end_leaves_the_beginning(tmp_path: Path) -> None:
    path = tmp_path / "cut.ts"
    make_video(path, "mpeg2video", {"g": "10"})
    index = index_video(str(path), 100)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    items = tuple(frame_item(str(path), i, t) for i, t in enumerate(index.times_s))
    shard = Shard(0, items, asdict(VideoRange(None, None)))
    frames = list(FrameReader(100).frames(shard))
    assert {frame.item for frame in frames} == set(items)
    good = [frame.item.frame_index for frame in frames if frame.image is not None]
    bad = [frame for frame in frames if frame.image is None]
    assert good == list(range(len(good))) and 5 < len(good) < NUM_FRAMES
    assert bad and all(frame.error is not None for frame in bad)


@pytest.mark.parametrize("name", ["damaged.mkv", "damaged.avi"])
def test_one_bad_packet_costs_one_frame(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    make_video(path, "mjpeg", {})
    expected = decode_all(str(path))
    with av.open(str(path)) as container:
        packet = next(p for n, p in enumerate(container.demux(video=0)) if n == 11)
        bad = bytes(packet)
    path.write_bytes(path.read_bytes().replace(bad, bytes(len(bad))))
    index = index_video(str(path), 100)
    assert len(index.times_s) == NUM_FRAMES
    found: dict[int, np.ndarray | None] = {}
    for video_range, frames in split_video(index, range(NUM_FRAMES), 16):
        items = tuple(frame_item(str(path), i, index.times_s[i]) for i in frames)
        for frame in FrameReader(100).frames(Shard(0, items, asdict(video_range))):
            assert frame.item.frame_index is not None
            found[frame.item.frame_index] = frame.image
            assert (frame.error is None) == (frame.item.frame_index != 11), frame.error
    assert sorted(found) == list(range(NUM_FRAMES))
    for number in set(range(NUM_FRAMES)) - {11}:
        np.testing.assert_array_equal(found[number], expected[number])


def test_a_video_without_index_fails_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"\0" * 100)
    (frame,) = FrameReader(100).frames(Shard(0, (picture_item(str(path)),)))
    assert isinstance(frame.error, UnreadableVideo)


def write_growing(path: Path, sides: Iterable[int]) -> None:
    """Motion JPEG whose frames are of several sizes; the header knows the first."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuvj420p"
        for index, side in enumerate(sides):
            data = io.BytesIO()
            Image.new("RGB", (side, side), (90, 90, 90)).save(data, "JPEG")
            packet = av.Packet(data.getvalue())
            packet.stream, packet.pts, packet.dts = stream, index, index
            packet.time_base, packet.is_keyframe = Fraction(1, 10), True
            container.mux(packet)


@pytest.mark.parametrize("shard_size", [100, 2, 1])
@pytest.mark.parametrize("suffix", [".avi", ".mjpeg"])
def test_a_frame_that_grows_above_the_limit_is_one_error(
    suffix: str, shard_size: int, tmp_path: Path
) -> None:
    path = str(tmp_path / f"growing{suffix}")
    write_growing(Path(path), (64, 64, 600, 64, 80))
    index = index_video(path, 0.1)
    found = {}
    for video_range, frames in split_video(index, range(5), shard_size):
        items = tuple(frame_item(path, i, index.times_s[i]) for i in frames)
        shard = Shard(0, items, asdict(video_range))
        found |= {f.item.frame_index: f for f in FrameReader(0.1).frames(shard)}
    heights = [None if found[i].image is None else found[i].image.shape[0] for i in range(5)]  # type: ignore[union-attr]
    assert heights == [64, 64, None, 64, 80]
    assert "more than 0.1 megapixels (--max-megapixels" in str(found[2].error)


def test_a_frame_that_takes_too_much_memory_is_one_error(tmp_path: Path) -> None:
    path = str(tmp_path / "growing.avi")
    write_growing(Path(path), (64, 64, 600, 64, 80))
    index = index_video(path, 100)
    ((video_range, frames),) = split_video(index, range(5), 100)
    found = list[int]()
    with pytest.raises(UnreadableVideo, match=r"more than 0\.\d+ megapixels .*memory allows"):
        for number, _ in read_frames(path, video_range, times(index, frames), 100, 5_000_000):
            found.append(number)
    assert sorted(found) == [0, 1, 3, 4]


def write_playlists(folder: Path, clip: str) -> list[Path]:
    """Files that name other files to be opened."""
    texts = {
        "list.mp4": f"ffconcat version 1.0\nfile '{clip}'\n",
        "hls.ts": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n",
        "sdp.mov": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        "dash.mkv": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period>'
        f"<AdaptationSet><Representation><BaseURL>{clip}</BaseURL></Representation>"
        "</AdaptationSet></Period></MPD>",
        "frame%d.mp4": "no picture",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [folder / name for name in texts]


def test_no_other_file_is_opened_on_behalf_of_one(tmp_path: Path) -> None:
    make_video(tmp_path / "clip.ts", "mpeg2video", {})
    for path in write_playlists(tmp_path, "clip.ts"):
        with pytest.raises(UnreadableVideo, match="not a readable video"):
            index_video(str(path), 100)


def test_any_trouble_with_a_file_is_an_unreadable_video(tmp_path: Path) -> None:
    path = tmp_path / "title.avi"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "CafeXX holiday"
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    path.write_bytes(data.replace(b"CafeXX", b"Caf\xe9 e"))
    assert len(index_video(str(path), 100).times_s) == 1  # a title in Latin-1 costs nothing
    path.write_bytes(data.replace(b"FMP4", b"CRAW"))
    with pytest.raises(UnreadableVideo, match="nothing here decodes its codec"):
        index_video(str(path), 100)


def test_an_end_from_outside_is_no_damage(tmp_path: Path) -> None:
    make_video(tmp_path / "clip.ts", "mpeg2video", {})
    with pytest.raises(InterruptedWork), open_stream(str(tmp_path / "clip.ts"), 100):
        raise InterruptedWork("too long")


def test_remote_videos_and_any_limit(video: str) -> None:
    fs = fsspec.filesystem("memory")
    uri = f"memory:///in/{Path(video).name}"
    fs.pipe_file(uri, Path(video).read_bytes())
    try:
        index = index_video(uri, 1e9)
        assert index == index_video(video, float("inf"))
        ((video_range, frames),) = split_video(index, range(NUM_FRAMES), 100)
        found = dict(read_frames(uri, video_range, times(index, frames), 1e9))
        assert len(found) == NUM_FRAMES
    finally:
        fs.rm("/in", recursive=True)


def test_indexing_has_a_time_limit(video: str) -> None:
    with pytest.raises(UnreadableVideo, match="takes longer than allowed|not a readable video"):
        index_video(video, 100, time_limit_s=0.0)


@pytest.mark.parametrize("name", ["closed.mp4", "broadcast.ts", "old.avi", "web.webm"])
def test_mutated_files_raise_what_is_announced(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    make_video(path, *STREAMS[name])
    data, random = path.read_bytes(), np.random.default_rng(0)
    for _ in range(25):
        mutated = np.frombuffer(data, np.uint8).copy()
        places = random.integers(0, len(data) if random.random() < 0.5 else 400, 8)
        mutated[places] = random.integers(0, 256, 8)
        path.write_bytes(mutated[: random.integers(200, len(data))].tobytes())
        try:
            index = index_video(str(path), 1, time_limit_s=10)
            for video_range, frames in split_video(index, range(len(index.times_s)), 16):
                list(read_frames(str(path), video_range, times(index, frames), 1))
        except (UnreadableVideo, UnreadablePicture):
            pass
