"""Thousands of damaged files: each is read, or refused by an error of its kind, in time."""

from __future__ import annotations

import multiprocessing
import os
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from .figures import Figure
from .mutations import mutated

if TYPE_CHECKING:
    from .readers import Reader

_TIME_LIMIT_S = 60.0
_MAX_CPU_SECONDS = 10.0
_MAX_GROWN_BYTES = 1 << 30
_ADDRESS_SPACE = 4 << 30
"""Above what the process has when it begins to read."""
_LONGEST_MESSAGE = 1000


Task: TypeAlias = tuple[str, int]
"""Kind of `readers.READERS`, and number."""


@dataclass(frozen=True)
class Reading:
    """How it went with one file."""

    task: Task
    outcome: str
    """`read`, `refused`, or what did not hold."""
    cpu_seconds: float = 0.0
    grown_bytes: int = 0
    """Of the process since its first file."""

    @property
    def is_good(self) -> bool:
        """Whether the file was read or refused as announced."""
        return self.outcome in ("read", "refused")


def damaged_files(seed: int, counts: Mapping[str, int], num_processes: int) -> Iterator[Figure]:
    """Reads so many mutated files of each kind in processes of their own.

    Args:
        seed: Of the mutations.
        counts: By kind, of `readers.READERS`.
        num_processes: That read at the same time.
    """
    for kinds in ([kind] for kind in counts) if num_processes > 1 else [list(counts)]:
        tasks = [(kind, number) for kind in kinds for number in range(counts[kind])]
        with ThreadPoolExecutor(num_processes) as pool:
            shares = [tasks[first::num_processes] for first in range(num_processes)]
            found = pool.map(lambda share: _read_all(seed, share), shares)
            readings = [reading for share in found for reading in share]
        for kind in kinds:
            yield _figure(kind, counts[kind], [r for r in readings if r.task[0] == kind])


def _figure(kind: str, num_files: int, readings: list[Reading]) -> Figure:
    counts = Counter(reading.outcome for reading in readings)
    bad = sorted((r for r in readings if not r.is_good), key=lambda r: r.task)
    problems = [f"number {reading.task[1]}: {reading.outcome}" for reading in bad]
    if len(readings) != num_files:
        problems.append(f"{len(readings)} answers")
    slowest = max((reading.cpu_seconds for reading in readings), default=0.0)
    grown = max((reading.grown_bytes for reading in readings), default=0)
    problems += [f"one took {slowest:.1f} s"] if slowest > _MAX_CPU_SECONDS else []
    problems += [f"memory grew by {grown >> 20} MB"] if grown > _MAX_GROWN_BYTES else []
    outcome = (
        f"{counts['read']} read, {counts['refused']} refused by an error of their kind, "
        f"no crash, no hang; slowest {slowest:.2f} s, at most {grown / 2**20:.0f} MB more memory"
    )
    return Figure(f"mutated {kind}", num_files, outcome, tuple(problems))


def content_of(whole: dict[str, bytes], seed: int, number: int) -> tuple[str, bytes]:
    """Name and content of the mutated file of a number: the same wherever it is made."""
    random = np.random.default_rng((seed, number))
    names = sorted(whole)
    name, other = names[number % len(names)], names[random.integers(len(names))]
    return name, mutated(whole[name], whole[other], random)


def _read_all(seed: int, tasks: list[Task]) -> list[Reading]:
    """Reads files one after the other; who crashes or hangs is followed by a new process."""
    found: list[Reading] = []
    while len(found) < len(tasks):
        found += _read_until_lost(seed, tasks[len(found) :])
    return found


def _read_until_lost(seed: int, tasks: list[Task]) -> Iterator[Reading]:
    """Readings of a process; the last one may be that it ended or hung."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, seed, tasks), daemon=True)
    process.start()
    theirs.close()
    try:
        ours.recv()  # it has begun
        for task in tasks:
            if not ours.poll(_TIME_LIMIT_S):
                yield Reading(task, f"hangs for more than {_TIME_LIMIT_S:.0f} s")
                return
            try:
                yield ours.recv()
            except EOFError:
                process.join()
                yield Reading(task, f"took its process down (exit code {process.exitcode})")
                return
    finally:
        process.kill()
        process.join()


def _serve(answers: Connection, seed: int, tasks: list[Task]) -> None:
    """What a process does: reads its files, and answers after each."""
    from .readers import READERS

    _silence()
    kinds = {kind for kind, _ in tasks}
    whole = {kind: READERS[kind].samples() for kind in kinds}
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:  # what libraries take once is not the files'
            for name, content in whole[kind].items():
                _read(READERS[kind], Path(folder) / name, content)
        before = _memory_bytes("VmHWM")
        limit = _memory_bytes("VmSize") + _ADDRESS_SPACE
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        answers.send("begun")
        for kind, number in tasks:
            name, content = content_of(whole[kind], seed, number)
            start = time.process_time()
            outcome = _read(READERS[kind], Path(folder) / name, content)
            seconds = time.process_time() - start
            answers.send(Reading((kind, number), outcome, seconds, _memory_bytes("VmHWM") - before))


def _read(reader: Reader, path: Path, content: bytes) -> str:
    """How a reader gets on with a file."""
    path.write_bytes(content)
    try:
        reader.read(path)
    except BaseException as error:
        said = f"{path.name}: {type(error).__name__}: {error}"
        if not isinstance(error, reader.errors):
            return said
        if "\n" in str(error) or not str(error) or len(str(error)) > _LONGEST_MESSAGE:
            return f"no single clear line: {said}"
        return "refused"
    return "read"


def _silence() -> None:
    """C libraries and Pillow tell of damage on their own, too."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stderr.fileno())


def _memory_bytes(key: str) -> int:
    """A figure of this process: VmHWM, the most that was in memory, or VmSize, its addresses."""
    found = re.search(rf"{key}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024
