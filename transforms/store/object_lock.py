"""One run at a time per folder of an object store, where no kernel keeps locks.

A lock is an object `.lock-000001.json` that names its holder and is created only if there is none,
which S3, Google and Azure see to. The holder puts another object, its heartbeat, every few seconds;
whoever finds a lock watches the heartbeat on his own clock, for the clocks of two hosts may differ.
One that stands still for a minute and a half belongs to a run that was killed: the next number is
created, which again one can do, and the highest number counts. A holder that was only asleep finds
out at its next heartbeat, and before it publishes.

Where a back-end of fsspec cannot create conditionally, the lock is written, read again after a
moment, and again with each heartbeat: of two runs that begin in the same instant one may write for
some seconds before it stops.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
from dataclasses import dataclass

from .locking import FolderInUse, Holder, holder_of, this_holder, utc_now
from .retrying_files import RetryingFileSystem, create_file

_LOCK_PREFIX = ".lock-"
_LOCK_NAME = re.compile(r"\.lock-(?P<number>\d{6,})\.json")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LockTiming:
    """Seconds."""

    beat: float = 10.0
    """Between two heartbeats."""

    expiry: float = 90.0
    """Without a heartbeat, after which a lock counts as left over."""

    poll: float = 2.0
    """Between two looks at somebody else's lock."""

    settle: float = 3.0
    """Before a lock is read again that could not be created conditionally."""


class ObjectLock:
    """A folder of an object store for one run, held until released or taken over.

    Args:
        fs: The store.
        folder: Path of the folder for locks.
        run_id: Of the run, for messages and `is_current_run`.
        timing: How long everything takes.

    Raises:
        FolderInUse: Another run holds it.
    """

    def __init__(
        self,
        fs: RetryingFileSystem,
        folder: str,
        run_id: str = "",
        timing: LockTiming | None = None,
    ) -> None:
        self.lost = False
        """Whether another run has taken over, since this one gave no sign of life."""

        self._fs, self._folder = fs, folder.rstrip("/")
        self._timing = timing or LockTiming()
        self._holder = this_holder(run_id)
        self._beats = 0
        self._stop = threading.Event()
        dead = self._await_silence()
        self._number = max(dead, default=0) + 1
        self._take(dead)
        self._thread = threading.Thread(target=self._keep, name="lock", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Gives the lock back; more than once does no harm."""
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join()
            try:
                self._withdraw()
            except Exception as error:  # it expires by itself
                _log.warning("the lock of %s could not be removed: %r", self._folder, error)

    def __enter__(self) -> ObjectLock:
        return self

    def __exit__(self, *raised: object) -> None:
        self.release()

    def _await_silence(self) -> dict[int, Holder]:
        """Locks whose holders are gone; FolderInUse once one gives a sign of life."""
        seen: dict[Holder, tuple[bytes | None, float]] = {}
        told = False
        while True:
            holders = _holders(self._fs, self._folder)
            waiting = [one for one in holders.values() if not self._is_silent(one, seen)]
            if not waiting:
                return holders
            if not told:
                print(
                    f"{self._folder} is locked by {waiting[0].words}: waiting for its sign of "
                    f"life; if there is none for {self._timing.expiry:.0f} s, its run was killed "
                    "and this one goes on.",
                    file=sys.stderr,
                )
                told = True
            time.sleep(self._timing.poll)

    def _is_silent(self, holder: Holder, seen: dict[Holder, tuple[bytes | None, float]]) -> bool:
        """Whether a holder has ended or gave no sign of life for too long; notes what is seen."""
        if holder.has_ended:
            return True
        beat = self._read(self._beat_name(holder))
        first, since = seen.setdefault(holder, (beat, time.monotonic()))
        if beat != first:
            raise self._in_use(holder, beat)
        return time.monotonic() - since >= self._timing.expiry

    def _in_use(self, holder: Holder, beat: bytes | None = None) -> FolderInUse:
        last = f", last sign of life {_time_of(beat)}" if beat else ""
        return FolderInUse(
            f"another run is writing to {self._folder.rpartition('/')[0]} ({holder.words}{last}); "
            "wait for it, or choose another --output. The lock of a killed run expires after "
            f"{self._timing.expiry:.0f} s without a sign of life."
        )

    def _take(self, dead: dict[int, Holder]) -> None:
        """Creates the lock, unless somebody else was faster."""
        self._beat()
        name = f"{self._folder}/{_lock_name(self._number)}"
        content = self._holder.content
        created, certain = create_file(self._fs, name, content)
        if created and not certain:
            time.sleep(self._timing.settle)
        now = _holders(self._fs, self._folder)
        mine = now.pop(self._number, None)
        rivals = [one for number, one in now.items() if dead.get(number) != one]
        if mine == self._holder and not rivals:
            self._clear(dead)
            return
        self._withdraw()
        winner = rivals[0] if rivals else mine
        raise self._in_use(winner or Holder(token="", host="another"))

    def _withdraw(self) -> None:
        """Removes the lock, if it is this one's, and its heartbeat."""
        if _holders(self._fs, self._folder).get(self._number) == self._holder:
            self._remove(_lock_name(self._number))
        self._remove(self._beat_name(self._holder))

    def _clear(self, dead: dict[int, Holder]) -> None:
        """Removes what runs that are gone have left."""
        for number, holder in dead.items():
            self._remove(self._beat_name(holder))
            self._remove(_lock_name(number))

    def _keep(self) -> None:
        """Gives signs of life until released, or until the lock turns out to be another's."""
        while not self._stop.wait(self._timing.beat):
            try:
                if _current(_holders(self._fs, self._folder)) != self._holder:
                    self.lost = True
                    _log.error("another run has taken over %s", self._folder)
                    return
                self._beat()
            except Exception as error:  # the next one may reach the store again
                _log.warning("no sign of life could be given to %s: %r", self._folder, error)

    def _beat(self) -> None:
        self._beats += 1
        content = json.dumps({"beats": self._beats, "time": utc_now()}).encode()
        self._fs.pipe_file(f"{self._folder}/{self._beat_name(self._holder)}", content)

    def _beat_name(self, holder: Holder) -> str:
        return f".beat-{holder.token}.json"

    def _read(self, name: str) -> bytes | None:
        return _read(self._fs, f"{self._folder}/{name}")

    def _remove(self, name: str) -> None:
        try:
            self._fs.rm_file(f"{self._folder}/{name}")
        except FileNotFoundError:
            pass


def holds_lock(fs: RetryingFileSystem, folder: str, run_id: str) -> bool:
    """Whether the lock of a folder is a run's."""
    holder = _current(_holders(fs, folder))
    return holder is not None and holder.run_id == run_id


def _current(holders: dict[int, Holder]) -> Holder | None:
    return holders[max(holders)] if holders else None


def _holders(fs: RetryingFileSystem, folder: str) -> dict[int, Holder]:
    """Holders of all locks in a folder, by the locks' numbers."""
    try:
        names = fs.names(folder, _LOCK_PREFIX)
    except FileNotFoundError:
        return {}
    holders = {}
    for name in names:
        match = _LOCK_NAME.fullmatch(name)
        content = _read(fs, f"{folder}/{name}") if match else None
        if match and content is not None:
            holders[int(match["number"])] = holder_of(content)
    return holders


def _read(fs: RetryingFileSystem, path: str) -> bytes | None:
    try:
        return fs.cat_file(path)
    except FileNotFoundError:
        return None


def _lock_name(number: int) -> str:
    return f".lock-{number:06d}.json"


def _time_of(beat: bytes) -> str:
    try:
        return str(json.loads(beat)["time"])
    except (ValueError, TypeError, KeyError):
        return "unknown"
