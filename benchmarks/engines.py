"""What each way of running costs: start to first row, two nodes of one core, Prism.

    python -m benchmarks.engines [--prism FILE] [--pictures 64] [--rounds 2]

Every run is a command of its own with one process that annotates, on one core; those that are
compared take turns. Prints the table of docs/run_big.md; about six minutes on two quiet cores.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

PICTURE = Path(__file__).resolve().parents[1] / "model" / "assets" / "demo" / "astronaut.png"
_COMMAND = (sys.executable, "-m", "hierprob3d")
_IN_MEMORY = ("--direct_running_mode", "in_memory")
_ONE_WORKER = ("--direct_running_mode", "multi_processing", "--direct_num_workers", "1")
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Timing:
    """Seconds of one command."""

    first_row: float
    """From its start."""

    whole: float
    rows: int

    @property
    def seconds_a_row(self) -> float:
        """After the first shard's rows."""
        return (self.whole - self.first_row) / max(1, self.rows - 1)


class Started:
    """A command that writes into a folder, on some cores.

    Args:
        words: Of it.
        output: The folder.
        cores: That it may use.
    """

    def __init__(self, words: Sequence[str], output: Path, cores: set[int]) -> None:
        self._frames = output / "frames"
        self._before = self._num_parts()
        self._start = time.perf_counter()
        self._process = subprocess.Popen(
            [*_COMMAND, *words],
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def _num_parts(self) -> int:
        return len(list(self._frames.glob("part-*"))) if self._frames.is_dir() else 0

    def timing(self, rows: int) -> Timing:
        """Waits for its end."""
        while self._num_parts() == self._before and self._process.poll() is None:
            time.sleep(_POLL_SECONDS)
        first = time.perf_counter() - self._start
        said = self._process.communicate()[1]
        if code := self._process.returncode:
            raise RuntimeError(f"a run ended with exit code {code}: {said.decode()[-2000:]}")
        return Timing(first, time.perf_counter() - self._start, rows)


class Bench:
    """The runs, in a folder of their own.

    Args:
        folder: Theirs.
        num_pictures: Of each run.
    """

    def __init__(self, folder: Path, num_pictures: int) -> None:
        self._folder, self._num_pictures = folder, num_pictures
        self._num_runs = 0
        (folder / "in").mkdir()
        for number in range(num_pictures):
            shutil.copy(PICTURE, folder / "in" / f"{number:03d}.png")

    def _predict(self, output: Path) -> list[str]:
        return ["predict", str(self._folder / "in"), "--output", str(output), "--shard-size", "4"]

    def output(self) -> Path:
        """A new folder of results."""
        self._num_runs += 1
        return self._folder / f"out-{self._num_runs}"

    def run(self, *options: str) -> Timing:
        """One run of all pictures on core 0, with its worker and engine."""
        output = self.output()
        return Started([*self._predict(output), *options], output, {0}).timing(self._num_pictures)

    def parts(self, together: bool) -> tuple[float, Timing]:
        """Seconds of a plan's two parts on nodes of one core, and the timing of the first."""
        output = self.output()
        plan = ["plan", "--parts", "2", "--", *self._predict(output)]
        subprocess.run([*_COMMAND, *plan], check=True, stdout=subprocess.DEVNULL)
        half = self._num_pictures // 2
        cores = sorted(os.sched_getaffinity(0))
        start = time.perf_counter()
        if together:
            both = [self._part(output, part, cores[part]) for part in (0, 1)]
            timings = [started.timing(half) for started in both]
        else:
            timings = [self._part(output, part, cores[0]).timing(half) for part in (0, 1)]
        return time.perf_counter() - start, timings[0]

    def _part(self, output: Path, part: int, core: int) -> Started:
        words = ["work", str(output), "--part", str(part), *_IN_MEMORY]
        return Started(words, output, {core})


def main() -> None:
    """Runs all in turns and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prism", default=shutil.which("prism"), help="Beam's Prism, if there")
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    ways = {"the command's own process": _IN_MEMORY, "local runner, one worker": _ONE_WORKER}
    if options.prism:
        prism = ("--runner", "PrismRunner", "--prism_location", options.prism)
        ways["Prism, one worker"] = prism
    timings: dict[str, list[Timing]] = defaultdict(list)
    alone: list[float] = []
    both: list[float] = []
    with tempfile.TemporaryDirectory(prefix="hierprob3d-engines-") as folder:
        bench = Bench(Path(folder), options.pictures)
        bench.run(*_IN_MEMORY)  # networks are converted once
        for _ in range(options.rounds):
            for way, words in ways.items():
                timings[way].append(bench.run(*words))
            seconds, first = bench.parts(together=False)
            alone.append(seconds)
            timings["a part of a plan"].append(first)
            both.append(bench.parts(together=True)[0])
    print(
        "| way | start to first row | seconds a picture after it | whole run |\n|---|---|---|---|"
    )
    for way, found in timings.items():
        first_row, each, whole = (median(getattr(timing, name) for timing in found)
                                  for name in ("first_row", "seconds_a_row", "whole"))  # fmt: skip
        print(f"| {way} | {first_row:.1f} s | {each:.3f} | {whole:.1f} s |")
    print(f"\n1 -> 2 nodes of one core: {median(alone) / median(both):.2f} times "
          f"({median(alone):.1f} s, {median(both):.1f} s)")  # fmt: skip
    if options.prism:
        ours, theirs = (median(timing.whole for timing in timings[way]) for way in
                        ("local runner, one worker", "Prism, one worker"))  # fmt: skip
        print(f"Prism takes {theirs / ours:.2f} of the local runner's time with one worker")


if __name__ == "__main__":
    main()
