"""Fixtures of the tests of files: a process that measures what reading costs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

_SCRIPT = """
import json, resource, sys, time
{preparation}
resource.setrlimit(resource.RLIMIT_AS, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
                                        + {address_space}, resource.RLIM_INFINITY))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    start = time.process_time()
    try:
        read(path)
        error = ""
    except Exception as caught:
        error = f"{{type(caught).__name__}}: {{caught}}"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps([time.process_time() - start, (peak - before) / 1024, error]))
"""


@dataclass(frozen=True)
class Cost:
    """What reading a file took."""

    seconds: float
    megabytes: float
    """Above what the process held before the first file."""
    error: str


@pytest.fixture(scope="session")
def costs_of() -> Callable[[str, Sequence[Path]], list[Cost]]:
    """Reads files one after the other in a process of its own, 4 GB of addresses at most.

    Its first argument is python text that defines `read(path)`.
    """

    def run(preparation: str, paths: Sequence[Path]) -> list[Cost]:
        script = _SCRIPT.format(preparation=preparation, address_space=4 << 30)
        done = subprocess.run(
            [sys.executable, "-c", script, *map(str, paths)],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return [Cost(*json.loads(line)) for line in done.stdout.splitlines()]

    return run
