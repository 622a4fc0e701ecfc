"""Live progress of a run on stderr: finished items, rate, time left.

What is finished is read off the output folder, so it is right with any number of processes, and
needs nothing of the runner.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import TextIO

from hierprob3d.transforms.store.output_folder import OutputFolder, part_name

_TERMINAL_SECONDS = 0.5
_LOG_SECONDS = 10.0
_REMOTE_SECONDS = 10.0


class Progress:
    """Prints progress from a thread as long as the `with` block lasts.

    Args:
        count_done: Number of finished items.
        total: Number of items of the run.
        interval: Seconds between two looks; None = often on a terminal, seldom in a log.
        stream: Where to print.
    """

    def __init__(
        self,
        count_done: Callable[[], int],
        total: int,
        interval: float | None = None,
        stream: TextIO | None = None,
    ) -> None:
        self._count_done = count_done
        self._total = total
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._interval = interval or (_TERMINAL_SECONDS if self._is_terminal else _LOG_SECONDS)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._start = time.monotonic()

    def __enter__(self) -> Progress:
        self._start = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stop.set()
        self._thread.join()
        self._print()
        if self._is_terminal:
            self._stream.write("\n")

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            self._print()

    def _print(self) -> None:
        line = progress_line(self._count_done(), self._total, time.monotonic() - self._start)
        self._stream.write(f"\r{line:<70}" if self._is_terminal else f"{line}\n")
        self._stream.flush()


def progress_line(done: int, total: int, seconds: float) -> str:
    """`40/100 items, 40 %, 2.5 items/s, 0:24 left`; no rate before the first shard is done."""
    line = f"{done}/{total} items, {100 * done // max(1, total)} %"
    if not done:
        return f"{line}, {_clock(seconds)} since the start"
    rate = done / max(seconds, 1e-9)
    return f"{line}, {rate:.2f} items/s, {_clock((total - done) / rate)} left"


def published_items(
    store: OutputFolder, run_id: str, sizes: Mapping[str, int]
) -> Callable[[], int]:
    """Counts the items of shards whose frames part is there.

    Args:
        store: The output folder.
        run_id: The run.
        sizes: Number of items of each shard, by its name; shards may be added later.
    """
    before, after = part_name("frames", run_id, "*").split("*")

    def count() -> int:
        names = store.parts("frames", run_id)
        return sum(sizes.get(name.removeprefix(before).removesuffix(after), 0) for name in names)

    return count


def polling_interval(store: OutputFolder) -> float | None:
    """Seconds between two looks at the folder; listing an object store costs requests."""
    return None if store.is_local else _REMOTE_SECONDS


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
