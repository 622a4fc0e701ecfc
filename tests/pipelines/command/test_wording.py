"""One of a thing and several of it."""

from __future__ import annotations

from hierprob3d.pipelines.command.wording import counted, people


def test_one_and_many() -> None:
    assert [counted(n, "error row") for n in (0, 1, 2)] == [
        "0 error rows",
        "1 error row",
        "2 error rows",
    ]
    assert [people(n) for n in (1, 2)] == ["1 person", "2 people"]
