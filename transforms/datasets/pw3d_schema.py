"""Columns of the labels that preprocessing of 3DPW writes: one row per person and frame."""

from __future__ import annotations

import pyarrow as pa

from hierprob3d.model.body.skeleton import NUM_BETAS, NUM_JOINTS, NUM_KEYPOINTS
from hierprob3d.transforms.tables.schema import SCHEMA_VERSION, Column, floats

from .pw3d_frame_labels import CROP_SIZE

_F64 = pa.float64()
_LABELS = (
    Column("item_id", pa.string(), "the row's identity, the same as in an evaluation's tables"),
    Column("uri", pa.string(), "picture below 3DPW's folder"),
    Column("frame_index", pa.int32(), "frame of the sequence from 0"),
    Column("person_index", pa.int32(), "person of the sequence from 0"),
    Column("sequence", pa.string(), "name of the sequence"),
    Column("sequence_file", pa.string(), "its file below sequenceFiles/<split>/"),
    Column("imgname", pa.string(), "crop below cropped_frames/"),
    Column("gender", pa.string(), "m or f"),
    Column("pose", floats(3 * NUM_JOINTS), "rotation vectors, the pelvis in the camera frame",
           "rad", "24 joints x 3; camera frame: x right, y down, z away from the viewer"),
    Column("shape", floats(NUM_BETAS, _F64), "betas of the gendered body", "1"),
    Column("center", floats(2), "centre of the box about the projected mesh", "px", "x, y"),
    Column("wh", pa.float32(), "longer side of that box", "px"),
    Column("bbox", floats(4), "box of the projected mesh", "px", "x0 y0 x1 y1"),
    Column("crop", floats(3), f"square that became the {CROP_SIZE} px crop", "px",
           "centre x, centre y, side"),
    Column("translation", floats(3, _F64), "of the body in the world frame", "m"),
    Column("camera_rotation", floats(9, _F64), "world to camera", "1", "3 x 3, row-major"),
    Column("camera_translation", floats(3, _F64), "world to camera", "m"),
    Column("camera_intrinsics", floats(9, _F64), "camera matrix", "px", "3 x 3, row-major"),
    Column("run_id", pa.string(), "the run that wrote the row, runs/<run_id>.json"),
)  # fmt: skip

_KEYPOINTS = Column(
    "keypoints", floats(NUM_KEYPOINTS * 3), "COCO keypoints found in the crop",
    "px of the crop, px of the crop, confidence", "17 keypoints x (x, y, confidence)",
)  # fmt: skip


def label_columns(with_keypoints: bool) -> tuple[Column, ...]:
    """Columns of people/part-*.parquet of a preprocessing."""
    return (*_LABELS, _KEYPOINTS) if with_keypoints else _LABELS


def label_schema(with_keypoints: bool, metadata: dict[str, str] | None = None) -> pa.Schema:
    """Arrow schema of people/part-*.parquet of a preprocessing."""
    fields = [column.field() for column in label_columns(with_keypoints)]
    return pa.schema(fields, metadata={"schema_version": SCHEMA_VERSION, **(metadata or {})})
