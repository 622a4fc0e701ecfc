"""Plans in parts: every item in one part, parts about equal, and each reads its own rows alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from hierprob3d.transforms.inputs.items import Shard, picture_item
from hierprob3d.transforms.store import part_plan as part_plans
from hierprob3d.transforms.store.locking import FolderInUse
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.store.part_plan import (
    PartPlan,
    check_no_open_plan,
    cut_plan,
    part_shards,
    read_part_plan,
    write_part_plan,
)
from hierprob3d.transforms.store.part_runs import part_run_id, part_series
from hierprob3d.transforms.store.plan import PlanWriter

RUN = "20261129T130000Z-012345"


@pytest.fixture
def store(tmp_path: Path) -> OutputFolder:
    folder = OutputFolder(str(tmp_path / "out"))
    folder.create()
    return folder


def planned(store: OutputFolder, sizes: list[int], num_parts: int) -> PartPlan:
    """A plan of shards with so many items, in parts."""
    details = pa.schema([("place", pa.int32())])
    names = (f"/{number}.jpg" for number in range(10**6))
    with PlanWriter(store, "run", details) as writer:
        for place, size in enumerate(sizes):
            writer.add([picture_item(next(names)) for _ in range(size)], {"place": place})
    cut, per_part = cut_plan(store, writer.plan(), "plan", num_parts, details)
    return PartPlan(
        plan_id="plan", command="predict", words=("a",), beam_words=(), config={"seed": 1},
        model_files={}, schema_version="2", created="now", items=cut.name,
        num_shards=cut.num_shards, items_per_part=per_part, facts={},
    )  # fmt: skip


def all_parts(store: OutputFolder, plan: PartPlan) -> list[list[Shard]]:
    return [list(part_shards(store, plan, part)) for part in range(plan.num_parts)]


@pytest.mark.parametrize(
    ("sizes", "num_parts"),
    [([1] * 100, 8), ([32] * 50 + [3], 7), ([1] * 3, 8), ([5], 1), ([40, 1, 1, 1, 200], 3)],
)
def test_every_shard_is_in_one_part(store: OutputFolder, sizes: list[int], num_parts: int) -> None:
    plan = planned(store, sizes, num_parts)
    parts = all_parts(store, plan)
    found = Counter(shard.details["place"] for part in parts for shard in part)
    assert found == Counter(range(len(sizes)))
    counted = tuple(sum(len(shard.items) for shard in part) for part in parts)
    assert counted == plan.items_per_part and plan.num_items == sum(sizes)
    names = {shard.items[0].uri for part in parts for shard in part}
    assert len(names) == len(sizes)


def test_parts_are_about_equal(store: OutputFolder) -> None:
    plan = planned(store, [32] * 300 + [7], 10)
    assert max(plan.items_per_part) - min(plan.items_per_part) <= 4 * 32


def test_row_groups_that_are_full_stay_in_step_with_the_parts(
    store: OutputFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A shard that does not fit ends a row group earlier than planned.
    monkeypatch.setattr("hierprob3d.transforms.store.plan.ROWS_PER_GROUP", 8)
    monkeypatch.setattr(part_plans, "ROWS_PER_GROUP", 8)
    plan = planned(store, [3, 9, 1, 1, 7, 7, 2, 30, 1, 1, 1], 3)
    parts = all_parts(store, plan)
    counted = tuple(sum(len(shard.items) for shard in part) for part in parts)
    assert counted == plan.items_per_part and sum(counted) == 63


def test_a_part_reads_its_own_row_groups_alone(
    store: OutputFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(store, [1] * 40, 4)
    read: list[int] = []
    original = OutputFolder.row_group

    def noting(self: OutputFolder, name: str, group: int) -> pa.Table:
        read.append(group)
        return original(self, name, group)

    monkeypatch.setattr(OutputFolder, "row_group", noting)
    list(part_shards(store, plan, 3))
    assert read and {group % 4 for group in read} == {3}


def test_a_plan_comes_back_and_an_open_one_keeps_other_runs_out(store: OutputFolder) -> None:
    assert read_part_plan(store) is None
    check_no_open_plan(store)
    plan = planned(store, [1, 2], 2)
    write_part_plan(store, plan)
    assert read_part_plan(store) == plan
    with pytest.raises(FolderInUse, match="plan in 2 parts that is not finished"):
        check_no_open_plan(store)
    store.write("runs/plan.json", b'{"status": "finished"}')
    check_no_open_plan(store)


def test_a_later_plan_takes_the_place_of_the_items(store: OutputFolder) -> None:
    plan = planned(store, [1, 2], 2)
    store.write("plan/earlier.plan.parquet", b"items")
    write_part_plan(store, replace(plan, created="later"))
    assert store.names("plan") == ["plan.json", "plan.plan.parquet"]


def test_parts_are_locked_swept_and_marked_alone(store: OutputFolder) -> None:
    first, again, other = (part_run_id("plan", part, RUN[:-1] + end)
                           for part, end in ((0, "1"), (0, "2"), (1, "3")))  # fmt: skip
    store.write(f"people/part-{first}-00000.parquet", b"left over")
    store.write(f"people/part-{other}-00000.parquet", b"at work")
    store.write_mark(f"{first}-00000", {})
    store.write_mark(f"{other}-00000", {})
    lock = store.lock_for_run(first)
    lock_of_other = store.lock_for_run(other)  # at the same time
    with pytest.raises(FolderInUse, match="this part of .* is being done by another process"):
        store.lock_for_run(again)
    with pytest.raises(FolderInUse, match="another run is writing"):
        store.lock_for_run(RUN)
    assert store.is_current_run(first) and not store.is_current_run(again)
    assert store.is_at_work(again) and not store.is_at_work(part_run_id("plan", 2, RUN))
    lock.release()
    lock_of_other.release()
    store.lock_for_run(RUN).release()
    assert store.sweep(part_series("plan", 0)) == 1
    assert store.parts("people") == [f"people/part-{other}-00000.parquet"]
    assert list(store.read_marks(part_series("plan", 1))) == [f"{other}-00000"]
