"""Work that takes too long is ended where it is, and nothing after it."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Sequence

import pytest

from hierprob3d.transforms.batch.item_watch import ItemOverdue, ItemWatch
from hierprob3d.transforms.inputs.items import Item

ITEM = Item("a", "/a.png")


def spin(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_python_is_interrupted() -> None:
    watch, start = ItemWatch(0.3), time.monotonic()
    with pytest.raises(ItemOverdue, match="--time-limit-per-item"), watch.watching([ITEM], "0"):
        spin(30)
    assert time.monotonic() - start < 15


def test_what_is_in_time_goes_undisturbed() -> None:
    watch = ItemWatch(0.3)
    for _ in range(5):
        with watch.watching([ITEM], "0"):
            spin(0.05)
    spin(1.0)  # outside the block nothing is limited


def test_each_of_several_items_may_take_the_limit() -> None:
    with ItemWatch(1.0).watching([ITEM] * 3, "0"):
        spin(1.6)


def test_no_items_have_no_limit() -> None:
    with ItemWatch(0.1).watching([], "0"):
        spin(0.8)


def test_a_library_that_does_not_come_back_is_given_up() -> None:
    told = threading.Event()
    given: list[tuple[str, Sequence[Item]]] = []

    def give_up(shard: str, items: Sequence[Item]) -> None:
        given.append((shard, items))
        told.set()

    def work() -> None:
        with pytest.raises(ItemOverdue), ItemWatch(0.2, give_up).watching([ITEM], "00007"):
            ctypes.CDLL(None).sleep(3)

    thread = threading.Thread(target=work)
    thread.start()
    assert told.wait(10) and given[0] == ("00007", [ITEM])
    thread.join()


def test_work_is_forgotten_when_its_time_ends_with_it() -> None:
    class Late(ItemWatch):
        """Is struck on its way out."""

        is_struck = False

        def _end(self, work: object) -> None:
            if not self.is_struck:
                self.is_struck = True
                raise ItemOverdue
            super()._end(work)  # type: ignore[arg-type]

    given: list[str] = []
    watch = Late(0.1, lambda shard, items: given.append(shard))
    with pytest.raises(ItemOverdue), watch.watching([ITEM], "0"):
        pass
    spin(2.0)  # longer than the limit with its grace
    assert not given
