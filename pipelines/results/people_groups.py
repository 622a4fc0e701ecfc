"""People of a run by video and by track, with what tracks/ knows of them, as tables and arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_KEY = ("item_id", "person_index")
_ORDER = ("frame_index", "person_index")
_SHAPES = {207: (23, 3, 3), 9: (3, 3), 51: (17, 3), 72: (24, 3), 34: (17, 2)}
"""Shapes of lists of numbers by their length, of columns that are more than a vector."""


@dataclass(frozen=True)
class PeopleGroup:
    """People of one video, or of one track in it, in the order of frames."""

    uri: str
    """The video."""
    track_id: int | None
    """The track; None: everybody of the video."""
    table: pa.Table
    """Columns of people/ and of tracks/; those of tracks/ are null for people without a track."""

    def __len__(self) -> int:
        return len(self.table)

    def arrays(self) -> dict[str, np.ndarray]:
        """The columns as arrays by name, such as `pose_mode` (N, 23, 3, 3), `keypoints` (N, 17, 3).

        Nulls are NaN, in columns of text None.
        """
        return {name: _array(self.table[name]) for name in self.table.column_names}


def with_tracks(people: pa.Table, tracks: pa.Table) -> pa.Table:
    """People of a video beside their rows of tracks/, in the order of frames and people."""
    people = people.sort_by([(name, "ascending") for name in _ORDER])
    keys = zip(*(tracks[name].to_pylist() for name in _KEY), strict=True)
    numbers = {key: number for number, key in enumerate(keys)}
    wanted = zip(*(people[name].to_pylist() for name in _KEY), strict=True)
    found = tracks.take(pa.array([numbers.get(key) for key in wanted], pa.int64()))
    for name in found.column_names:
        if name not in people.column_names:
            people = people.append_column(found.schema.field(name), found[name])
    return people


def by_track(video: PeopleGroup) -> Iterator[PeopleGroup]:
    """The tracks of a video; people without one are left out."""
    for track_id in sorted(set(video.table["track_id"].drop_null().to_pylist())):
        table = video.table.filter(pc.field("track_id") == track_id)
        yield PeopleGroup(video.uri, track_id, table)


def wanted_columns(columns: Sequence[str] | None, known: Sequence[str]) -> list[str] | None:
    """Those of some columns that a table has, with what rows are found and sorted by; None: all."""
    if columns is None:
        return None
    return [name for name in dict.fromkeys(("uri", *_KEY, *_ORDER, *columns)) if name in known]


def _array(column: pa.ChunkedArray) -> np.ndarray:
    kind = column.type
    if not pa.types.is_fixed_size_list(kind):
        return column.to_numpy()
    rows = column.combine_chunks()
    numbers = np.full((len(rows), kind.list_size), np.nan, np.float32)
    is_there = np.asarray(rows.is_valid())
    numbers[is_there] = (
        rows.drop_null().flatten().to_numpy(zero_copy_only=False).reshape(-1, kind.list_size)
    )
    return numbers.reshape(len(rows), *_SHAPES.get(kind.list_size, (kind.list_size,)))
