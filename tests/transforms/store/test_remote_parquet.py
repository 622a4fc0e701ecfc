"""Plans in a store: a worker fetches its own row groups, not the whole file."""

from __future__ import annotations

import pytest

from hierprob3d.transforms.inputs.items import picture_item
from hierprob3d.transforms.store import plan as plans
from hierprob3d.transforms.store import remote_parquet
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.store.plan import SOURCE_DETAILS, PlanWriter, read_shard, shard_refs
from tests.counted_store import CountedFileSystem, register


@pytest.fixture
def store() -> type[CountedFileSystem]:
    return register()


@pytest.mark.parametrize("footer_bytes", [64, 1 << 16])
def test_row_groups_are_fetched_alone(
    store: type[CountedFileSystem], monkeypatch: pytest.MonkeyPatch, footer_bytes: int
) -> None:
    monkeypatch.setattr(plans, "ROWS_PER_GROUP", 1000)
    monkeypatch.setattr(remote_parquet, "_FOOTER_BYTES", footer_bytes)
    folder = OutputFolder(f"counted://bucket/out-{footer_bytes}")
    with PlanWriter(folder, "run", SOURCE_DETAILS) as writer:
        for number in range(200):
            names = (f"/photos/{number:05d}/{place}.jpg" for place in range(50))
            writer.add(map(picture_item, names))
    plan = writer.plan()
    size = len(store.objects[f"bucket/out-{footer_bytes}/{plan.name}"])
    refs = list(shard_refs(folder, plan, first_group=1, group_step=5))
    assert [ref.index for ref in refs] == [*range(20, 40), *range(120, 140)]
    shards = [read_shard(folder, ref) for ref in refs]
    assert shards[21].items[49].uri == "/photos/00121/49.jpg"
    assert store.requests["GET"] == (4 if footer_bytes > 64 else 5) + 1
    assert store.num_bytes < size / 2


def test_names_that_begin_so_are_asked_for(store: type[CountedFileSystem]) -> None:
    for number in range(2500):
        store.objects[f"bucket/out/frames/part-run-{number:05d}.parquet"] = b""
    store.objects["bucket/out/frames/part-other-p00001-a-b-00000.parquet"] = b""
    store.objects["bucket/out/runs/marks/part-other.json"] = b""
    folder = OutputFolder("counted://bucket/out")
    assert len(folder.parts("frames")) == 2501 and store.requests == {"LIST": 3}
    store.requests.clear()
    assert folder.parts("frames", series="other-p00001") == [
        "frames/part-other-p00001-a-b-00000.parquet"
    ]
    assert folder.names("runs", "part-") == []  # not what lies deeper
    assert store.requests == {"LIST": 2}
