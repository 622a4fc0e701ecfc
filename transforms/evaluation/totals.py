"""Totals of an evaluation: sums that come out the same, bit for bit, however rows are divided.

Floating-point addition is not associative, so a total would depend on shards and order. Here a
running sum is kept without any rounding, as a few float64 numbers whose exact sum it is (Shewchuk
1997); only the finished total is rounded, once. Counts are integers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import apache_beam as beam
import numpy as np
import pyarrow as pa

from hierprob3d.transforms.tables.schema import STATUS_OK

CALIBRATION_BINS = 20
"""Bins of the shape's central probability."""

_NOT_SUMMED = frozenset(
    {"frame_index", "num_people", "pose_mode", "global_rotmat", "shape_mean", "camera"}
)


class ExactSum:
    """A sum of float64 numbers without rounding; equal however the numbers are grouped."""

    def __init__(self) -> None:
        self._parts: list[float] = []

    def add(self, values: Iterable[float]) -> None:
        """Adds finite numbers."""
        for value in values:
            kept = []
            for part in self._parts:
                if abs(value) < abs(part):
                    value, part = part, value
                total = value + part
                rounded_off = part - (total - value)
                if rounded_off:
                    kept.append(rounded_off)
                value = total
            self._parts = [*kept, value]

    def merge(self, other: ExactSum) -> None:
        """Adds another sum."""
        self.add(other._parts)

    def value(self) -> float:
        """The sum, rounded once to float64."""
        return math.fsum(self._parts)


@dataclass
class ColumnTotal:
    """Sums and number of the finite values of one column, elementwise for lists."""

    sums: list[ExactSum]
    counts: np.ndarray
    """int64, one for each sum."""

    @classmethod
    def of(cls, values: np.ndarray) -> ColumnTotal:
        """Total of (rows, elements) values; NaN is not counted."""
        total = cls([ExactSum() for _ in range(values.shape[1])], np.isfinite(values).sum(0))
        for exact, column in zip(total.sums, values.T, strict=True):
            exact.add(column[np.isfinite(column)].astype(np.float64).tolist())
        return total

    def merge(self, other: ColumnTotal) -> None:
        """Adds another total of the same column."""
        for mine, theirs in zip(self.sums, other.sums, strict=True):
            mine.merge(theirs)
        self.counts = self.counts + other.counts

    def means(self) -> np.ndarray:
        """float64 mean of each element, NaN where nothing was counted."""
        sums = np.array([exact.value() for exact in self.sums])
        return np.divide(sums, self.counts, out=np.full(len(sums), np.nan), where=self.counts > 0)

    def mean(self) -> float:
        """Mean over all elements together."""
        whole = ExactSum()
        for exact in self.sums:
            whole.merge(exact)
        count = int(self.counts.sum())
        return whole.value() / count if count else math.nan


@dataclass
class Totals:
    """What is known of any number of rows together."""

    num_rows: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    """Rows by status."""

    columns: dict[str, ColumnTotal] = field(default_factory=dict)
    """Of every float column."""

    counts: dict[str, np.ndarray] = field(default_factory=dict)
    """Of integer columns and histograms."""

    def merge(self, other: Totals) -> None:
        """Adds the rows of another."""
        self.num_rows += other.num_rows
        for status, number in other.statuses.items():
            self.statuses[status] = self.statuses.get(status, 0) + number
        for name, total in other.columns.items():
            if name in self.columns:
                self.columns[name].merge(total)
            else:
                self.columns[name] = ColumnTotal.of(np.empty((0, len(total.sums))))
                self.columns[name].merge(total)
        for name, counts in other.counts.items():
            self.counts[name] = self.counts.get(name, 0) + counts


def totals_of(table: pa.Table, num_draws: int) -> Totals:
    """Totals of rows of an evaluation's frames table.

    Args:
        table: see `transforms.tables.evaluation_schema`.
        num_draws: draws behind `pose_rank`.
    """
    statuses = table["status"].to_pylist()
    totals = Totals(len(statuses), {s: statuses.count(s) for s in sorted(set(statuses))})
    table = table.filter(pa.array([status == STATUS_OK for status in statuses], pa.bool_()))
    arrays = {
        name: column_values(table[name]) for name in table.column_names if name not in _NOT_SUMMED
        and not pa.types.is_string(table[name].type)
    }  # fmt: skip
    for name, values in arrays.items():
        if values.dtype.kind == "f":
            totals.columns[name] = ColumnTotal.of(values)
        elif name not in ("pose_rank", "keypoint_visible"):
            totals.counts[name] = values.sum(0)
    if arrays:
        _add_histograms(totals, arrays, num_draws)
        _split_by_visibility(totals, arrays)
    return totals


def column_values(column: pa.ChunkedArray) -> np.ndarray:
    """(rows, elements) array of a column of numbers or of fixed-size lists; null is NaN."""
    if pa.types.is_fixed_size_list(column.type):
        size = column.type.list_size
        flat = column.combine_chunks().flatten()
        return flat.to_numpy(zero_copy_only=False).reshape(-1, size)
    return column.to_numpy(zero_copy_only=False).reshape(-1, 1)


def _add_histograms(totals: Totals, arrays: Mapping[str, np.ndarray], num_draws: int) -> None:
    """Of the truth's rank among the draws, per joint, and of its central probability, per beta."""
    ranks = arrays["pose_rank"].T
    totals.counts["pose_rank_histogram"] = np.stack(
        [np.bincount(rank[rank >= 0], minlength=num_draws + 1) for rank in ranks]
    )
    probability = arrays["shape_central_probability"].T
    bins = np.minimum(np.nan_to_num(probability) * CALIBRATION_BINS, CALIBRATION_BINS - 1)
    totals.counts["shape_histogram"] = np.stack(
        [
            np.bincount(row[known], minlength=CALIBRATION_BINS)
            for row, known in zip(bins.astype(np.int64), np.isfinite(probability), strict=True)
        ]
    )


def _split_by_visibility(totals: Totals, arrays: Mapping[str, np.ndarray]) -> None:
    """Spread of the draws over confident keypoints, and over the others."""
    spread, visible = arrays["keypoint_spread_m"], arrays["keypoint_visible"].astype(bool)
    for name, chosen in (("visible", visible), ("invisible", ~visible)):
        values = np.where(chosen, spread, np.nan)
        totals.columns[f"spread_{name}_m"] = ColumnTotal.of(values)


class CombineTotals(beam.CombineFn):
    """Totals of many shards; associative and commutative to the last bit."""

    def create_accumulator(self) -> Totals:
        """Totals of no rows."""
        return Totals()

    def add_input(self, accumulator: Totals, element: Totals) -> Totals:
        """Adds the totals of a shard."""
        accumulator.merge(element)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Totals]) -> Totals:
        """Adds totals to each other."""
        merged = Totals()
        for accumulator in accumulators:
            merged.merge(accumulator)
        return merged

    def extract_output(self, accumulator: Totals) -> Totals:
        """The totals themselves."""
        return accumulator


def coverage(histogram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(expected, observed) share of truths within each level, from a histogram of ranks.

    Args:
        histogram: (K,) or (joints, K) counts; K equally probable cells, most central first.

    Returns:
        Two (K + 1,) arrays from 0 to 1; equal ones mean a calibrated distribution.
    """
    cells = histogram.reshape(-1, histogram.shape[-1]).sum(0)
    observed = np.concatenate([[0], np.cumsum(cells)]) / max(int(cells.sum()), 1)
    return np.linspace(0, 1, len(cells) + 1), observed


def calibration_error(expected: np.ndarray, observed: np.ndarray) -> float:
    """Mean absolute difference of the two curves of `coverage`, 0 to 0.5."""
    return float(np.mean(np.abs(np.subtract(expected, observed))))
