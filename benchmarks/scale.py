"""Very many inputs, simulated: a plan of them, a part that starts with most done, and `inspect`.

    python -m benchmarks.scale [--items 10000000] [--folder DIR]

Each step runs in a process of its own, whose largest memory is told; what it asks of other
processes (a plan has one look at the models) is told apart. Needs 0.6 kB of disk an item.
"""

from __future__ import annotations

import argparse
import contextlib
import io
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

from hierprob3d.pipelines.command.cli import main as command
from hierprob3d.pipelines.run.recovery import remaining
from hierprob3d.transforms.inputs.items import Item, shard_name
from hierprob3d.transforms.store.output_folder import OutputFolder, part_name
from hierprob3d.transforms.store.parquet_files import table_bytes
from hierprob3d.transforms.store.part_counts import with_counts
from hierprob3d.transforms.store.part_plan import PartPlan, part_shards, read_part_plan
from hierprob3d.transforms.store.part_runs import part_run_id
from hierprob3d.transforms.store.plan import SOURCE_DETAILS, Plan, PlanWriter, shard_refs
from hierprob3d.transforms.tables.schema import frames_schema

_PARTS = 100
_DONE = 0.9
_STARTED = 7
"""The part that is started with nine tenths of it done."""


def name_of(number: int) -> str:
    """A name as collections have them."""
    return f"/data/photos/{number // 1000:06d}/{number:012d}.jpg"


def plan(folder: Path, items: int) -> None:
    """The command that plans a list of so many pictures in parts."""
    words = ["predict", str(folder / "list.txt"), "--output", str(folder / "out")]
    assert command(["plan", "--parts", str(_PARTS), "--", *words]) == 0
    assert planned(folder).num_items == items


def planned(folder: Path) -> PartPlan:
    """What `plan` wrote."""
    found = read_part_plan(OutputFolder(str(folder / "out")))
    assert found is not None
    return found


def write_done(folder: Path, items: int) -> None:
    """Parts of nine tenths of every part, as runs of the parts would have left them.

    Those of the part that is started hold its items, all others the same bytes.
    """
    store, whole = OutputFolder(str(folder / "out")), planned(folder)
    rows = Plan(store.root, whole.items, whole.num_items, whole.num_shards)
    for part in range(_PARTS):
        run_id = part_run_id(whole.plan_id, part, "20260101T000000Z-bbbbbb")
        refs = list(shard_refs(store, rows, part, _PARTS))[: int(_DONE * items / _PARTS / 32)]
        example = [Item(f"{number:040x}", name_of(number)) for number in range(32)]
        frames, people = part_bytes(frames_of(example, run_id)), part_bytes(people_of(example))
        shards = iter(part_shards(store, whole, part)) if part == _STARTED else None
        for ref in refs:
            if shards is not None:
                frames = part_bytes(frames_of([*next(shards).items], run_id))
            for table, data in (("people", people), ("frames", frames)):
                name = part_name(table, run_id, shard_name(ref.index))
                Path(store.root, name).write_bytes(data)


def part_bytes(table: pa.Table) -> bytes:
    """The file that a run publishes."""
    return table_bytes(with_counts(table))


def people_of(items: list[Item]) -> pa.Table:
    """Rows of one person a picture, of the columns that are looked at here."""
    spreads = pa.array(np.full(23 * len(items), 20, np.float32))
    columns = [pa.array([item.item_id for item in items]),
               pa.FixedSizeListArray.from_arrays(spreads, 23)]  # fmt: skip
    return pa.table(columns, ["item_id", "pose_spread_deg"])


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
    whole = planned(folder)
    store = OutputFolder(str(folder / "out"))
    run_id = part_run_id(whole.plan_id, _STARTED, "20260101T000001Z-cccccc")
    series = run_id.rsplit("-", 2)[0]
    store.sweep(series)
    done = store.finished_ids(series)
    with PlanWriter(store, run_id, SOURCE_DETAILS) as writer:
        for shard in remaining(part_shards(store, whole, _STARTED), done):
            writer.add(shard.items, shard.details)
    left = writer.plan()
    assert 0 < left.num_items < items // _PARTS
    store.remove(left.name)


def inspect(folder: Path, items: int) -> None:
    """The command that sums up all that is done."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert command(["inspect", str(folder / "out")]) == 0
    number = int(said.getvalue().partition("items")[2].split()[0])
    assert 0.85 * items < number < items


STEPS = {"plan": plan, "done": write_done, "part": start_part, "inspect": inspect}


def main() -> None:
    """Runs all steps, or in a child process one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--step", choices=STEPS)
    parser.add_argument("--folder", type=Path, help="kept; otherwise a temporary one")
    options = parser.parse_args()
    if options.step:
        _measure(options.step, options.folder, options.items)
        return
    with contextlib.ExitStack() as stack:
        folder = options.folder or stack.enter_context(
            tempfile.TemporaryDirectory(prefix="hierprob3d-scale-")
        )
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "list.txt"), "w") as file:
            file.writelines(f"{name_of(number)}\n" for number in range(options.items))
        for step in STEPS:
            words = ["-m", "benchmarks.scale", "--items", str(options.items)]
            words += ["--step", step, "--folder", str(folder)]
            subprocess.run([sys.executable, *words], check=True)


def _measure(step: str, folder: Path, items: int) -> None:
    start, cpu = time.perf_counter(), time.process_time()
    STEPS[step](folder, items)
    seconds, used = time.perf_counter() - start, time.process_time() - cpu
    own, others = (resource.getrusage(who) for who in
                   (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))  # fmt: skip
    asked = others.ru_utime + others.ru_stime
    told = f", {asked:.1f} s and {others.ru_maxrss / 1024:.0f} MiB of others" if asked > 0.5 else ""
    print(f"{step:8} {items:>11,} items {seconds:8.1f} s ({used:.1f} s of one core) "
          f"{own.ru_maxrss / 1024:8.0f} MiB{told}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
