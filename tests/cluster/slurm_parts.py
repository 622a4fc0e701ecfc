"""Parts of a chain as they work on a Slurm of this machine: found, held still, struck, let go."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from tests.cluster.slurm_cluster import SlurmCluster

_SECONDS = 300
_TERM_BIT = 1 << (signal.SIGTERM - 1)


@dataclass(frozen=True)
class HeldPart:
    """A part that has published something, has more to do, and does nothing until it is let go."""

    part: int
    task: str
    """Slurm's number, such as 4_2."""

    process: int
    """Of `hierprob3d work`."""

    def kill(self) -> None:
        """Ends its process, as want of memory would."""
        os.kill(self.process, signal.SIGKILL)

    def go_on_with_sigterm(self) -> None:
        """Lets it go once Slurm's warning has arrived, so that this is what it meets first."""
        deadline = time.monotonic() + _SECONDS
        while not _is_pending(self.process):
            assert time.monotonic() < deadline, f"no SIGTERM came to part {self.part}"
            time.sleep(0.1)
        os.kill(self.process, signal.SIGCONT)


def hold_a_part(cluster: SlurmCluster, output: Path, besides: int = -1) -> HeldPart:
    """Waits for a part of a plan that is midway, and stops its process.

    Args:
        cluster: Where it works.
        output: The output folder.
        besides: A part that is not to be touched.
    """
    deadline = time.monotonic() + _SECONDS
    while True:
        for number, process, task in _working(output, set(_published(output)) - {besides}):
            os.kill(process, signal.SIGSTOP)
            planned = json.loads((output / "plan" / "plan.json").read_text())["items_per_part"]
            if 0 < _published(output)[number] < planned[number]:
                return HeldPart(number, task, process)
            os.kill(process, signal.SIGCONT)
        assert time.monotonic() < deadline, cluster.tasks()
        time.sleep(0.02)


def _published(output: Path) -> Counter[int]:
    """Items that each part has finished."""
    found = Counter[int]()
    for path in output.glob("frames/part-*"):
        match = re.search(r"-p(\d{5})-", path.name)
        assert match is not None, path
        found[int(match[1])] += pq.read_metadata(path).num_rows
    return found


def _working(output: Path, parts: set[int]) -> list[tuple[int, int, str]]:
    """Part, process and Slurm's task of those parts that are at work."""
    found = []
    for folder in Path("/proc").glob("[0-9]*") if parts else ():
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"work" not in words or str(output).encode() not in words or b"-m" not in words:
                continue
            pairs = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        variables = dict(pair.split(b"=", 1) for pair in pairs if b"=" in pair)
        number = variables[b"SLURM_ARRAY_TASK_ID"].decode()
        job = variables[b"SLURM_ARRAY_JOB_ID"].decode()
        offset = int(words[words.index(b"--part-offset") + 1])
        if int(number) + offset in parts:
            found.append((int(number) + offset, int(folder.name), f"{job}_{number}"))
    return found


def _is_pending(process: int) -> bool:
    """Whether a SIGTERM waits for a process."""
    status = Path(f"/proc/{process}/status").read_text()
    match = re.search(r"^ShdPnd:\s*([0-9a-f]+)", status, re.MULTILINE)
    return match is not None and bool(int(match[1], 16) & _TERM_BIT)
