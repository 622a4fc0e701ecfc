"""Histograms of a report, as rectangles that a template draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .person_table import Measure, Numbers

MAX_BINS = 28
"""A chart has at least ten, and no more than that."""

_STEPS = (1, 2, 5, 10)
"""Widths of bars, times a power of ten: bounds are round numbers."""

_TAIL = 0.99
"""Values above this share of all are counted in the last bar: one outlier hides no other."""


@dataclass(frozen=True)
class Bar:
    """Values between two bounds."""

    low: float
    high: float
    count: int
    share: float
    """Of the highest bar."""
    is_open: bool
    """Whether all larger values are counted too."""


@dataclass(frozen=True)
class Histogram:
    """How a number is spread over people."""

    measure: Measure
    bars: tuple[Bar, ...]
    median: float
    num_unknown: int
    """People without it."""


def histogram(measure: Measure, values: Numbers) -> Histogram | None:
    """The histogram of values (P,), None where nobody has one."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, high = float(known.min()), float(np.quantile(known, _TAIL))
    if measure.key == "quality":
        low, high = 0.0, 1.0
    if high <= low:
        high = low + 1.0
    edges = _round_edges(low, high)
    low, high = float(edges[0]), float(edges[-1])
    counts, _ = np.histogram(np.clip(known, low, high), edges)
    tallest = max(int(counts.max()), 1)
    has_more = float(known.max()) > high
    bars = tuple(
        Bar(float(edges[i]), float(edges[i + 1]), int(count), int(count) / tallest,
            has_more and i == len(counts) - 1)
        for i, count in enumerate(counts)
    )  # fmt: skip
    return Histogram(measure, bars, float(np.median(known)), len(values) - len(known))


def _round_edges(low: float, high: float) -> Numbers:
    """Bounds of bars at multiples of a round width, from below `low` to above `high`."""
    least = (high - low) / (MAX_BINS - 2)  # the ends may reach beyond both by a bar
    power = 10.0 ** np.floor(np.log10(least))
    width = next(step * power for step in _STEPS if step * power >= least * (1 - 1e-9))
    return np.arange(np.floor(low / width + 1e-9), np.ceil(high / width - 1e-9) + 1) * width
