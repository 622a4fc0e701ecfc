"""What earlier runs left, looked up at scale: time and memory over a folder of many parts.

    python -m benchmarks.store [--parts 1000] [--rows 1000]

Writes frames, people and errors of that many shards, and prints for each question that a run asks
before it begins the seconds and the growth of resident memory, each in a process of its own:
which items are finished, which failed, what must be swept, and dropping a thousandth and then all.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from hierprob3d.transforms.store.output_folder import OutputFolder, part_name
from hierprob3d.transforms.store.parquet_files import table_bytes

_FAILED_EVERY = 100


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--question", choices=QUESTIONS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.question:
        measure(OutputFolder(args.folder), args.question)
        return
    with tempfile.TemporaryDirectory() as folder:
        fill(folder, args.parts, args.rows)
        print(f"{args.parts} parts of {args.rows} rows")
        for question in QUESTIONS:
            words = [sys.executable, "-m", "benchmarks.store", "--question", question]
            subprocess.run([*words, "--folder", folder], check=True)


def fill(folder: str, num_parts: int, num_rows: int) -> None:
    """Writes the shards of a run, without the disk's own time for safety."""
    OutputFolder(folder).create()
    for part in range(num_parts):
        items = range(part * num_rows, (part + 1) * num_rows)
        ids = [hashlib.sha1(str(item).encode()).hexdigest() for item in items]
        uris = [f"/data/pictures/folder-{part:05d}/{item:09d}.jpg" for item in items]
        status = ["ok" if item % _FAILED_EVERY else "failed" for item in items]
        numbers = pa.FixedSizeListArray.from_arrays(pa.array([0.5] * 207 * num_rows), 207)
        tables = {
            "people": {"item_id": ids, "uri": uris, "pose_F": numbers},
            "errors": {"item_id": ids[::_FAILED_EVERY], "uri": uris[::_FAILED_EVERY]},
            "frames": {"item_id": ids, "uri": uris, "status": status, "source_version": uris},
        }
        for table, columns in tables.items():
            path = Path(folder, part_name(table, "run", f"{part:05d}"))
            path.write_bytes(table_bytes(pa.table(columns)))


def measure(store: OutputFolder, question: str) -> None:
    """Prints seconds and growth of memory of one question."""
    before = _resident_mib()
    start = time.perf_counter()
    answer = QUESTIONS[question](store)
    seconds = time.perf_counter() - start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    count = len(answer) if hasattr(answer, "__len__") else answer
    print(f"{question:28} {seconds:7.2f} s {grown:7.0f} MiB   ({count})", flush=True)


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _drop(store: OutputFolder, every: int) -> int:
    ids = store.finished_ids()
    store.drop_items([one for place, one in enumerate(ids) if place % every == 0])
    return len(ids)


def _drop_all(store: OutputFolder) -> int:
    ids = store.finished_ids()
    store.drop_items(ids)
    return len(ids)


QUESTIONS: dict[str, Callable[[OutputFolder], Any]] = {
    "finished items, one by one": lambda store: sum(1 for _ in store.finished_items()),
    "ids of finished items": lambda store: store.finished_ids(),
    "ids of failed items": lambda store: store.failed_items(),
    "sweep": lambda store: store.sweep(),
    "drop a thousandth": lambda store: _drop(store, 1000),
    "drop all": _drop_all,
}


if __name__ == "__main__":
    main()
