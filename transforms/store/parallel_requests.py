"""Requests to a store, several at the same time: each takes long, and little of anybody's work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

_AT_ONCE = 16
_WAITING = 64
"""Answers that memory may hold."""

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(
    call: Callable[[T], R], values: Iterable[T], at_once: int = _AT_ONCE
) -> Iterator[R]:
    """What the call returns for each value, in their order; few at a time are under way."""
    rest = iter(values)
    with ThreadPoolExecutor(at_once) as pool:
        while some := list(islice(rest, _WAITING)):
            yield from pool.map(call, some)
