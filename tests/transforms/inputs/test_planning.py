"""Which items are new, and their shards."""

from __future__ import annotations

from pathlib import Path

from hierprob3d.transforms.inputs.items import frame_item, picture_item
from hierprob3d.transforms.inputs.planning import (
    FrameRule,
    cut_into_shards,
    default_shard_size,
    find_work,
)

CLIP = str(Path(__file__).resolve().parents[3] / "model" / "assets" / "demo" / "pedestrians.mp4")
RULE = FrameRule()


def test_pictures_are_cut_in_order() -> None:
    work = find_work([f"/{i}.jpg" for i in range(7)], set(), RULE)
    shards = cut_into_shards(work, 3)
    assert [[item.uri for item in shard.items] for shard in shards] == [
        ["/0.jpg", "/1.jpg", "/2.jpg"], ["/3.jpg", "/4.jpg", "/5.jpg"], ["/6.jpg"]
    ]  # fmt: skip
    assert [shard.name for shard in shards] == ["00000", "00001", "00002"]


def test_done_items_are_left_out_and_counted() -> None:
    done = {picture_item("/0.jpg").item_id, frame_item(CLIP, 5, 0.5).item_id}
    work = find_work(["/0.jpg", "/1.jpg", CLIP], done, RULE)
    assert work.num_done == 2
    assert work.num_items == 1 + 27
    assert 5 not in [item.frame_index for item in work.items()]


def test_limit_counts_new_items_of_all_kinds() -> None:
    done = {picture_item("/0.jpg").item_id}
    work = find_work(["/0.jpg", "/1.jpg", CLIP], done, RULE, limit=4)
    assert [item.uri for item in work.items()] == ["/1.jpg", CLIP, CLIP, CLIP]
    assert find_work(["/1.jpg", "/2.jpg", CLIP], set(), RULE, limit=2).videos == []


def test_video_shards_are_ranges_between_key_frames() -> None:
    # The clip's key frames are its frames 0, 10 and 20.
    shards = cut_into_shards(find_work([CLIP], set(), RULE), 10)
    assert [[item.frame_index for item in shard.items] for shard in shards] == [
        list(range(10)), list(range(10, 20)), list(range(20, 28))
    ]  # fmt: skip


def test_a_broken_video_is_one_item_once(tmp_path: Path) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"\0" * 100)
    work = find_work([str(path)], set(), RULE)
    assert [item.frame_index for item in work.items()] == [None]
    assert find_work([str(path)], {picture_item(str(path)).item_id}, RULE).num_items == 0


def test_default_shards_give_every_worker_several() -> None:
    assert default_shard_size(8, 2) == 1
    assert default_shard_size(100, 2) == 13
    assert default_shard_size(100_000, 2) == 32
