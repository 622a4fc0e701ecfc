"""One run at a time per output folder, and no worker left over from a killed one.

The run holds `.lock`, its worker processes share `.workers`. The kernel releases both when a
process dies, however it dies. A worker of a killed run might still publish a shard that the next
run is doing again: so it looks after the run's process and leaves soon after it, and the next run
waits for `.workers` before it looks at what is finished. Only for local folders; elsewhere it is
the user who sees to it that no two runs write to one folder.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path
from types import TracebackType

_RUN_LOCK = ".lock"
_WORKERS_LOCK = ".workers"
_PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.25


class FolderInUse(ValueError):
    """Another run writes into the folder."""


class FileLock:
    """An advisory lock of a file, held until released or until this process ends."""

    def __init__(self, path: Path, *, shared: bool, patience: float) -> None:
        self._file = open(path, "a")  # noqa: SIM115 - open as long as the lock is held
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(self._file, kind | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    self._file.close()
                    raise FolderInUse(
                        f"another run is writing to {path.parent}; wait for it, or choose "
                        "another --output."
                    ) from None
                time.sleep(_POLL_SECONDS)

    def release(self) -> None:
        """Gives the lock back; more than once does no harm."""
        self._file.close()

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


def lock_for_run(folder: Path) -> FileLock:
    """The folder for this run alone, once workers of a killed run have left.

    Raises:
        FolderInUse: Another run holds it, or its workers do not leave.
    """
    lock = FileLock(folder / _RUN_LOCK, shared=False, patience=2 * _POLL_SECONDS)
    FileLock(folder / _WORKERS_LOCK, shared=False, patience=_PATIENCE_SECONDS).release()
    return lock


def lock_for_worker(folder: Path) -> FileLock:
    """Notes that this process may publish into the folder."""
    return FileLock(folder / _WORKERS_LOCK, shared=True, patience=_PATIENCE_SECONDS)


def leave_with(process_id: int, stop_file: Path | None = None) -> None:
    """Ends this process soon after the given one of this machine has ended.

    Args:
        process_id: The other process.
        stop_file: This process ends as well once there is such a file.
    """
    if process_id != os.getpid():
        threading.Thread(target=_watch, args=(process_id, stop_file), daemon=True).start()


def _watch(process_id: int, stop_file: Path | None) -> None:
    while is_alive(process_id) and not (stop_file and stop_file.exists()):
        time.sleep(_POLL_SECONDS)
    os._exit(1)


def is_alive(process_id: int) -> bool:
    """Whether a process runs; one that has ended but was not yet waited for does not."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:  # no /proc on this system
        return True
    return state not in "ZX"
