"""Inputs in packed blocks: the same rows as of Python's lists, sets and dicts, in less memory."""

from __future__ import annotations

import random

import numpy as np
import pytest

from hierprob3d.transforms.inputs import sources as packed
from hierprob3d.transforms.inputs.sources import (
    KnownVersions,
    Source,
    SourceList,
    UniqueSources,
    first_rows,
    in_order,
)
from hierprob3d.transforms.inputs.uris import printable

ODD = b"/p/\xff.jpg".decode("utf-8", errors="surrogateescape")
SOURCES = [
    Source(ODD), Source("/p/b.jpg", "12-7"), Source("memory://a/ü.png", "etag", "[{}]"),
    *(Source(f"/photos/{number % 7:03d}/{number:012d}.jpg", f"{number}-1") for number in range(40)),
]  # fmt: skip


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "_BLOCK", 8)
    monkeypatch.setattr(packed, "_SORTED_AT_ONCE", 9)


def last_of(sources: list[Source]) -> Source:
    return sources[-1]


@pytest.mark.parametrize("number", [0, 1, 8, 20, len(SOURCES)])
def test_rows_come_back(number: int) -> None:
    found = SourceList(SOURCES[:number])
    assert len(found) == number
    assert list(found) == list(found) == SOURCES[:number]


def test_names_of_a_collection_take_a_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "_BLOCK", 4096)
    names = SourceList(Source(f"/data/photos/{n // 1000:06d}/{n:012d}.jpg") for n in range(20_000))
    assert sum(len(block) for block, _ in names._blocks) < 20_000 * 12


def test_order() -> None:
    shuffled = random.Random(1).sample(SOURCES, len(SOURCES))
    assert list(in_order(shuffled)) == sorted(SOURCES)
    assert list(in_order(SOURCES[:0])) == []


@pytest.mark.parametrize("repeats", [[], [3, 20, 3, 0], list(range(len(SOURCES)))])
def test_each_once_in_the_place_of_the_first(repeats: list[int]) -> None:
    unique = UniqueSources(last_of)
    for source in [*SOURCES, *(SOURCES[place] for place in repeats)]:
        unique.add(source)
    assert list(unique.sources()) == SOURCES


def test_what_later_rows_say_is_merged() -> None:
    unique = UniqueSources(last_of)
    for uri, version, given in (("/a", None, None), ("/a", None, "next"), ("/b", None, None),
                                ("/a", "1", None), ("/c", "2", None), ("/c", "3", None),
                                ("/b", None, None), ("/c", None, "far")):  # fmt: skip
        unique.add(Source(uri, version, given))
    assert list(unique.sources()) == [Source("/a", "1"), Source("/b"), Source("/c", None, "far")]


def test_first_rows_with_digests_that_agree_in_their_first_half() -> None:
    digests = np.array([[5, 1], [5, 2], [4, 0], [5, 1], [5, 2], [5, 3]], np.uint64)
    found = first_rows(digests)
    assert found is not None and found.tolist() == [0, 1, 2, 0, 1, 5]
    assert first_rows(digests[2:4]) is None


def test_known_versions() -> None:
    known = KnownVersions(SOURCES)
    assert len(known) == len(SOURCES)
    for uri, version, _ in SOURCES:
        assert known.check(printable(uri), version) is False
        assert known.check(printable(uri), "another") is (version is not None)
        assert known.check(f"{uri}x", version) is None
    assert KnownVersions([]).check("/a", "1") is None
