"""From totals to the numbers of metrics.json."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hierprob3d.configs.evaluation import PROTOCOLS, EvaluateConfig
from hierprob3d.configs.metric_table import metric_unit
from hierprob3d.model.body.skeleton import BODY_JOINT_NAMES
from hierprob3d.transforms.evaluation.totals import Totals, calibration_error, coverage
from hierprob3d.transforms.tables.evaluation_schema import metric_columns

EVAL_JOINT_NAMES = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
    "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
    "neck", "head_top",
)  # fmt: skip

_PIXELS = {
    "silhouette-IOU": "silhouette_pixels",
    "silhouettesamples-IOU": "silhouettesamples_pixels",
}
_MM = 1000.0


def summarise_totals(totals: Totals, config: EvaluateConfig) -> dict[str, Any]:
    """All numbers of an evaluation: metrics in metres, pixels or 1, None where nothing counts."""
    summary: dict[str, Any] = {
        "rows": totals.num_rows,
        "rows_by_status": totals.statuses,
        "metrics": {},
        "units": {},
        "printed": {},
        "counted_rows": {},
    }
    if not totals.statuses.get("ok"):
        return summary
    for name in metric_columns(config):
        value, count = _value(name, totals, config), _count(name, totals)
        summary["metrics"][name] = _or_none(value)
        summary["units"][name] = metric_unit(name)
        summary["printed"][name] = printed(name, value) if count else "-"
        summary["counted_rows"][name] = count
    return _without_nan(
        summary
        | {
            "sample_consistency_px": _mean(totals, "sample_consistency_px"),
            "sample_spread_mm": {
                name: _mean(totals, f"spread_{name}_m", _MM) for name in ("visible", "invisible")
            },
            "per_joint_mm": _per_joint(totals) if config.needs_joints else None,
            "likelihood": _likelihood(totals),
            **_calibration(totals),
        }
    )


def printed(name: str, value: float) -> str:
    """The value as the paper's code prints it: millimetres, pixels or a share."""
    unit = metric_unit(name)
    return f"{value * _MM:.2f} mm" if unit == "m" else f"{value:.2f}{' px' if unit == 'px' else ''}"


def _value(name: str, totals: Totals, config: EvaluateConfig) -> float:
    if name in _PIXELS and PROTOCOLS[config.protocol].iou == "global":
        true_positive, false_positive, _, false_negative = totals.counts[_PIXELS[name]].tolist()
        union = true_positive + false_positive + false_negative
        return true_positive / union if union else math.nan
    return totals.columns[name].mean()


def _count(name: str, totals: Totals) -> int:
    """Rows that a metric was taken of: those whose truth is known."""
    return int(totals.columns[name].counts.max())


def _per_joint(totals: Totals) -> dict[str, dict[str, float]]:
    """Mean distance of each of the 14 joints, unaligned and after Procrustes."""
    columns = {"MPJPE": "joint_errors_m", "MPJPE-PA": "joint_errors_pa_m"}
    return {
        name: dict(
            zip(EVAL_JOINT_NAMES, (totals.columns[column].means() * _MM).tolist(), strict=True)
        )
        for name, column in columns.items()
    }


def _likelihood(totals: Totals) -> dict[str, Any]:
    pose, shape = totals.columns["pose_nll"].means(), totals.columns["shape_nll"].means()
    angles = totals.columns["pose_error_deg"].means()
    return {
        "pose_nll": float(pose.sum()),
        "pose_nll_per_joint": dict(zip(BODY_JOINT_NAMES, pose.tolist(), strict=True)),
        "pose_error_deg_per_joint": dict(zip(BODY_JOINT_NAMES, angles.tolist(), strict=True)),
        "shape_nll": float(shape.sum()),
        "shape_nll_per_beta": shape.tolist(),
    }


def _calibration(totals: Totals) -> dict[str, Any]:
    """Expected and observed coverage of the regions of highest density, where truth is known."""
    ranks, shapes = totals.counts["pose_rank_histogram"], totals.counts["shape_histogram"]
    if not (ranks.any() and shapes.any()):
        return {}
    calibration = {
        "pose": _curve(ranks),
        "pose_error_per_joint": {
            name: calibration_error(*coverage(histogram))
            for name, histogram in zip(BODY_JOINT_NAMES, ranks, strict=True)
        },
        "shape": _curve(shapes),
    }
    return {"calibration": calibration}


def _curve(histogram: np.ndarray) -> dict[str, Any]:
    expected, observed = coverage(histogram)
    return {
        "expected": expected.tolist(),
        "observed": observed.tolist(),
        "error": calibration_error(expected, observed),
    }


def _mean(totals: Totals, column: str, factor: float = 1.0) -> float | None:
    return _or_none(totals.columns[column].mean() * factor)


def _or_none(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None


def _without_nan(value: Any) -> Any:
    """Nested numbers with None in place of NaN."""
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return _or_none(value) if isinstance(value, float) else value
