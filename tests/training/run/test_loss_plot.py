from __future__ import annotations

import numpy as np
import pytest

from hierprob3d.training.run.loss_plot import plot_log, ticks
from hierprob3d.training.run.run_log import TRAINING, VALIDATION


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 10.0, [0, 2, 4, 6, 8, 10]),
        (-0.031, 0.012, [-0.03, -0.02, -0.01, 0.0, 0.01]),
        (20.0, 7000.0, [2000, 4000, 6000]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    np.testing.assert_allclose(ticks(low, high), expected, atol=1e-12)


def test_the_plot_has_a_chart_for_each_value_and_falls_where_the_loss_falls() -> None:
    lines: list[dict] = [
        {"kind": TRAINING, "step": 20 * i, "of": 800, "total": 100.0 - i, "vertices": float("nan")}
        for i in range(40)
    ]
    lines += [{"kind": VALIDATION, "step": 400, "epoch": 0, "PVE": 90.0, "naive-PVE": 150.0}]
    picture = plot_log(lines)
    charts = [picture[:, 360 * i : 360 * (i + 1)] for i in range(4)]
    assert picture.shape == (240, 1440, 3)
    blue = charts[0][..., 2].astype(int) - charts[0][..., 0] > 60
    left, right = (half.nonzero()[0].mean() for half in (blue[:, :200], blue[:, 200:]))
    assert right > left + 20  # rows count downwards
    assert (charts[2] == (200, 110, 30)).all(-1).any()  # the naive predictor beside the network
    assert (charts[3] == 255).all()  # three charts only


def test_an_empty_log_is_an_empty_picture() -> None:
    assert (plot_log([]) == 255).all()
