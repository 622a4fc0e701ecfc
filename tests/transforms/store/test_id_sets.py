"""Sets of ids behave as Python's, whatever the columns look like."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from hierprob3d.transforms.store.id_sets import IdSet


def hashes(numbers: range) -> list[str]:
    return [hashlib.sha1(str(number).encode()).hexdigest() for number in numbers]


@pytest.mark.parametrize("ids", [hashes(range(500)), ["a", "bcd", "", "é", "zz", "bc"], []])
def test_membership(ids: list[str]) -> None:
    columns = [pa.chunked_array([ids[::2], ids[1::2]], pa.string()), pa.chunked_array([ids[:3]],
               pa.string()).slice(1)]  # fmt: skip
    found = IdSet(columns)
    assert len(found) == len(ids) and set(found) == set(ids)
    assert all(item_id in found for item_id in ids)
    assert hashes(range(1000, 1001))[0] not in found and "b" not in found and 3 not in found
    others = [*ids, "b", *hashes(range(490, 510))]
    column = pa.chunked_array([others, []], pa.string()).slice(1)
    np.testing.assert_array_equal(found.mask(column), [one in set(ids) for one in others[1:]])


def test_without() -> None:
    ids = hashes(range(100))
    found = IdSet([pa.chunked_array([ids])])
    assert found.without([]) is found
    assert set(found.without({*ids[:7], "other"})) == set(ids[7:])


def test_no_columns() -> None:
    nothing = IdSet([])
    assert len(nothing) == 0 and "a" not in nothing and list(nothing) == []
    assert nothing.mask(pa.chunked_array([["a"]])).tolist() == [False]


def test_forty_bytes_an_id() -> None:
    found = IdSet([pa.chunked_array([hashes(range(1000))])])
    assert found._ids.nbytes == 40_000
