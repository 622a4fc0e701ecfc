"""Runs a command many times on busy cores and counts how it ends.

    python -m tools.count_aborts --runs 500 DIR                 # hierprob3d inspect DIR
    python -m tools.count_aborts --runs 50 -- export DIR --format obj --output /tmp/meshes

A thread of a library that wakes up while Python ends may abort the process (exit code 134, signal
6), once in many runs and only where cores are short. One process per core does nothing but hinder
the others. Ends with code 1 if any run did not end with 0; the last words of those are printed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

_HINDRANCE = "import os; ours = os.getppid()\nwhile os.getppid() == ours: pass"
"""Ends by itself when this process is gone, however it went."""


def main() -> int:
    """Counts exit codes; 1 if any was not 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="+", metavar="DIR", help="folder to inspect, or a command")
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--at-once", type=int, default=2, help="runs at the same time")
    parser.add_argument("--busy", type=int, default=os.cpu_count() or 1,
                        help="processes that keep cores busy (default: one per core)")  # fmt: skip
    args = parser.parse_args()
    words = args.words if len(args.words) > 1 else ["inspect", *args.words]
    command = [sys.executable, "-m", "hierprob3d", *words]
    busy = [subprocess.Popen([sys.executable, "-c", _HINDRANCE]) for _ in range(args.busy)]
    try:
        codes = count_ends(command, args.runs, args.at_once)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    for code, count in sorted(codes.items()):
        print(f"{count:>6} of {args.runs} runs ended with {_meaning(code)}")
    return int(codes[0] != args.runs)


def count_ends(command: list[str], num_runs: int, at_once: int) -> Counter[int]:
    """How often the command ended with which code."""
    codes: Counter[int] = Counter()

    def run(_: int) -> tuple[int, str]:
        ended = subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        return ended.returncode, ended.stderr

    with ThreadPoolExecutor(at_once) as pool:
        for done, (code, errors) in enumerate(pool.map(run, range(num_runs)), start=1):
            codes[code] += 1
            if code:
                print(f"run {done}: {_meaning(code)}: {errors.strip()[-300:]}", flush=True)
            if done % 25 == 0:
                print(f"{done} runs, {done - codes[0]} did not end well", flush=True)
    return codes


def _meaning(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


if __name__ == "__main__":
    sys.exit(main())
