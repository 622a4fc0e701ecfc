"""Work that takes too long is ended where it is, and nothing after it.

The watch's clock is moved by hand: no test waits for it, and none depends on a machine's speed.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from hierprob3d.transforms.batch import item_watch
from hierprob3d.transforms.batch.item_watch import ItemOverdue, ItemWatch
from hierprob3d.transforms.inputs.items import Item

ITEM = Item("a", "/a.png")
SECOND = 1.0


class HandClock:
    """A clock that stands still; whoever sleeps by it looks again at once."""

    def __init__(self) -> None:
        self.now = 0.0
        self.looks = 0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        time.sleep(0.002)
        self.looks += 1

    def let_look(self) -> None:
        """Returns once the watch, and those of other tests, looked at the clock as it is now."""
        until = self.looks + 20
        while self.looks < until:
            time.sleep(0.001)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    clock = HandClock()
    steps = SimpleNamespace(monotonic=clock.monotonic, sleep=clock.sleep)
    monkeypatch.setattr(item_watch, "time", steps)
    return clock


def test_python_is_interrupted(clock: HandClock) -> None:
    with pytest.raises(ItemOverdue, match="--time-limit-per-item"):
        with ItemWatch(SECOND).watching([ITEM], "0"):
            clock.now += 1.1
            while True:
                pass


def test_what_is_in_time_goes_undisturbed(clock: HandClock) -> None:
    watch = ItemWatch(SECOND)
    for _ in range(5):
        with watch.watching([ITEM], "0"):
            clock.now += 0.9
            clock.let_look()
    clock.now += 100  # outside the block nothing is limited
    clock.let_look()


def test_each_of_several_items_may_take_the_limit(clock: HandClock) -> None:
    with ItemWatch(SECOND).watching([ITEM] * 3, "0"):
        clock.now += 2.9
        clock.let_look()


def test_no_items_have_no_limit(clock: HandClock) -> None:
    watch = ItemWatch(SECOND)
    with watch.watching([ITEM], "0"), watch.watching([], "1"):
        clock.now += 0.9
        clock.let_look()
    with watch.watching([], "0"):
        clock.now += 100
        clock.let_look()


def test_a_library_that_does_not_come_back_is_given_up(clock: HandClock) -> None:
    given: list[tuple[str, Sequence[Item]]] = []
    told = threading.Event()
    source, sink = os.pipe()

    def give_up(shard: str, items: Sequence[Item]) -> None:
        given.append((shard, items))
        told.set()

    def work() -> None:
        with pytest.raises(ItemOverdue), ItemWatch(SECOND, give_up).watching([ITEM], "00007"):
            begun.set()
            ctypes.CDLL(None).read(source, ctypes.create_string_buffer(1), 1)

    begun = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    clock.now = 1.1
    clock.let_look()
    assert not given  # the exception may still arrive
    clock.now = 3.0
    told.wait()
    os.write(sink, b"x")
    thread.join()
    assert given[0] == ("00007", [ITEM])
    for end in (source, sink):
        os.close(end)


def test_work_is_forgotten_when_its_time_ends_with_it(clock: HandClock) -> None:
    class Late(ItemWatch):
        """Is struck on its way out."""

        is_struck = False

        def _end(self, work: object) -> None:
            if not self.is_struck:
                self.is_struck = True
                raise ItemOverdue
            super()._end(work)  # type: ignore[arg-type]

    given: list[str] = []
    watch = Late(SECOND, lambda shard, items: given.append(shard))
    with pytest.raises(ItemOverdue), watch.watching([ITEM], "0"):
        pass
    for _ in range(2):  # longer than the limit with its grace
        clock.now += 100
        clock.let_look()
    assert not given
