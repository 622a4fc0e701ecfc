"""Few people are filled up; many, or none, are left alone."""

from __future__ import annotations

import torch

from hierprob3d.model.network.filled_batches import MIN_ROWS, filled_rows


def test_few_people_are_filled_up_with_the_last_one() -> None:
    people = torch.arange(2.0)[:, None]
    assert people[filled_rows(2)][:, 0].tolist() == [0.0, 1.0, 1.0, 1.0]


def test_enough_people_or_none_are_the_batch_itself() -> None:
    for num in (0, MIN_ROWS, MIN_ROWS + 1):
        people = torch.rand(num, 3)
        assert people[filled_rows(num)].data_ptr() == people.data_ptr()
        assert len(people[filled_rows(num)]) == num
