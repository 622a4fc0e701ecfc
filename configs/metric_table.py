"""Every metric of the paper's code, under its name there: what it is taken of, and its unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MIN_SUFFIX = "_samples_min"
BEST_INFIX = "_best_of_"
Unit = Literal["m", "px", "1"]


@dataclass(frozen=True)
class PointMetric:
    """A mean distance between the points of two bodies, in metres."""

    points: Literal["vertices", "reposed", "joints"]
    """Attribute of `BodyPoints`."""
    alignment: Literal["none", "scale", "similarity"]
    """How the prediction is moved onto its target before."""


POINT_METRICS = {
    "PVE": PointMetric("vertices", "none"),
    "PVE-SC": PointMetric("vertices", "scale"),
    "PVE-PA": PointMetric("vertices", "similarity"),
    "PVE-T": PointMetric("reposed", "none"),
    "PVE-T-SC": PointMetric("reposed", "scale"),
    "MPJPE": PointMetric("joints", "none"),
    "MPJPE-SC": PointMetric("joints", "scale"),
    "MPJPE-PA": PointMetric("joints", "similarity"),
}
"""T = in the T-pose, so of body shape alone; SC and PA = moved onto the target first."""

IMAGE_METRICS: dict[str, Unit] = {
    "silhouette-IOU": "1",
    "silhouettesamples-IOU": "1",
    "joints2D-L2E": "px",
    "joints2Dsamples-L2E": "px",
}
"""Metrics taken in the picture, and their units."""

METRIC_NAMES = (*POINT_METRICS, *(name + MIN_SUFFIX for name in POINT_METRICS), *IMAGE_METRICS)
"""All that can be asked for; `_samples_min` is the least over the hypotheses of a person."""


def metric_unit(name: str) -> Unit:
    """Unit of a metric, of its `_samples_min` or its `_best_of_N`.

    Raises:
        KeyError: Neither table has a metric of this name.
    """
    base = name.removesuffix(MIN_SUFFIX).split(BEST_INFIX)[0]
    return "m" if base in POINT_METRICS else IMAGE_METRICS[base]
