"""Why a worker process ended: its exit code, its last words and the kernel's, in one sentence."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

_TAIL_BYTES = 65536
_MAX_LINE = 300
_TRACEBACK = "Traceback (most recent call last):"
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
    def of(cls, exit_code: int, log: Path, kernel_killed: bool) -> LostWorker:
        """What is known of a worker that just ended.

        Args:
            exit_code: Negative for a signal.
            log: What it wrote to stderr.
            kernel_killed: Whether the kernel ended a process for want of memory meanwhile.
        """
        words = _tail(log)
        lines = [line for line in words.splitlines() if line.strip()]
        last_error = lines[-1].strip()[-_MAX_LINE:] if lines else ""
        start = words.rfind(_TRACEBACK)
        is_signal = exit_code < 0
        return cls(
            how=f"signal {_signal_name(-exit_code)}" if is_signal else f"exit code {exit_code}",
            last_error=last_error,
            traceback=words[start:] if start >= 0 else "",
            want_of_memory=_want_of_memory(exit_code, last_error, kernel_killed),
        )

    def __str__(self) -> str:
        text = f"a worker process ended ({self.how})"
        if self.last_error:
            text += f": {self.last_error}"
        if self.want_of_memory:
            text += f"; {self.want_of_memory}: {_MEND}"
        return text


def _want_of_memory(exit_code: int, last_error: str, kernel_killed: bool) -> str:
    if kernel_killed:
        return "the kernel ended it for want of memory"
    if any(word in last_error for word in _MEMORY_ERRORS):
        return "it wanted more memory than there is"
    return "often for want of memory" if exit_code == -signal.SIGKILL else ""


def _tail(path: Path) -> str:
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return file.read().decode(errors="replace")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return str(number)
