"""Job arrays: all parts in as few as Slurm allows, none one too many."""

from __future__ import annotations

from pathlib import Path

import pytest

from hierprob3d.pipelines.parts.array_limits import (
    SlurmArray,
    arrays_for,
    note_arrays,
    slurm_arrays,
)
from hierprob3d.transforms.store.output_folder import OutputFolder


@pytest.mark.parametrize("num_parts", [1, 2, 1000, 1001, 1002, 2002, 2003, 50000])
def test_every_part_once_and_no_number_too_high(num_parts: int) -> None:
    arrays = arrays_for(num_parts, 1001)
    assert [part for array in arrays for part in array.parts] == list(range(num_parts))
    assert all(1 <= array.count <= 1001 for array in arrays)  # numbers 0 to 1000 are allowed
    assert len(arrays) == -(-num_parts // 1001)


def test_specification_and_limit() -> None:
    assert SlurmArray(0, 1).spec == "0"
    assert SlurmArray(5, 8).spec == "0-7"
    assert [array.spec for array in arrays_for(20, 10, at_once=5)] == ["0-9%2", "0-9%3"]
    assert [array.at_once for array in arrays_for(30, 10, at_once=1)] == [1, 1, 1]


def test_arrays_are_found_again(tmp_path: Path) -> None:
    store = OutputFolder(str(tmp_path))
    assert slurm_arrays(store) is None
    note_arrays(store, arrays_for(11, 10))
    assert slurm_arrays(store) == [SlurmArray(0, 5), SlurmArray(5, 6)]
