"""Very many inputs, simulated: a plan of them, a part that starts with most done, and `inspect`.

    python -m benchmarks.scale [--items 10000000]

Each step runs in a process of its own, whose largest memory is told.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hierprob3d.pipelines.run.recovery import remaining
from hierprob3d.transforms.inputs.items import Item
from hierprob3d.transforms.inputs.listing import list_inputs
from hierprob3d.transforms.inputs.planning import Planner, PlanRules
from hierprob3d.transforms.store.output_folder import OutputFolder, part_name
from hierprob3d.transforms.store.parquet_files import table_bytes
from hierprob3d.transforms.store.part_plan import PartPlan, cut_plan, part_shards, write_part_plan
from hierprob3d.transforms.store.part_runs import part_run_id
from hierprob3d.transforms.store.plan import SOURCE_DETAILS, Plan, PlanWriter
from hierprob3d.transforms.tables.schema import SCHEMA_VERSION, frames_schema

_PARTS = 100
_DONE = 0.9
_PLAN_ID = "20260101T000000Z-aaaaaa"


def name_of(number: int) -> str:
    """A name as collections have them."""
    return f"/data/photos/{number // 1000:06d}/{number:012d}.jpg"


def plan(folder: Path, items: int) -> None:
    """Lists a list of so many pictures, and plans them in parts."""
    store = OutputFolder(str(folder / "out"))
    store.create()
    listing = list_inputs([str(folder / "list.txt")])
    rules = PlanRules(num_workers=lambda number: 4 * _PARTS)
    with PlanWriter(store, "run", SOURCE_DETAILS) as writer:
        for shard in Planner(listing.sources, store.finished_ids(), rules).shards():
            writer.add(shard.items, shard.details)
    whole = writer.plan()
    cut, sizes = cut_plan(store, whole, _PLAN_ID, _PARTS, SOURCE_DETAILS)
    write_part_plan(store, part_plan(cut, sizes))
    assert whole.num_items == sum(sizes) == items


def part_plan(cut: Plan, sizes: tuple[int, ...]) -> PartPlan:
    """The plan of `predict`, as far as these steps look at it."""
    return PartPlan(
        plan_id=_PLAN_ID, command="predict", words=(), beam_words=(), config={}, model_files={},
        schema_version=SCHEMA_VERSION, created="", items=cut.name, num_shards=cut.num_shards,
        items_per_part=sizes, facts={},
    )  # fmt: skip


def write_done(folder: Path, items: int) -> None:
    """Frames parts of nine tenths of every part, as runs of the parts would have left them."""
    store = OutputFolder(str(folder / "out"))
    cut = Plan(store.root, f"plan/{_PLAN_ID}.plan.parquet", items, 0)
    sizes = tuple([items // _PARTS] * _PARTS)
    for part in range(_PARTS):
        run_id = part_run_id(_PLAN_ID, part, "20260101T000000Z-bbbbbb")
        shards = list(part_shards(store, part_plan(cut, sizes), part))
        for shard in shards[: int(_DONE * len(shards))]:
            table = table_bytes(frames_of([*shard.items], run_id))
            Path(store.root, part_name("frames", run_id, shard.name)).write_bytes(table)


def frames_of(items: list[Item], run_id: str) -> pa.Table:
    """Rows of pictures with one person each."""
    from hierprob3d.transforms.tables.rows import table_of  # takes torch, which no step needs

    count = len(items)
    columns: dict[str, Any] = {
        "item_id": [item.item_id for item in items], "uri": [item.uri for item in items],
        "frame_index": [None] * count, "time_s": [None] * count, "width": [640] * count,
        "height": [480] * count, "status": ["ok"] * count, "num_people": [1] * count,
        "run_id": [run_id] * count, "seconds": np.full(count, 0.7, np.float32),
        "source_version": [item.source_version for item in items], "warning": [None] * count,
    }  # fmt: skip
    return table_of(columns, frames_schema({"stage_seconds": '{"decode": 1.0}'}))


def start_part(folder: Path, items: int) -> None:
    """What a part does before its first picture: its plan without what is done."""
    store = OutputFolder(str(folder / "out"))
    cut = Plan(store.root, f"plan/{_PLAN_ID}.plan.parquet", items, 0)
    run_id = part_run_id(_PLAN_ID, 7, "20260101T000001Z-cccccc")
    series = run_id.rsplit("-", 2)[0]
    store.sweep(series)
    done = store.finished_ids(series)
    planned = part_plan(cut, tuple([items // _PARTS] * _PARTS))
    with PlanWriter(store, run_id, SOURCE_DETAILS) as writer:
        for shard in remaining(part_shards(store, planned, 7), done):
            writer.add(shard.items, shard.details)
    left = writer.plan()
    assert 0 < left.num_items < items // _PARTS
    store.remove(left.name)


def inspect(folder: Path, items: int) -> None:
    """The summary of all that is done."""
    from hierprob3d.pipelines.results.run_folder import RunFolder
    from hierprob3d.pipelines.results.run_summary import summarise

    summary = summarise(RunFolder(str(folder / "out")))
    assert summary.num_items > 0.85 * items


STEPS = {"plan": plan, "done": write_done, "part": start_part, "inspect": inspect}


def main() -> None:
    """Runs all steps, or in a child process one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--step", choices=STEPS)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.step:
        start, cpu = time.perf_counter(), time.process_time()
        STEPS[options.step](options.folder, options.items)
        seconds, used = time.perf_counter() - start, time.process_time() - cpu
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{options.step:8} {options.items:>11,} items {seconds:8.1f} s "
              f"({used:.1f} s of one core) {memory:8.0f} MiB", flush=True)  # fmt: skip
        return
    with tempfile.TemporaryDirectory(prefix="hierprob3d-scale-") as folder:
        with open(os.path.join(folder, "list.txt"), "w") as file:
            file.writelines(f"{name_of(number)}\n" for number in range(options.items))
        for step in STEPS:
            words = ["-m", "benchmarks.scale", "--items", str(options.items)]
            subprocess.run([sys.executable, *words, "--step", step, "--folder", folder], check=True)


if __name__ == "__main__":
    main()
