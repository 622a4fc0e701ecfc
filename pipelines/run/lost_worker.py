"""Why a worker process ended: its exit code, its last words and the kernel's, in one sentence."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from pathlib import Path

from hierprob3d.transforms.store.locking import is_alive

LOG_PREFIX = "worker-"
LOG_SUFFIX = ".log"
"""Each worker's stderr is a file with its process id between these two."""

DONE_SUFFIX = ".done"
"""Instead of the other one: of a file that a worker leaves when its runner is done with it."""

_TAIL_BYTES = 65536
_MAX_LINE = 300
_TRACEBACK = "Traceback (most recent call last):"
_SHELL_SIGNALS = 128
"""A shell adds this to the number of the signal that ended its command."""

_MEMORY_ERRORS = ("MemoryError", "bad_alloc", "Cannot allocate memory", "can't allocate memory")

_MEND = "try fewer with --direct_num_workers, or a smaller --batch-size"


@dataclass(frozen=True)
class LostWorker:
    """A worker process that ended before its run."""

    how: str
    """Its exit code or signal."""

    last_error: str
    """Last line that it wrote to stderr, empty if it wrote nothing."""

    traceback: str
    """The last traceback that it wrote, empty if it wrote none."""

    want_of_memory: str
    """How sure it is that it ended for want of memory, in words; empty where nothing says so."""

    @classmethod
    def of(cls, beams_words: str, log_folder: Path, kernel_killed: bool) -> LostWorker:
        """What is known of a worker that just ended.

        Args:
            beams_words: Beam's message, which ends with the exit code.
            log_folder: Where the workers' stderr is, see `LOG_PREFIX`.
            kernel_killed: Whether the kernel ended a process for want of memory meanwhile.
        """
        found = re.search(r"-?\d+$", beams_words)
        code = int(found.group()) if found else 0
        number = -code if code < 0 else code - _SHELL_SIGNALS
        words = _last_words(log_folder)
        lines = [line for line in words.splitlines() if line.strip()]
        last_error = lines[-1].strip()[-_MAX_LINE:] if lines else ""
        start = words.rfind(_TRACEBACK)
        return cls(
            how=f"signal {_signal_name(number)}" if number > 0 else f"exit code {code}",
            last_error=last_error,
            traceback=words[start:] if start >= 0 else "",
            want_of_memory=_want_of_memory(number, last_error, kernel_killed),
        )

    def __str__(self) -> str:
        text = f"a worker process ended ({self.how})"
        if self.last_error:
            text += f": {self.last_error}"
        if self.want_of_memory:
            text += f"; {self.want_of_memory}: {_MEND}"
        return text


def quiet_ends(log_folder: Path) -> set[int]:
    """Process ids of workers that have ended and with which their runner was not done."""
    logs = log_folder.glob(f"{LOG_PREFIX}*{LOG_SUFFIX}")
    ended = (path for path in logs if not path.with_suffix(DONE_SUFFIX).exists())
    return {number for path in ended if not is_alive(number := _process_id(path))}


def _want_of_memory(number: int, last_error: str, kernel_killed: bool) -> str:
    if kernel_killed:
        return "the kernel ended it for want of memory"
    if any(word in last_error for word in _MEMORY_ERRORS):
        return "it wanted more memory than there is"
    return "often for want of memory" if number == signal.SIGKILL else ""


def _last_words(log_folder: Path) -> str:
    """End of the stderr of the workers that have ended, the latest last."""
    logs = [
        path
        for path in log_folder.glob(f"{LOG_PREFIX}*{LOG_SUFFIX}")
        if not is_alive(_process_id(path))
    ]
    return "".join(_tail(path) for path in sorted(logs, key=lambda path: path.stat().st_mtime))


def _process_id(log: Path) -> int:
    return int(log.name.removeprefix(LOG_PREFIX).removesuffix(LOG_SUFFIX))


def _tail(path: Path) -> str:
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return file.read().decode(errors="replace")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return str(number)
