"""Numbers of parts as Slurm takes them."""

from __future__ import annotations

import pytest

from hierprob3d.pipelines.parts.part_states import array_text


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], ""), ([3], "3"), ([40, 3, 17], "3,17,40"), ([1, 2, 3, 7, 9, 10], "1-3,7,9-10")],
)
def test_numbers_of_an_array(numbers: list[int], text: str) -> None:
    assert array_text(numbers) == text
