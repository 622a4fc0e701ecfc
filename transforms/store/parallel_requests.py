"""Requests to a store, several at the same time: each takes long, and little of anybody's work."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_AT_ONCE = 16

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(
    call: Callable[[T], R], values: Iterable[T], at_once: int = _AT_ONCE
) -> Iterator[R]:
    """What the call returns for each value, in their order; few at a time are under way.

    Answers may be large and wait for whoever takes them, so that no more than twice as many are
    asked for in advance.
    """
    waiting = deque[Future[R]]()
    with ThreadPoolExecutor(at_once) as pool:
        try:
            for value in values:
                waiting.append(pool.submit(call, value))
                if len(waiting) == 2 * at_once:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for unwanted in waiting:
                unwanted.cancel()
