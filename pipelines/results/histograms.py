"""Histograms of a report, as rectangles that a template draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .person_table import Measure, Numbers

NUM_BINS = 28
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
    edges = np.linspace(low, high, NUM_BINS + 1)
    counts, _ = np.histogram(np.clip(known, low, high), edges)
    tallest = max(int(counts.max()), 1)
    has_more = float(known.max()) > high
    bars = tuple(
        Bar(float(edges[i]), float(edges[i + 1]), int(count), int(count) / tallest,
            has_more and i == NUM_BINS - 1)
        for i, count in enumerate(counts)
    )  # fmt: skip
    return Histogram(measure, bars, float(np.median(known)), len(values) - len(known))
