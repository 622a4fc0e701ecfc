"""Names and units of metrics."""

from __future__ import annotations

import pytest

from hierprob3d.configs import metric_table


@pytest.mark.parametrize(
    ("name", "unit"),
    [("MPJPE-PA", "m"), ("PVE-T-SC_samples_min", "m"), ("PVE_best_of_10", "m"),
     ("joints2Dsamples-L2E", "px"), ("silhouette-IOU", "1")],
)  # fmt: skip
def test_a_metric_has_the_unit_of_what_it_is_the_best_of(name: str, unit: str) -> None:
    assert metric_table.metric_unit(name) == unit


def test_an_unknown_metric_has_no_unit() -> None:
    with pytest.raises(KeyError, match="MPJPE-XY"):
        metric_table.metric_unit("MPJPE-XY_samples_min")
