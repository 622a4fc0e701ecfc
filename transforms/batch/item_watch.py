"""Work on an item ends in time: by an exception where Python can raise one, else with its process.

An exception that another thread raises here comes at the next step of Python; a library that does
not come back to Python within a grace period after that is left only together with the process.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from hierprob3d.transforms.inputs.items import InterruptedWork, Item

_POLL_SECONDS = 0.25
_GRACE = 0.2
"""Of the limit, at least a second: how long an exception may take to arrive."""


GiveUp = Callable[[str, Sequence[Item]], None]
"""Is told the shard and its items that a library does not let go of; ends the process."""


class ItemOverdue(InterruptedWork):
    """An item took longer than allowed."""

    def __init__(self) -> None:
        super().__init__("the time limit of an item was exceeded (--time-limit-per-item)")


@dataclass
class _Work:
    """What a thread is at."""

    thread: int
    shard: str
    items: Sequence[Item]
    deadline: float
    last_deadline: float
    is_told: bool = False


class ItemWatch:
    """Watches work on items from a thread of its own.

    Args:
        limit_s: Seconds that an item may take.
        give_up: Called for work that no exception could end. None: such work goes on.
    """

    def __init__(self, limit_s: float, give_up: GiveUp | None = None) -> None:
        self._limit_s = limit_s
        self._give_up = give_up
        self._lock = threading.Lock()
        self._works: dict[int, _Work] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, items: Sequence[Item], shard: str) -> Iterator[None]:
        """Work on all these items of a shard inside the block; each may take the limit.

        Raises:
            ItemOverdue: At any place inside the block.
        """
        if not items:
            yield
            return
        work = self._begin(items, shard)
        try:
            yield
        finally:
            try:
                self._end(work)
            except ItemOverdue:  # it comes once, and only now
                self._end(work)
                raise

    def _begin(self, items: Sequence[Item], shard: str) -> _Work:
        limit = self._limit_s * len(items)
        deadline = time.monotonic() + limit
        last = deadline + max(1.0, _GRACE * limit)
        work = _Work(threading.get_ident(), shard, items, deadline, last)
        with self._lock:
            self._works[id(work)] = work
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, daemon=True)
                self._thread.start()
        return work

    def _end(self, work: _Work) -> None:
        with self._lock:
            self._works.pop(id(work), None)
            if work.is_told:  # it may not have arrived yet, and must not outside the block
                _raise_in(work.thread, None)

    def _watch(self) -> None:
        while True:
            time.sleep(_POLL_SECONDS)
            with self._lock:
                now = time.monotonic()
                stuck = [w for w in self._works.values() if w.is_told and now > w.last_deadline]
                for work in self._works.values():
                    if not work.is_told and now > work.deadline:
                        work.is_told = True
                        _raise_in(work.thread, ItemOverdue)
                if stuck and self._give_up is not None:
                    self._give_up(stuck[0].shard, stuck[0].items)


def _raise_in(thread: int, error: type[Exception] | None) -> None:
    """Raises an exception in another thread, or takes back one that has not arrived."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), None if error is None else ctypes.py_object(error)
    )
