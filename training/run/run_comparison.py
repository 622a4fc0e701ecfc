"""Curves of several trainings in one picture, of ours and of the paper's, over their epochs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hierprob3d.configs.training_commands import PlotTrainingConfig
from hierprob3d.model.files.safe_pickle import load_pickle
from hierprob3d.model.picture.drawing import Picture
from hierprob3d.model.picture.lettering import write_text

from .loss_plot import CHART_SIZE, Curve, chart, series_of, sheet_of
from .paper_checkpoint import metrics_from_paper
from .run_log import TRAINING, VALIDATION, read_log, write_png

OUR_LOG, PAPER_LOG = "log.jsonl", "log.pkl"
_COLOURS = (
    (30, 80, 170), (200, 110, 30), (40, 140, 60), (170, 40, 50), (120, 80, 170), (90, 90, 90),
)  # fmt: skip
_LINE = 22

Series = dict[tuple[str, str], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Epochs and values by kind, training or validation, and name."""


def run(config: PlotTrainingConfig) -> int:
    """Draws the runs; exit code 0.

    Raises:
        FileNotFoundError: a folder has no log.
        ValueError: no run has a metric of the name, or a log is none.
    """
    output = Path(config.output)
    write_png(output, plot_runs([Path(folder) for folder in config.runs], config.metric))
    print(output)
    return 0


def plot_runs(folders: Sequence[Path], metrics: Sequence[str] = ()) -> Picture:
    """A chart for each quantity, training's above validation's, with one curve per run.

    Args:
        folders: of the runs.
        metrics: names of the quantities; none: all that any run has.
    """
    runs = [read_series(folder) for folder in folders]
    keys = list(dict.fromkeys(key for series in runs for key in series))
    known = sorted({name for _, name in keys})
    unknown = [name for name in metrics if name not in known]
    if unknown:
        raise ValueError(f"no run has {unknown[0]!r}; they have {', '.join(known)}")
    chosen = [key for key in keys if not metrics or key[1] in metrics]
    charts = [_legend([folder.resolve().name for folder in folders])]
    for kind, name in sorted(chosen, key=lambda key: key[0] != TRAINING):
        curves = [
            Curve("", *series[kind, name], _colour(number))
            for number, series in enumerate(runs)
            if (kind, name) in series
        ]
        charts.append(chart(f"{kind} {name}", curves))
    return sheet_of(charts)


def read_series(folder: Path) -> Series:
    """What a run logged, over epochs; metrics in mm and px.

    Raises:
        FileNotFoundError: there is no log.
        ValueError: it is none.
    """
    if (folder / OUR_LOG).is_file():
        return _our_series(folder / OUR_LOG)
    if (folder / PAPER_LOG).is_file():
        return _paper_series(folder / PAPER_LOG)
    raise FileNotFoundError(f"{folder} has neither {OUR_LOG} nor {PAPER_LOG}: give folders of runs")


def _our_series(path: Path) -> Series:
    lines = read_log(path)
    judged = [line for line in lines if line["kind"] == VALIDATION]
    if not judged:
        raise ValueError(f"{path} has no finished epoch yet")
    epochs_per_step = (judged[-1]["epoch"] + 1) / judged[-1]["step"]
    return {
        (kind, name): (steps * epochs_per_step, values)
        for kind in (TRAINING, VALIDATION)
        for name, (steps, values) in series_of(lines, kind).items()
    }


def _paper_series(path: Path) -> Series:
    """Of the paper's log: lists of numbers by names such as train_PVE, in metres."""
    history = load_pickle(path)
    if not isinstance(history, dict):
        raise ValueError(f"{path} is no log of the paper's training")
    series: Series = {}
    for key, values in history.items():
        split, _, name = str(key).partition("_")
        kind = {"train": TRAINING, "val": VALIDATION}.get(split)
        if kind is None or not any(values):
            continue  # metrics that were not tracked are zeros there
        name, unit = ("total", 1.0) if name == "losses" else (name, _unit(name))
        y = np.array(values, np.float64) * unit
        series[kind, name] = (np.arange(1.0, len(y) + 1), y)
    return series


def _unit(metric: str) -> float:
    """What turns the paper's metres into millimetres; 1 for pixels."""
    return metrics_from_paper({metric: 1.0}).get(metric, 1.0)


def _colour(number: int) -> tuple[int, int, int]:
    return _COLOURS[number % len(_COLOURS)]


def _legend(names: Sequence[str]) -> Picture:
    width, height = CHART_SIZE
    cell = np.full((height, width, 3), 255, np.uint8)
    for number, name in enumerate(names):
        write_text(cell, name, (16, (number + 1) * _LINE), colour=_colour(number))
    return cell
