"""How the benchmarks take time."""

from __future__ import annotations

import time
from collections.abc import Callable


def seconds(function: Callable[[], object], repeats: int) -> float:
    """Shortest CPU time of `repeats` runs after one that warms up; other processes do not count."""
    function()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def in_turns(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Shortest CPU time of each; they take turns, so that a busy machine slows all alike."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats + 1):
        for name, function in functions.items():
            start = time.process_time()
            function()
            times[name].append(time.process_time() - start)
    return {name: min(values[1:]) for name, values in times.items()}
