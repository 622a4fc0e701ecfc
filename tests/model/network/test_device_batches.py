"""Batches on a device, and what happens where its memory ends."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hierprob3d.model.network.device_batches import in_batches, on_device

CPU = torch.device("cpu")


def test_rows_keep_their_order_and_their_company() -> None:
    rows = torch.arange(10)
    parts = in_batches(lambda first, second: torch.stack([first, second]), (rows, -rows), 4)
    assert [part.shape[1] for part in parts] == [4, 4, 2]
    assert torch.equal(torch.cat(parts, dim=1), torch.stack([rows, -rows]))
    assert in_batches(lambda part: part, (rows[:0],), 4) == []


def test_where_memory_ends_parts_are_halved_and_no_row_is_lost() -> None:
    sizes: list[int] = []

    def run(part: Tensor) -> Tensor:
        sizes.append(len(part))
        if len(part) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return part

    found = torch.cat(in_batches(run, (torch.arange(13),), 12))
    assert found.tolist() == list(range(13)) and sizes == [12, 6, 3, 3, 3, 3, 1]


def test_a_row_that_does_not_fit_alone_is_an_error() -> None:
    def run(part: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        in_batches(run, (torch.arange(4),), 4)


def test_values_arrive_in_the_layout_that_is_wanted() -> None:
    values = torch.rand(2, 3, 4, 5)
    moved = on_device(values, CPU, torch.channels_last)
    assert moved.is_contiguous(memory_format=torch.channels_last) and torch.equal(moved, values)
    assert on_device(values, CPU) is values
