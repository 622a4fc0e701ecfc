"""Tar archives of pictures: what they hold, members in turn, and archives cut short."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from hierprob3d.transforms.inputs.items import Item, Shard
from hierprob3d.transforms.inputs.listing import list_inputs
from hierprob3d.transforms.inputs.planning import Planner, PlanRules
from hierprob3d.transforms.inputs.tar_archives import TarReader, UnreadableArchive, index_tar
from hierprob3d.transforms.inputs.uris import absolute, archive_of, member_name, member_uri
from hierprob3d.transforms.prediction.decoding import FrameReader

KINDS = frozenset({".png"})
LONG = "far/" * 40 + "below.png"
"""Longer than a header holds: it takes several."""


def picture(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def tar_bytes(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


MEMBERS = {
    "0.png": picture(0), "0.json": b"{}", "./1.png": picture(1), "._1.png": b"-", LONG: picture(2),
    "__MACOSX/3.png": b"-", "bad.png": b"no picture", "4.png": picture(4),
}  # fmt: skip
PICTURES = ["0.png", "./1.png", LONG, "bad.png", "4.png"]


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where an archive may lie; the name of a store's is that of a folder of its own."""
    yield f"memory://{tmp_path.name}" if request.param == "memory" else str(tmp_path)


def write(place: str, data: bytes, name: str = "a.tar") -> str:
    uri = absolute(f"{place}/{name}")
    with fsspec.open(uri, "wb") as file:
        file.write(data)
    return uri


def shards_of(uri: str, **rules: object) -> tuple[list[Shard], Planner]:
    listing = list_inputs([uri])
    planner = Planner(listing.sources, (), PlanRules(**rules), listing.skipped)  # type: ignore[arg-type]
    return list(planner.shards()), planner


def decoded(shards: list[Shard]) -> dict[str, int | str]:
    """Of each item the picture's value, or the error."""
    frames = [frame for shard in shards for frame in FrameReader(100).frames(shard)]
    return {f.item.uri: str(f.error) if f.image is None else int(f.image[0, 0, 0]) for f in frames}


def test_members_are_items_with_uris_that_others_open(place: str) -> None:
    uri = write(place, tar_bytes(MEMBERS))
    shards, planner = shards_of(place, shard_size=2)
    items: list[Item] = [item for shard in shards for item in shard.items]
    assert [item.uri for item in items] == [member_uri(uri, name) for name in PICTURES]
    assert len({item.source_version for item in items}) == 1 and items[0].source_version
    assert planner.skipped == {".json": 1, "__MACOSX": 1}
    assert (
        {archive_of(item.uri) for item in items} == {shard.container for shard in shards} == {uri}
    )
    for item in items[:3]:
        assert absolute(item.uri) == item.uri or member_name(item.uri).startswith("./")
        with fsspec.open(item.uri) as file:
            assert file.read() == MEMBERS[member_name(item.uri)]


def test_members_are_decoded_in_turn_and_fail_alone(place: str) -> None:
    uri = write(place, tar_bytes(MEMBERS))
    shards, _ = shards_of(uri, shard_size=2)
    found = decoded(shards)
    bad = found.pop(member_uri(uri, "bad.png"))
    assert bad == "not a picture of a known format"
    assert list(found.values()) == [0, 1, 2, 4]


def test_an_item_alone_is_found_behind_those_before_it(place: str) -> None:
    shards, _ = shards_of(write(place, tar_bytes(MEMBERS)), shard_size=10)
    (shard,) = shards
    assert list(decoded([Shard(0, shard.items[4:], shard.details)]).values()) == [4]


@pytest.mark.parametrize(("cut", "whole"), [("header", 2), ("data", 2), ("end mark", 3)])
def test_an_archive_cut_short_is_one_error_and_the_rest_is_done(
    place: str, cut: str, whole: int
) -> None:
    data = tar_bytes({f"{i}.png": picture(i) for i in range(3)})
    last = tarfile.open(fileobj=io.BytesIO(data)).getmembers()[2]
    ends = {"header": last.offset + 100, "data": last.offset_data + 10,
            "end mark": last.offset_data + 512}  # fmt: skip
    uri = write(place, data[: ends[cut]])
    shards, planner = shards_of(uri)
    found = decoded(shards)
    assert planner.num_pictures == len(found) == whole + 1
    assert f"is cut short or damaged ({'unexpected' if cut == 'data' else 'it has no'}" in str(
        found.pop(uri)
    )
    assert found == {member_uri(uri, f"{i}.png"): i for i in range(whole)}


@pytest.mark.parametrize("data", [b"", b"no archive at all" * 100])
def test_what_is_no_archive_is_one_error(place: str, data: bytes) -> None:
    uri = write(place, data)
    shards, _ = shards_of(uri)
    (text,) = decoded(shards).values()
    assert str(text).startswith(f"the archive {uri} cannot be read")


def test_videos_in_archives_are_videos(tmp_path: Path) -> None:
    clip = Path(__file__).resolve().parents[3] / "model" / "assets" / "demo" / "pedestrians.mp4"
    uri = write(str(tmp_path), tar_bytes({"0.png": picture(0), "clip.mp4": clip.read_bytes()}))
    shards, planner = shards_of(uri, frame_step=20)
    assert (planner.num_pictures, planner.num_frames, planner.num_videos) == (1, 2, 1)
    assert [f.error for shard in shards for f in FrameReader(100).frames(shard)] == [None] * 3


def test_a_member_given_by_itself_as_well_is_one_item(tmp_path: Path) -> None:
    uri = write(str(tmp_path), tar_bytes({"0.png": picture(0), "1.png": picture(1)}))
    listing = list_inputs([member_uri(uri, "1.png"), uri])
    shards = Planner(listing.sources, (), PlanRules()).shards()
    names = [item.uri for shard in shards for item in shard.items]
    assert sorted(names) == [member_uri(uri, "0.png"), member_uri(uri, "1.png")]


def test_a_member_that_is_gone_says_so(place: str) -> None:
    uri = write(place, tar_bytes({"0.png": picture(0)}))
    with TarReader(uri, 0) as members:
        with pytest.raises(UnreadableArchive, match=r"no member 1\.png any more"):
            members.read("1.png")
        assert members.read("0.png") == picture(0)


def test_an_empty_archive_is_no_error(place: str) -> None:
    index = index_tar(write(place, tar_bytes({})), KINDS)
    assert index.members == [] and index.damage is None
