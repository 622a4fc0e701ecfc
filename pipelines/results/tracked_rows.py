"""Rows of people/ with what tracks/ knows of them."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from hierprob3d.model.estimate.person_row import SMOOTHED_COLUMNS
from hierprob3d.pipelines.command.usage import UsageError
from hierprob3d.transforms.tracking.tracks_store import people_state, read_record

from .run_folder import RunFolder

_KEY = ("item_id", "person_index")
TOLD_OF_TRACKS = ("track_id", "track_confidence", "link_confidence")
"""Columns of tracks/ that people may be chosen by."""


class TrackedRows:
    """Looks up tracks and smoothed bodies.

    Args:
        folder: of the run.
        refined: whether the bodies moved onto the keypoints are wanted.

    Raises:
        UsageError: the tracks have smoothed the other bodies.
    """

    def __init__(self, folder: RunFolder, refined: bool = False) -> None:
        table = folder.tracks([*_KEY, *TOLD_OF_TRACKS, *SMOOTHED_COLUMNS.values()])
        keys = zip(*(table[name].to_pylist() for name in _KEY), strict=True)
        self._numbers = {key: number for number, key in enumerate(keys)}
        self._told = {name: table[name].to_pylist() for name in TOLD_OF_TRACKS}
        self._smoothed = {
            name: _numbers(table[smoothed])
            for name, smoothed in SMOOTHED_COLUMNS.items()
            if smoothed in table.column_names
        }
        if self._numbers:
            _check(folder, refined)

    def __bool__(self) -> bool:
        return bool(self._numbers)

    def columns(self, row: dict[str, Any]) -> dict[str, Any]:
        """Track of a person, and how sure that is; None where there is none."""
        number = self._numbers.get((row["item_id"], row["person_index"]))
        return {
            name: None if number is None else self._told[name][number] for name in TOLD_OF_TRACKS
        }

    def smoothed(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row with its smoothed body in the mode's place; as it is where there is none."""
        number = self._numbers.get((row["item_id"], row["person_index"]))
        if number is None:
            return row
        return {**row, **{name: rows[number] for name, rows in self._smoothed.items()}}


def _numbers(column: Any) -> np.ndarray:
    """(N, size) of a column of lists."""
    numbers = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return numbers.reshape(len(column), column.type.list_size)


def _check(folder: RunFolder, refined: bool) -> None:
    record = read_record(folder.store)
    if record is None:
        return
    are_refined = bool(record.get("config", {}).get("refined"))
    if are_refined != refined:
        raise UsageError(
            f"the tracks of {folder.folder} are of the refined bodies: add --refined or "
            "--no-tracks, or run `hierprob3d track` again."
            if are_refined else
            f"the tracks of {folder.folder} are of the modes: run `hierprob3d track --refined` "
            "again, or add --no-tracks."
        )  # fmt: skip
    if record.get("people_state") != people_state(folder.store):
        print(
            "note: people were added after `hierprob3d track`: run it again to follow them too",
            file=sys.stderr,
        )
