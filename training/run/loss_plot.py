"""The log of a run as one picture: a small chart for each loss term and each metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hierprob3d.model.picture.drawing import Picture
from hierprob3d.model.picture.lettering import write_text

from .run_log import TRAINING, VALIDATION

CHART_SIZE = _WIDTH, _HEIGHT = 360, 240
"""Pixels of a chart."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 30, 28
_COLUMNS = 4
_INK, _GRID, _PALE = (40, 40, 40), (225, 225, 225), (185, 205, 235)
_STRONG, _OTHER = (30, 80, 170), (200, 110, 30)
_NO_CHARTS = frozenset(
    {"kind", "step", "of", "samples_per_s", "minutes_left", "epoch", "stride", "minutes"}
)
_NAIVE = "naive-"
_SMOOTH = 20
"""Running means go over one in so many of the lines."""
_FEW = 30
"""Fewer values than this are drawn as dots too."""


@dataclass(frozen=True)
class Curve:
    """One line of a chart."""

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    colour: tuple[int, int, int]


def plot_log(lines: Sequence[Mapping[str, float]]) -> Picture:
    """Charts over the steps of a run, of training above those of validation.

    Loss terms are drawn as logged, pale, and as a running mean; metrics beside those of the naive
    predictor. A chart's range leaves out the 2 % lowest and highest values, NaN are gaps.

    Args:
        lines: as `training.run.run_log.read_log` gives them.
    """
    charts = [
        *(chart(name, _loss_curves(x, y)) for name, (x, y) in series_of(lines, TRAINING).items()),
        *_metric_charts(series_of(lines, VALIDATION)),
    ]
    return sheet_of(charts)


def sheet_of(charts: Sequence[Picture]) -> Picture:
    """Charts in rows; one white row where there are none."""
    blank = np.full((_HEIGHT, _WIDTH, 3), 255, np.uint8)
    filled = [*charts, *[blank] * (-len(charts) % _COLUMNS if charts else _COLUMNS)]
    rows = [filled[start : start + _COLUMNS] for start in range(0, len(filled), _COLUMNS)]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def ticks(low: float, high: float, num: int = 5) -> list[float]:
    """About `num` round numbers (1, 2 or 5 times a power of ten) between two bounds."""
    rough = (high - low) / num
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def series_of(
    lines: Sequence[Mapping[str, float]], kind: str
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Steps and values by name, of the lines of one kind."""
    chosen = [line for line in lines if line["kind"] == kind]
    names = dict.fromkeys(name for line in chosen for name in line if name not in _NO_CHARTS)
    found = {}
    for name in names:
        pairs = [(line["step"], line[name]) for line in chosen if line.get(name) is not None]
        steps, values = np.array(pairs, np.float64).T
        found[name] = (steps, values)
    return found


def _loss_curves(x: NDArray[np.float64], y: NDArray[np.float64]) -> list[Curve]:
    width = max(1, len(y) // _SMOOTH)
    mean = np.convolve(y, np.ones(width) / width, mode="valid")
    middle = x[(width - 1) // 2 :][: len(mean)]
    return [Curve("", x, y, _PALE), Curve("", middle, mean, _STRONG)]


def _metric_charts(
    series: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> list[Picture]:
    charts = []
    for name, (x, y) in series.items():
        if name.startswith(_NAIVE):
            continue
        curves = [Curve("network", x, y, _STRONG)]
        if _NAIVE + name in series:
            curves.append(Curve("naive", *series[_NAIVE + name], _OTHER))
        charts.append(chart(f"validation {name}", curves))
    return charts


@dataclass(frozen=True)
class _Axes:
    """Ranges of a chart."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def place(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int32]:
        """(N, 2) pixels of values; those beyond the range of y lie just outside the frame."""
        across = (x - self.x_low) / (self.x_high - self.x_low)
        up = ((y - self.y_low) / (self.y_high - self.y_low)).clip(-0.01, 1.01)
        left = _LEFT + across * (_WIDTH - _LEFT - _RIGHT)
        top = _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)
        return np.stack([left, top], axis=-1).round().astype(np.int32)


def chart(title: str, curves: Sequence[Curve]) -> Picture:
    """Axes with ticks, curves, and their names where there are several with one."""
    chart = np.full((_HEIGHT, _WIDTH, 3), 255, np.uint8)
    axes = _Axes(
        *_bounds(np.concatenate([curve.x for curve in curves]), left_out=0),
        *_bounds(np.concatenate([curve.y for curve in curves]), left_out=2),
    )
    _draw_axes(chart, axes)
    for curve in curves:
        _draw_curve(chart, axes, curve)
    write_text(chart, title, (_LEFT, 20), colour=_INK)
    named = [curve for curve in curves if curve.name]
    for position, curve in enumerate(reversed(named if len(named) > 1 else [])):
        place = (_WIDTH - _RIGHT - 60 * position, 20)
        write_text(chart, curve.name, place, colour=curve.colour, ends=True)
    return chart


def _draw_axes(chart: Picture, axes: _Axes) -> None:
    for value in ticks(axes.y_low, axes.y_high):
        ends = axes.place(np.array([axes.x_low, axes.x_high]), np.array([value, value]))
        start, end = ends.tolist()
        cv2.line(chart, start, end, _GRID)
        write_text(chart, f"{value:.6g}", (_LEFT - 6, start[1] + 4), colour=_INK, ends=True)
    for value in ticks(axes.x_low, axes.x_high):
        [[x, y]] = axes.place(np.array([value]), np.array([axes.y_low])).tolist()
        cv2.line(chart, (x, y), (x, y + 4), _INK)
        write_text(chart, f"{value:.6g}", (min(x + 12, _WIDTH - 4), y + 18), colour=_INK, ends=True)
    cv2.rectangle(chart, (_LEFT, _TOP), (_WIDTH - _RIGHT, _HEIGHT - _BOTTOM), _INK)


def _draw_curve(chart: Picture, axes: _Axes, curve: Curve) -> None:
    """A line, with dots where there are few values."""
    known = np.isfinite(curve.y)
    points = axes.place(curve.x[known], curve.y[known])
    cv2.polylines(chart, [points], False, curve.colour, 1, cv2.LINE_AA)
    for point in points.tolist() if len(points) < _FEW else []:
        cv2.circle(chart, point, 2, curve.colour, -1, cv2.LINE_AA)


def _bounds(values: NDArray[np.float64], left_out: float) -> tuple[float, float]:
    """Lowest and highest finite value but for `left_out` percent at each end, never equal."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    low, high = np.percentile(finite, [left_out, 100 - left_out]).tolist()
    margin = 0.05 * (high - low) if left_out else 0.0
    return (low - margin, high + margin) if high > low else (low - 0.5, high + 0.5)
