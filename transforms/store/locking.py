"""One run at a time per output folder, and no worker left over from a killed one.

The run holds `.lock`, its worker processes share `.workers`. The kernel releases both when a
process dies, however it dies. A worker of a killed run might still publish a shard that the next
run is doing again: so it looks after the run's process and leaves soon after it, and the next run
waits for `.workers` before it looks at what is finished. `.lock` says whose it is. For local
folders; those of object stores are locked by `store.object_lock`.
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
from types import TracebackType
from typing import Protocol

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
    """An advisory lock of a file, held until released or until this process ends."""

    lost = False
    """The kernel gives it to nobody else."""

    def __init__(self, path: Path, *, shared: bool, patience: float) -> None:
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
                    self._file.close()
                    raise FolderInUse(
                        f"another run is writing to {path.parent.parent}{_named_in(path)}; wait "
                        "for it, or choose another --output."
                    ) from None
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

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


def lock_for_run(folder: Path, run_id: str = "") -> FileLock:
    """The folder for this run alone, once workers of a killed run have left.

    Raises:
        FolderInUse: Another run holds it, or its workers do not leave.
    """
    lock = FileLock(folder / _RUN_LOCK, shared=False, patience=2 * _POLL_SECONDS)
    lock.name(this_holder(run_id))
    try:
        wait_for_workers(folder)
    except FolderInUse:
        lock.release()
        raise
    return lock


def wait_for_workers(folder: Path) -> None:
    """Returns once no process may publish into the folder any more; FolderInUse if that lasts."""
    FileLock(folder / _WORKERS_LOCK, shared=False, patience=_PATIENCE_SECONDS).release()


def is_locked_by(folder: Path, run_id: str) -> bool:
    """Whether the lock of a local folder is a run's, or was when that run was killed."""
    try:
        content = (folder / _RUN_LOCK).read_bytes()
    except FileNotFoundError:
        return False
    return bool(content) and holder_of(content).run_id == run_id


def _named_in(path: Path) -> str:
    content = path.read_bytes()
    return f" ({holder_of(content).words})" if content else ""


def lock_for_worker(folder: Path) -> FileLock:
    """Notes that this process may publish into the folder."""
    return FileLock(folder / _WORKERS_LOCK, shared=True, patience=_PATIENCE_SECONDS)


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
