"""Plans: what is written is what workers read, whatever its size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hierprob3d.transforms.inputs.items import Shard, VideoRange, frame_item, picture_item
from hierprob3d.transforms.store import plan as plans
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.store.plan import (
    SOURCE_DETAILS,
    Plan,
    PlanWriter,
    read_shard,
    shard_refs,
    shard_sizes,
)

ODD_NAME = b"/pictures/\xff.jpg".decode("utf-8", errors="surrogateescape")
SHARDS = [
    Shard(0, (picture_item("/a.jpg", "12 bytes"), picture_item(ODD_NAME))),
    Shard(1, (replace(picture_item("/b.jpg"), attempts=2, refusal="it ended its worker"),)),
    Shard(2, tuple(frame_item("/c.mp4", i, i / 25) for i in range(5)),
          {"start_pts": None, "end_pts": 512, "by_time": True}),
]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> OutputFolder:
    folder = OutputFolder(str(tmp_path / "out"))
    folder.create()
    return folder


def write(store: OutputFolder, shards: list[Shard]) -> Plan:
    with PlanWriter(store, "run", SOURCE_DETAILS) as writer:
        for shard in shards:
            writer.add(shard.items, shard.details)
    return writer.plan()


@pytest.mark.parametrize("rows_per_group", [1, 4, 4096])
def test_shards_come_back_as_they_were(
    store: OutputFolder, monkeypatch: pytest.MonkeyPatch, rows_per_group: int
) -> None:
    monkeypatch.setattr(plans, "ROWS_PER_GROUP", rows_per_group)
    plans._row_group.cache_clear()
    plan = write(store, SHARDS)
    assert (plan.num_items, plan.num_shards) == (8, 3)
    found = [read_shard(store, ref) for ref in shard_refs(store, plan)]
    assert [shard.items for shard in found] == [shard.items for shard in SHARDS]
    assert [shard.video for shard in found] == [None, None, VideoRange(None, 512)]
    assert shard_sizes(store, plan) == {"00000": 2, "00001": 1, "00002": 5}


def test_numbers_of_a_second_plan_go_on(store: OutputFolder) -> None:
    with PlanWriter(store, "run.1", first_index=3) as writer:
        writer.add(SHARDS[0].items)
        writer.add(SHARDS[1].items)
    assert [ref.index for ref in shard_refs(store, writer.plan())] == [3, 4]


def test_a_plan_that_fails_midway_is_not_published(store: OutputFolder) -> None:
    with pytest.raises(RuntimeError), PlanWriter(store, "run") as writer:
        writer.add(SHARDS[0].items)
        raise RuntimeError
    assert store.names("runs") == []


def test_plans_of_killed_runs_are_swept(store: OutputFolder) -> None:
    write(store, SHARDS)
    assert store.sweep() == 1 and store.names("runs") == []
