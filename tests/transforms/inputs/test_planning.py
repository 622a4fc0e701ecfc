"""Which items are new, and their shards."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from hierprob3d.transforms.inputs.items import Item, Shard, VideoRange, frame_item, picture_item
from hierprob3d.transforms.inputs.planning import Planner, PlanRules, default_shard_size
from hierprob3d.transforms.inputs.sources import Source

CLIP = str(Path(__file__).resolve().parents[3] / "model" / "assets" / "demo" / "pedestrians.mp4")


def planned(
    uris: list[str], done: Collection[str] = (), **rules: object
) -> tuple[list[Shard], Planner]:
    planner = Planner(list(map(Source, uris)), done, PlanRules(**rules))  # type: ignore[arg-type]
    return list(planner.shards()), planner


def items_of(shards: list[Shard]) -> list[Item]:
    return [item for shard in shards for item in shard.items]


def test_pictures_are_cut_in_order() -> None:
    shards, planner = planned([f"/{i}.jpg" for i in range(7)], shard_size=3)
    assert [[item.uri for item in shard.items] for shard in shards] == [
        ["/0.jpg", "/1.jpg", "/2.jpg"], ["/3.jpg", "/4.jpg", "/5.jpg"], ["/6.jpg"]
    ]  # fmt: skip
    assert [shard.name for shard in shards] == ["00000", "00001", "00002"]
    assert planner.num_pictures == planner.num_items == 7


def test_done_items_are_left_out_and_counted() -> None:
    done = {picture_item("/0.jpg").item_id, frame_item(CLIP, 5, 0.5).item_id}
    shards, planner = planned(["/0.jpg", "/1.jpg", CLIP], done)
    assert planner.num_done == 2
    assert planner.num_items == len(items_of(shards)) == 1 + 27
    assert (planner.num_frames, planner.num_videos) == (27, 1)
    assert 5 not in [item.frame_index for item in items_of(shards)]


def test_limit_counts_new_items_of_all_kinds() -> None:
    done = {picture_item("/0.jpg").item_id}
    shards, _ = planned(["/0.jpg", "/1.jpg", CLIP], done, limit=4)
    assert [item.uri for item in items_of(shards)] == ["/1.jpg", CLIP, CLIP, CLIP]
    assert planned(["/1.jpg", "/2.jpg", CLIP], limit=2)[1].num_videos == 0


def test_video_shards_are_ranges_between_key_frames() -> None:
    # The clip's key frames are its frames 0, 10 and 20.
    shards, _ = planned([CLIP], shard_size=10)
    assert [[item.frame_index for item in shard.items] for shard in shards] == [
        list(range(10)), list(range(10, 20)), list(range(20, 28))
    ]  # fmt: skip
    assert all(isinstance(shard.video, VideoRange) for shard in shards)
    assert shards[0].video is not None and shards[0].video.start_pts is None


def test_a_broken_video_is_one_item_once(tmp_path: Path) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"\0" * 100)
    (shard,), _ = planned([str(path)])
    assert [item.frame_index for item in shard.items] == [None] and shard.video is None
    assert planned([str(path)], {picture_item(str(path)).item_id})[0] == []


def test_sources_keep_their_version() -> None:
    planner = Planner([Source("/0.jpg"), Source("/1.jpg", "7 bytes")], (), PlanRules())
    assert [i.source_version for i in items_of(list(planner.shards()))] == [None, "7 bytes"]


def test_default_shards_give_every_worker_several() -> None:
    assert default_shard_size(8, 2) == 1
    assert default_shard_size(100, 2) == 13
    assert default_shard_size(100_000, 2) == 32
