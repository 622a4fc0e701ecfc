"""Sets of item ids in flat memory: 40 bytes an id, where Python's own sets need 150."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import numpy as np
import pyarrow as pa


class IdSet(Collection[str]):
    """Ids, sorted one behind the other.

    Args:
        columns: Text columns with ids, in any order, some perhaps twice.
    """

    def __init__(self, columns: Iterable[pa.ChunkedArray]) -> None:
        parts = [_fixed_width(chunk) for column in columns for chunk in column.chunks]
        joined = np.concatenate([part for part in parts if len(part)] or [np.empty(0, "S1")])
        del parts
        joined.sort()
        repeated = joined[1:] == joined[:-1]
        self._ids = joined[np.append(True, ~repeated)] if repeated.any() else joined

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[str]:
        return (item_id.decode() for item_id in self._ids)

    def __contains__(self, item_id: object) -> bool:
        return isinstance(item_id, str) and bool(self._find(np.array([item_id.encode()]))[0])

    def without(self, others: Collection[str]) -> IdSet:
        """Those that are not among the others."""
        if not others:
            return self
        gone = IdSet([pa.chunked_array([list(others)], pa.string())])
        rest = IdSet([])
        rest._ids = self._ids[~gone._find(self._ids)]
        return rest

    def mask(self, column: pa.ChunkedArray) -> np.ndarray:
        """(rows,) bool: which rows of a text column are in the set."""
        parts = [self._find(_fixed_width(chunk)) for chunk in column.chunks]
        return np.concatenate([*parts, np.empty(0, bool)])

    def _find(self, ids: np.ndarray) -> np.ndarray:
        if not len(self._ids):
            return np.zeros(len(ids), bool)
        places = np.searchsorted(self._ids, ids)
        return self._ids[np.minimum(places, len(self._ids) - 1)] == ids


def _fixed_width(ids: pa.Array) -> np.ndarray:
    """(rows,) bytes; without a copy where all ids are equally long, as ours are."""
    if ids.null_count == 0 and pa.types.is_string(ids.type) and len(ids):
        offsets = np.frombuffer(ids.buffers()[1], np.int32)[ids.offset :][: len(ids) + 1]
        widths = np.diff(offsets)
        if widths[0] and (widths == widths[0]).all():
            return np.frombuffer(ids.buffers()[2], f"S{widths[0]}", len(ids), offsets[0])
    return np.array([item_id.encode() for item_id in ids.to_pylist()], bytes)
