"""Everybody in numbers, and the histograms of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from earlier_run import SCHEMA1_RUN
from example_run import write_example_run

from hierprob3d.pipelines.results.histograms import MAX_BINS, histogram
from hierprob3d.pipelines.results.person_table import MEASURES, person_table
from hierprob3d.pipelines.results.run_folder import RunFolder


def test_numbers_are_those_of_the_rows(tmp_path: Path) -> None:
    rows = write_example_run(tmp_path)
    table = person_table(RunFolder(str(tmp_path)))
    assert len(table) == len(rows) == 4 and table.joint_spreads.shape == (4, 23)
    for place, row in enumerate(rows):
        measured = {key: values[place] for key, values in table.measures.items()}
        assert measured == pytest.approx({
            "spread": np.mean(row["pose_spread_deg"]), "size": 460, "quality": row["quality"],
            "reprojection": 4.5 * 256 / row["crop"][2], "height": 1.5,
        }, rel=1e-5)  # fmt: skip
    assert table.item_ids == [row["item_id"] for row in rows]
    assert np.isnan(table.times[0]) and table.times[2] == pytest.approx(0.1)


def test_a_choice_runs_from_the_surest_to_the_least_sure_in_equal_steps(tmp_path: Path) -> None:
    write_example_run(tmp_path)
    table = person_table(RunFolder(str(tmp_path)))
    order = np.argsort(table.measures["spread"], kind="stable")
    assert set(table.evenly(2)) == {order[0], order[-1]}
    assert table.evenly(9).tolist() == [0, 1, 2, 3] and not len(table.evenly(0))


def test_what_earlier_runs_do_not_know_is_unknown() -> None:
    table = person_table(RunFolder(str(SCHEMA1_RUN)))
    assert len(table) == 3 and np.isnan(table.measures["quality"]).all()
    assert histogram(MEASURES[3], table.measures["quality"]) is None


def test_an_outlier_is_counted_in_the_last_bar() -> None:
    values = np.concatenate([np.linspace(0, 10, 1000), [5000.0, np.nan]])
    chart = histogram(MEASURES[1], values)
    assert chart is not None and 10 <= len(chart.bars) <= MAX_BINS
    assert sum(bar.count for bar in chart.bars) == 1001 and chart.num_unknown == 1
    assert chart.bars[-1].is_open and chart.bars[-1].high < 11
    assert max(bar.share for bar in chart.bars) == 1


@pytest.mark.parametrize(
    ("low", "high", "width"),
    [(12.3, 41.7, 2), (1.552, 1.943, 0.02), (0.0, 1.0, 0.05), (3, 5000, 200)],
)
def test_bars_have_round_bounds(low: float, high: float, width: float) -> None:
    chart = histogram(MEASURES[1], np.linspace(low, high, 500))
    assert chart is not None and 10 <= len(chart.bars) <= MAX_BINS
    bounds = np.array([bar.low for bar in chart.bars] + [chart.bars[-1].high])
    np.testing.assert_allclose(np.diff(bounds), width)
    np.testing.assert_allclose(bounds / width, np.rint(bounds / width), atol=1e-6)
    assert bounds[0] <= low < bounds[1] and sum(bar.count for bar in chart.bars) == 500
