"""Columns of an evaluation's frames table: one row per person of the dataset, with its metrics."""

from __future__ import annotations

import pyarrow as pa

from hierprob3d.configs.evaluation import EvaluateConfig
from hierprob3d.configs.metric_table import (
    BEST_INFIX,
    IMAGE_METRICS,
    MIN_SUFFIX,
    POINT_METRICS,
    metric_unit,
)
from hierprob3d.model.body.skeleton import NUM_BETAS, NUM_BODY_JOINTS, NUM_KEYPOINTS

from .schema import SCHEMA_VERSION, STATUS_FAILED, STATUS_OK, Column, floats

NUM_EVAL_JOINTS = 14

_ROW = (
    Column(
        "item_id", pa.string(), "SHA-1 of dataset, split and picture name: no matter the folder"
    ),
    Column("uri", pa.string(), "name of the person's picture in the dataset"),
    Column("frame_index", pa.int32(), "row of the dataset from 0"),
    Column("status", pa.string(), f"{STATUS_OK} or {STATUS_FAILED}; then no number is there"),
    Column("num_people", pa.int32(), "1, or 0 where the row failed"),
    Column("gender", pa.string(), "body model of the truth: neutral, male or female"),
    Column("run_id", pa.string(), "the run that wrote the row, runs/<run_id>.json"),
)


_BODY_JOINTS = "23 body joints"
_JOINTS = (
    Column("joint_errors_m", floats(NUM_EVAL_JOINTS), "distance of each joint, not aligned", "m"),
    Column("joint_errors_pa_m", floats(NUM_EVAL_JOINTS), "each joint's distance, Procrustes", "m"),
)
_ALWAYS = (
    Column(
        "sample_consistency_px", pa.float32(),
        "mean 2D distance of the draws to the confident given keypoints; null where none is", "px",
    ),
    Column("keypoint_spread_m", floats(NUM_KEYPOINTS),
           "mean distance of each COCO joint's draws to their mean", "m", "17 keypoints"),
    Column("keypoint_visible", pa.list_(pa.bool_(), NUM_KEYPOINTS),
           "whether the given keypoint is confident", "", "17 keypoints"),
    Column("pose_nll", floats(NUM_BODY_JOINTS), "-log density of the true rotations against the "
           "uniform distribution on rotations", "nat", _BODY_JOINTS),
    Column("pose_error_deg", floats(NUM_BODY_JOINTS), "turn between mode and truth", "deg",
           _BODY_JOINTS),
    Column("pose_rank", pa.list_(pa.int32(), NUM_BODY_JOINTS),
           "number of draws that are likelier than the truth; -1 where it is not known", "",
           _BODY_JOINTS),
    Column("shape_nll", floats(NUM_BETAS), "-log density of the true betas; those of 3DPW and "
           "SSP-3D belong to a gendered body, the prediction to the neutral one", "nat"),
    Column("shape_central_probability", floats(NUM_BETAS),
           "mass of the central interval that reaches the true beta", "1"),
    Column("pose_mode", floats(NUM_BODY_JOINTS * 9), "predicted mode", "1",
           "23 body joints x 3 x 3, row-major"),
    Column("global_rotmat", floats(9), "predicted rotation of the pelvis", "1",
           "3 x 3, row-major"),
    Column("shape_mean", floats(NUM_BETAS), "predicted mean shape", "1"),
    Column("camera", floats(3), "predicted weak-perspective camera", "1, m, m", "s, tx, ty"),
)  # fmt: skip

_PIXELS = pa.list_(pa.int64(), 4)
_SILHOUETTES = (
    Column("silhouette_pixels", _PIXELS, "pixels of the mode's silhouette", "px",
           "true positive, false positive, true negative, false negative"),
    Column("silhouettesamples_pixels", _PIXELS, "the same, summed over the hypotheses", "px"),
)  # fmt: skip


def metric_columns(config: EvaluateConfig) -> tuple[str, ...]:
    """Names of all metrics of a run, the best-of-N ones included, in a fixed order."""
    asked = {name.removesuffix(MIN_SUFFIX) for name in config.metric_names}
    bases = [name for name in POINT_METRICS if name in asked]
    best = [f"{base}{BEST_INFIX}{count}" for base in bases for count in config.best_of]
    points = [n for n in (*bases, *(b + MIN_SUFFIX for b in bases)) if n in config.metric_names]
    image = [name for name in IMAGE_METRICS if name in config.metric_names]
    return (*points, *image, *best)


def evaluation_columns(config: EvaluateConfig) -> tuple[Column, ...]:
    """Columns of frames/part-*.parquet of an evaluation."""
    metrics = [
        Column(name, pa.float32(), f"{name} of this row", metric_unit(name))
        for name in metric_columns(config)
    ]
    has_silhouettes = any("silhouette" in name for name in config.metric_names)
    joints = _JOINTS if config.needs_joints else ()
    return (*_ROW, *metrics, *joints, *_ALWAYS, *(_SILHOUETTES if has_silhouettes else ()))


def evaluation_schema(config: EvaluateConfig) -> pa.Schema:
    """Arrow schema of frames/part-*.parquet of an evaluation."""
    fields = [column.field() for column in evaluation_columns(config)]
    return pa.schema(fields, metadata={"schema_version": SCHEMA_VERSION})
