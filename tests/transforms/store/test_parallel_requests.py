"""Requests side by side: answers in order, and not more in advance than memory may hold."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from hierprob3d.transforms.store.parallel_requests import in_parallel


def test_answers_are_in_order_and_few_are_asked_for_in_advance() -> None:
    asked = []

    def values() -> Iterator[int]:
        for value in range(100):
            asked.append(value)
            yield value

    answers = in_parallel(lambda value: 2 * value, values(), at_once=3)
    assert next(answers) == 0 and len(asked) == 6
    assert list(answers) == list(range(2, 200, 2)) and len(asked) == 100


def test_several_are_under_way_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=60)
    assert sorted(in_parallel(lambda _: both.wait(), range(2), at_once=2)) == [0, 1]


def test_an_error_is_raised_where_its_answer_would_be() -> None:
    answers = in_parallel(lambda value: 1 / value, [1, 0, 2])
    assert next(answers) == 1
    with pytest.raises(ZeroDivisionError):
        next(answers)
