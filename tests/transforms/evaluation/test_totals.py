from __future__ import annotations

import math
import pickle
import random
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest

from hierprob3d.configs.evaluation import EvaluateConfig
from hierprob3d.transforms.evaluation.totals import (
    CombineTotals,
    ExactSum,
    Totals,
    calibration_error,
    coverage,
    totals_of,
)
from hierprob3d.transforms.tables.evaluation_schema import evaluation_schema

CONFIG = EvaluateConfig(
    dataset="3dpw", data="d", output="o", metrics=("PVE", "MPJPE"), num_samples=4
)


def exact(values: list[float]) -> ExactSum:
    total = ExactSum()
    total.add(values)
    return total


def test_a_sum_is_the_exact_sum_rounded_once() -> None:
    rng = random.Random(0)
    values = [rng.uniform(-1, 1) * 10.0 ** rng.randint(-15, 15) for _ in range(500)]
    truth = float(sum(map(Fraction, values)))
    assert exact(values).value() == truth
    assert exact([1e16, 1.0, -1e16]).value() == 1.0  # plain float64 gives 0


def test_any_grouping_gives_the_same_bits() -> None:
    rng = np.random.default_rng(1)
    values = rng.lognormal(0, 4, 300).astype(np.float32).astype(float).tolist()
    expected = exact(values).value()
    for num_groups in (1, 2, 7, 50):
        rng.shuffle(values)
        whole = ExactSum()
        for group in np.array_split(values, num_groups):
            whole.merge(exact(group.tolist()))
        assert whole.value() == expected


def table(num_rows: int, seed: int = 0, failed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    schema = evaluation_schema(CONFIG)
    columns = {}
    for field in schema:
        size = field.type.list_size if pa.types.is_fixed_size_list(field.type) else 1
        if field.name == "status":
            values = ["failed"] * failed + ["ok"] * (num_rows - failed)
        elif pa.types.is_string(field.type):
            values = [str(i) for i in range(num_rows)]
        elif field.name == "pose_rank":
            values = rng.integers(0, 5, (num_rows, size)).tolist()
        elif field.name == "keypoint_visible":
            values = (rng.random((num_rows, size)) < 0.5).tolist()
        elif size > 1:
            values = rng.random((num_rows, size)).astype(np.float32).tolist()
        else:
            values = rng.random(num_rows).astype(np.float32).tolist()
            values = [int(10 * v) for v in values] if pa.types.is_integer(field.type) else values
        if failed and not pa.types.is_string(field.type):
            values = [None] * failed + list(values[failed:])
        columns[field.name] = values
    return pa.table(columns, schema=schema)


def test_means_are_those_of_the_rows() -> None:
    rows = table(50)
    totals = totals_of(rows, 4)
    assert totals.columns["PVE"].mean() == pytest.approx(
        np.mean(rows["PVE"].to_pylist()), rel=1e-12
    )
    joints = np.array(rows["joint_errors_m"].to_pylist())
    np.testing.assert_allclose(totals.columns["joint_errors_m"].means(), joints.mean(0), rtol=1e-12)
    spread, seen = (
        np.array(rows[n].to_pylist()) for n in ("keypoint_spread_m", "keypoint_visible")
    )
    assert totals.columns["spread_visible_m"].mean() == pytest.approx(spread[seen].mean())
    assert totals.columns["spread_invisible_m"].mean() == pytest.approx(spread[~seen].mean())
    assert totals.counts["pose_rank_histogram"].sum() == 50 * 23
    assert totals.counts["pose_rank_histogram"].shape == (23, 5)


def test_any_sharding_and_merging_gives_the_same_bits() -> None:
    rows = table(60)
    whole = totals_of(rows, 4)
    combine = CombineTotals()
    for size in (1, 7, 25):
        shards = [totals_of(rows.slice(start, size), 4) for start in range(0, 60, size)]
        random.Random(size).shuffle(shards)
        half = len(shards) // 2
        accumulators = []
        for some in (shards[:half], shards[half:], []):
            accumulator = combine.create_accumulator()
            for shard in some:
                accumulator = combine.add_input(accumulator, shard)
            accumulators.append(pickle.loads(pickle.dumps(accumulator)))
        merged = combine.extract_output(combine.merge_accumulators(accumulators))
        assert merged.num_rows == whole.num_rows and merged.statuses == whole.statuses
        for name, total in whole.columns.items():
            np.testing.assert_array_equal(merged.columns[name].means(), total.means(), strict=True)
            assert merged.columns[name].mean() == total.mean()
        for name, counts in whole.counts.items():
            np.testing.assert_array_equal(merged.counts[name], counts)


def test_merging_leaves_the_inputs_alone() -> None:
    first, second = totals_of(table(5), 4), totals_of(table(5, seed=1), 4)
    before = second.columns["PVE"].mean()
    CombineTotals().merge_accumulators([first, second])
    Totals().merge(second)
    assert second.columns["PVE"].mean() == before and second.num_rows == 5


def test_failed_rows_are_counted_but_not_averaged() -> None:
    rows = table(10, failed=3)
    totals = totals_of(rows, 4)
    assert totals.statuses == {"failed": 3, "ok": 7} and totals.num_rows == 10
    assert totals.columns["PVE"].counts.tolist() == [7]
    assert totals.columns["PVE"].mean() == pytest.approx(np.mean(rows["PVE"].to_pylist()[3:]))


def test_of_failed_rows_alone_nothing_is_known() -> None:
    totals = totals_of(table(2, failed=2), 4)
    assert math.isnan(totals.columns["PVE"].mean())
    totals.merge(totals_of(table(3), 4))
    assert totals.columns["PVE"].counts.tolist() == [3]


def test_coverage_of_equal_cells_is_the_diagonal() -> None:
    expected, observed = coverage(np.full((3, 4), 10))
    np.testing.assert_array_equal(expected, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_array_equal(observed, expected)
    assert calibration_error(expected, observed) == 0.0


def test_an_overconfident_distribution_covers_too_little() -> None:
    expected, observed = coverage(np.array([0, 0, 0, 40]))
    assert (observed <= expected).all()
    assert calibration_error(expected, observed) == pytest.approx(0.3)  # mean of 0 .25 .5 .75 0
