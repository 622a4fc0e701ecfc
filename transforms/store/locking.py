"""One run at a time per output folder or part of a plan, and no worker left from a killed one.

The run holds `.lock`, its worker processes share `.workers`. The kernel releases both when a
process dies, however it dies. A worker of a killed run might still publish a shard that the next
run is doing again: so it looks after the run's process and leaves soon after it, and the next run
waits for `.workers` before it looks at what is finished. `.lock` says whose it is. A part of a plan
has both for itself, under names that end in its series, and shares `.lock` with other parts. For
local folders; those of object stores are locked by `store.object_lock`.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import secrets
import threading
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from .part_runs import series_of

_RUN_LOCK = ".lock"
_WORKERS_LOCK = ".workers"
_PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.25


class FolderInUse(ValueError):
    """Another run writes into the folder."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock."""

    token: str
    """Of this one lock; no other has it."""

    run_id: str = ""
    host: str = "unknown"
    process: int = 0
    machine: str = ""
    """Identity of the running system and its process numbers; empty where it cannot be known."""

    since: str = "unknown"

    @property
    def words(self) -> str:
        """For messages."""
        run = f"run {self.run_id}, " if self.run_id else ""
        return f"{run}process {self.process} of host {self.host}, since {self.since}"

    @property
    def has_ended(self) -> bool:
        """Whether its process is known to have ended, which only its own machine can tell."""
        return bool(self.machine) and self.machine == _machine() and not is_alive(self.process)

    @property
    def content(self) -> bytes:
        """As a lock holds it."""
        return json.dumps(asdict(self)).encode()


def this_holder(run_id: str) -> Holder:
    """This process, with a token that nobody had before."""
    return Holder(
        token=secrets.token_hex(8),
        run_id=run_id,
        host=platform.node(),
        process=os.getpid(),
        machine=_machine(),
        since=utc_now(),
    )


def holder_of(content: bytes) -> Holder:
    """The holder in a lock's content; one that nobody knows where it is damaged."""
    try:
        return Holder(**json.loads(content))
    except (ValueError, TypeError):
        return Holder(token=content[:16].hex())


def utc_now() -> str:
    """The time, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class RunLock(Protocol):
    """A folder for one run alone."""

    lost: bool
    """Whether another run has taken over since."""

    def release(self) -> None:
        """Gives the lock back; more than once does no harm."""
        ...


class FileLock:
    """An advisory lock of a file, held until released or until this process ends.

    Args:
        path: Of the file, in the folder for locks.
        shared: Whether others may share it.
        patience: Seconds to wait for it.
        beside: Another lock, given back with this one.

    Raises:
        FolderInUse: Another process holds it.
    """

    lost = False
    """The kernel gives it to nobody else."""

    def __init__(
        self, path: Path, *, shared: bool, patience: float, beside: FileLock | None = None
    ) -> None:
        self._beside = beside
        self._file = open(path, "ab+")  # noqa: SIM115 - open as long as the lock is held
        self._is_named = False
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(self._file, kind | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    self.release()
                    raise FolderInUse(_in_use(path)) from None
                time.sleep(_POLL_SECONDS)

    def name(self, holder: Holder) -> None:
        """Says in the file who holds the lock, until it is released."""
        self._is_named = True
        self._file.truncate(0)
        self._file.write(holder.content)
        self._file.flush()

    def release(self) -> None:
        """Gives the lock back; more than once does no harm."""
        if self._is_named and not self._file.closed:
            self._file.truncate(0)
        self._file.close()
        if self._beside is not None:
            self._beside.release()

    def __enter__(self) -> FileLock:
        return self

    def __exit__(self, *raised: object) -> None:
        self.release()


def lock_for_run(folder: Path, run_id: str = "") -> FileLock:
    """The folder, or the part of it, for this run alone, once workers of a killed run have left.

    Raises:
        FolderInUse: Another run holds it, or its workers do not leave.
    """
    lock_file = _lock_file(folder, _RUN_LOCK, run_id)
    short = 2 * _POLL_SECONDS
    whole = None
    if series_of(run_id):
        whole = FileLock(folder / _RUN_LOCK, shared=True, patience=short)
    lock = FileLock(lock_file, shared=False, patience=short, beside=whole)
    lock.name(this_holder(run_id))
    try:
        wait_for_workers(folder, run_id)
    except FolderInUse:
        lock.release()
        raise
    return lock


def wait_for_workers(folder: Path, run_id: str = "") -> None:
    """Returns once no process may publish for the run or its part; FolderInUse if that lasts."""
    workers = _lock_file(folder, _WORKERS_LOCK, run_id)
    FileLock(workers, shared=False, patience=_PATIENCE_SECONDS).release()


def is_locked_by(folder: Path, run_id: str) -> bool:
    """Whether the lock of a local folder is a run's, or was when that run was killed."""
    try:
        content = _lock_file(folder, _RUN_LOCK, run_id).read_bytes()
    except FileNotFoundError:
        return False
    return bool(content) and holder_of(content).run_id == run_id


def is_at_work(folder: Path, run_id: str) -> bool:
    """Whether a run, or another of its part, holds its lock of a local folder now."""
    try:
        file = open(_lock_file(folder, _RUN_LOCK, run_id), "rb")  # noqa: SIM115
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def lock_for_worker(folder: Path, run_id: str = "") -> FileLock:
    """Notes that this process may publish into the folder for a run."""
    path = _lock_file(folder, _WORKERS_LOCK, run_id)
    return FileLock(path, shared=True, patience=_PATIENCE_SECONDS)


def _lock_file(folder: Path, name: str, run_id: str) -> Path:
    series = series_of(run_id)
    return folder / (f"{name}-{series}" if series else name)


def _in_use(path: Path) -> str:
    """Who holds a lock, and what to do about it."""
    content = path.read_bytes()
    named = f" ({holder_of(content).words})" if content else ""
    folder = path.parent.parent
    if path.name in (_RUN_LOCK, _WORKERS_LOCK):
        return (
            f"another run is writing to {folder}{named}; wait for it, or choose another --output."
        )
    return f"this part of {folder} is being done by another process{named}; leave it to that one."


def _machine() -> str:
    """Name of this running system and of its numbers of processes; empty where it has none."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""


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
