"""The command line with a decoder that kills or hangs its worker on pictures of some names.

    python -m tools.soak.poisoned predict ...

Started without a command, by the run itself, it is such a worker.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hierprob3d.pipelines.run import execution
from hierprob3d.transforms.prediction import decoding


def _hang() -> None:
    """In a library that never comes back to Python."""
    ctypes.CDLL(None).sleep(3600)


def _loop() -> None:
    while True:
        time.sleep(0.01)


def _greedy() -> None:
    """Takes memory until there is none."""
    taken = []
    while True:
        taken.append(bytearray(b"x" * (1 << 26)))


def _raise() -> None:
    raise SystemError("a decoder's own defect")


POISONS: dict[str, Callable[[], None]] = {
    "deadly": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stuck": _hang,
    "crashing": lambda: ctypes.string_at(0) and None,
    "aborting": os.abort,
    "leaving": lambda: os._exit(0),
    "slow": _loop,
    "greedy": _greedy,
    "raising": _raise,
}
"""What happens to who decodes a picture of that name."""


def poison(uri: str) -> Callable[[], None] | None:
    """What a picture does to its decoder; None for others."""
    return POISONS.get(Path(uri).stem)


def _poisoned(read: Callable[..., Any]) -> Callable[..., Any]:
    def reading(uri: str, *limits: Any) -> Any:
        harm = poison(uri)
        if harm is not None:
            harm()
        return read(uri, *limits)

    return reading


def main() -> None:
    """The command line of which all workers are poisoned, or such a worker."""
    from hierprob3d.module_path import python_command
    from hierprob3d.pipelines.command.cli import main as run_command
    from hierprob3d.pipelines.run import worker_process

    decoding.read_picture = _poisoned(decoding.read_picture)
    if len(sys.argv) == 1:
        worker_process.main()
        return
    execution.python_command = lambda module: python_command("tools.soak.poisoned")
    sys.exit(run_command())


if __name__ == "__main__":
    main()
