"""The Arrow schemas of everything a prediction run writes, each column defined once.

`people_schema`, `frames_schema` and `errors_schema` are what the sinks write and readers may rely
on. Every field carries `unit`, `axes` and `meaning` in its metadata; the file metadata carries the
schema version, the names of joints and keypoints, the identity of the body model and how samples
were drawn. All types are ones that Spark, DuckDB, polars and pandas read: no float16.
`python -m hierprob3d.transforms.tables.schema` prints the tables of docs/results.md.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pyarrow as pa

from hierprob3d.configs.prediction import NUM_REDRAWS, SAVES
from hierprob3d.model.body.skeleton import (
    BODY_JOINT_NAMES,
    BODY_PARTS,
    COCO_KEYPOINT_NAMES,
    INTERSECTION_TOLERANCE_M,
    LANDMARK_NAMES,
    MEASUREMENT_NAMES,
    NUM_BETAS,
    NUM_BODY_JOINTS,
    NUM_JOINTS,
    NUM_KEYPOINTS,
    NUM_LANDMARKS,
    SMPL_JOINT_NAMES,
)

SCHEMA_VERSION = "2"
"""What this code writes; `transforms.tables.upgrade` reads earlier ones as this one."""

STATUS_OK = "ok"
STATUS_NO_PERSON = "no_person"
STATUS_FAILED = "failed"
STATUSES = (STATUS_OK, STATUS_NO_PERSON, STATUS_FAILED)

STAGE_SECONDS = "stage_seconds"
"""Key of a frames part's file metadata: seconds per stage of the shard, as JSON."""

CAMERA_AXES = "x right, y down, z away from the viewer"


@dataclass(frozen=True)
class Column:
    """One column: its name, Arrow type, unit, order of its numbers, and what it says."""

    name: str
    type: pa.DataType
    meaning: str
    unit: str = ""
    axes: str = ""

    def field(self) -> pa.Field:
        """The Arrow field with unit, axes and meaning in its metadata."""
        metadata = {"meaning": self.meaning, "unit": self.unit, "axes": self.axes}
        return pa.field(self.name, self.type, metadata={k: v for k, v in metadata.items() if v})


@dataclass(frozen=True, kw_only=True)
class PeopleLayout:
    """The choices that decide which columns the people table has, and how wide they are."""

    num_vertices: int
    """Vertices of the body model (6,890 SMPL, 6,880 OpenBody)."""

    num_samples: int = 50
    """Body samples per person."""

    uncertainty: bool = True
    """Whether samples are drawn, hence whether `joint_spread_m` exists."""

    save: frozenset[str] = field(default_factory=frozenset)
    """Of `configs.prediction.SAVES`."""

    global_spread: bool = False
    """Whether the weights give the global rotation a distribution."""

    refined: bool = False
    """Whether bodies are moved onto the keypoints."""

    drop_intersecting: bool = False
    """Whether samples that intersect themselves are drawn again."""


def floats(count: int, kind: pa.DataType | None = None) -> pa.DataType:
    """Lists of a fixed length, of float32 unless said otherwise."""
    return pa.list_(kind or pa.float32(), count)


_ITEM = (
    Column("item_id", pa.string(), "SHA-1 of the URI, for a video of URI#frame=<frame_index>"),
    Column("uri", pa.string(), "where the picture or video was read from"),
    Column("frame_index", pa.int32(), "frame of the video from 0; null for a picture"),
)
_TIME = Column("time_s", pa.float64(), "presentation time of the frame; null for a picture", "s")
_RUN = Column("run_id", pa.string(), "the run that wrote the row, runs/<run_id>.json")

WHOLE_PICTURE = Column(
    "whole_picture", pa.bool_(),
    "true: nobody was found, and with --people centre the box is the whole picture; null in rows "
    "of earlier versions",
)  # fmt: skip

LANDMARKS = Column(
    "landmarks", floats(NUM_LANDMARKS * 5),
    "body landmarks found in the full picture, heels, toes and fingers among them (names in the "
    "file's metadata); places outside the picture are guesses; null where the keypoint model gives "
    "none, or those of somebody in front; keypoints are the detector's then",
    "px, px, px, share, share",
    "33 landmarks x (x, y, z from the hips with smaller nearer, visibility, presence)",
)  # fmt: skip

OPTIONAL_COLUMNS = (LANDMARKS.name,)
"""Columns of the people table that are null where no stage made them."""

GIVEN = Column(
    "given", pa.string(),
    "what the list of inputs gave in place of what is detected or assumed: names of its columns, "
    "comma between; null if nothing, and in rows of earlier versions",
)  # fmt: skip

_PERSON = (
    Column("person_index", pa.int32(), "person of the picture from 0, best box first"),
    Column("bbox", floats(4), "box of the person", "px", "x0 y0 x1 y1"),
    Column(
        "bbox_score", pa.float32(),
        "confidence of the person detector, 0 to 1; null where the box was given",
    ),
    WHOLE_PICTURE,
    GIVEN,
    Column(
        "keypoints", floats(NUM_KEYPOINTS * 3), "COCO keypoints found in the full picture",
        "px, px, confidence", "17 keypoints x (x, y, confidence)",
    ),
    Column(
        "crop", floats(3),
        "square of the picture about the person; proxies show it, coordinates are counted in it",
        "px", "centre x, centre y, side",
    ),
    LANDMARKS,
)  # fmt: skip

SHAPE_FROM_SILHOUETTE = Column(
    "shape_from_silhouette", pa.bool_(),
    "true: shape_mean and shape_std are read off the person's silhouette and keypoints; false: off "
    "what the weights see alone; null in rows of earlier versions",
)  # fmt: skip

_DISTRIBUTION = (
    Column(
        "pose_F", floats(NUM_BODY_JOINTS * 9),
        "matrix-Fisher parameter of each body joint's rotation relative to its parent", "1",
        "23 body joints x 3 x 3, row-major",
    ),
    Column(
        "pose_mode", floats(NUM_BODY_JOINTS * 9), "most probable rotations: the mode of pose_F",
        "1", "23 body joints x 3 x 3, row-major",
    ),
    Column("shape_mean", floats(NUM_BETAS), "mean of the shape coefficients", "1", "10 betas"),
    Column(
        "shape_std", floats(NUM_BETAS), "standard deviation of the shape coefficients", "1",
        "10 betas",
    ),
    SHAPE_FROM_SILHOUETTE,
    Column(
        "global_rotmat", floats(9),
        "rotation of the pelvis; the body model's output is turned by pi about x after it to "
        "reach the camera frame", "1", "3 x 3, row-major",
    ),
    Column(
        "camera", floats(3),
        "weak perspective of the crop: pixel of the crop = side / 2 * (1 + s * (xy + t)), "
        "xy in the camera frame", "1, m, m", "s, tx, ty",
    ),
    Column(
        "pose_spread_deg", floats(NUM_BODY_JOINTS),
        "angular spread: arc cosine of the mean cosine of the turn away from the mode, closed "
        "form; 120 = no information", "deg", "23 body joints",
    ),
)  # fmt: skip

_GLOBAL_F = Column(
    "global_F", floats(9),
    "matrix-Fisher parameter of the pelvis' rotation, whose mode is global_rotmat; only of weights "
    "that give it", "1", "3 x 3, row-major",
)  # fmt: skip

TRANSLATION = Column(
    "translation", floats(3),
    "place before a pinhole camera of focal_px that sees the whole picture: with (x, y, z) = "
    "joints3d + pelvis + translation a pixel is width / 2 + focal_px * x / z, height / 2 + "
    "focal_px * y / z; as far away as focal_px is long", "m", f"x, y, z; {CAMERA_AXES}",
)  # fmt: skip

_BODY = (
    Column(
        "joints3d", floats(NUM_JOINTS * 3), "SMPL joints of the mode, from the pelvis", "m",
        f"24 joints x (x, y, z); camera frame: {CAMERA_AXES}",
    ),
    Column(
        "pelvis", floats(3),
        "the pelvis in the camera frame: what was taken off joints3d, to be added before "
        "projecting with `camera`", "m", f"x, y, z; {CAMERA_AXES}",
    ),
    Column(
        "joints2d", floats(NUM_KEYPOINTS * 2),
        "COCO joints of the mode projected into the full picture", "px", "17 keypoints x (x, y)",
    ),
    Column(
        "reprojection_px", pa.float32(),
        "mean distance between joints2d and the keypoints above the visibility threshold; null "
        "where none is", "px",
    ),
    TRANSLATION,
)  # fmt: skip

IN_VIEW = (
    Column(
        "focal_px", pa.float32(),
        "focal length behind `translation`: that of --focal-length, of the picture's EXIF, or its "
        "diagonal, a field of view of 53 degrees", "px",
    ),
    Column("focal_assumed", pa.bool_(), "true: nothing told the focal length, so the diagonal"),
    Column(
        "truncation", pa.float32(),
        "share of the mode's surface that lies outside the picture, 0 to 1",
    ),
    Column(
        "visibility", floats(NUM_JOINTS),
        "how surely each joint is in sight, 0 to 1: the highest confidence among the keypoints at "
        "or next to it, 0 where the mode has it outside the picture", "1", "24 joints",
    ),
    Column(
        "quality", pa.float32(),
        "estimated probability that the pose of the mode is right: MPJPE-PA below 80 mm; made from "
        "spread, reprojection, confidences and truncation", "1",
    ),
)  # fmt: skip

COLOURS = Column(
    "colours", floats(len(BODY_PARTS) * 3),
    "median colours of head, trunk, upper arms, thighs and shins between their keypoints, of which "
    "`keypoints` say how sure they are; null in rows of earlier versions", "1",
    "5 parts x CIELAB (lightness 0 to 100, green to red, blue to yellow)",
)  # fmt: skip

_SEED = Column("seed", pa.int64(), "seed of the draws; with item_id and person_index their key")


def std_name(measurement: str) -> str:
    """Column of a measurement's standard deviation: height_m -> height_std_m."""
    what, _, unit = measurement.rpartition("_")
    return f"{what}_std_{unit}"


def measurement_columns() -> tuple[Column, ...]:
    """Each measurement, and its standard deviation after it."""
    columns = []
    for name in MEASUREMENT_NAMES:
        what, _, unit = name.rpartition("_")
        meaning = f"{what.replace('_', ' ')} of the mean shape in T-pose"
        if unit == "kg":
            meaning += ": its volume at the density of water; null in rows of earlier versions"
        columns += [
            Column(name, pa.float32(), meaning, unit),
            Column(std_name(name), pa.float32(), "its standard deviation", unit),
        ]
    return tuple(columns)


WEIGHT = measurement_columns()[-2:]
"""Weight and its standard deviation, which earlier rows lack."""


def refined_name(column: str) -> str:
    """Column that says of the refined body what another says of the mode."""
    return f"refined_{column}"


def refined_columns() -> tuple[Column, ...]:
    """Columns of the refined body."""
    parameters = (
        Column(
            "pose", floats(NUM_BODY_JOINTS * 9),
            "rotations of the refined body: the most probable one given both the distribution and "
            "the keypoints above the visibility threshold", "1",
            "23 body joints x 3 x 3, row-major",
        ),
        Column("betas", floats(NUM_BETAS), "its shape coefficients", "1", "10 betas"),
        Column("global_rotmat", floats(9), "its rotation of the pelvis", "1",
               "3 x 3, row-major"),
        Column("camera", floats(3), "its weak perspective of the crop", "1, m, m", "s, tx, ty"),
    )  # fmt: skip
    of_body = (
        replace(column, meaning=f"as {column.name}, of the refined body") for column in _BODY
    )
    return tuple(replace(c, name=refined_name(c.name)) for c in (*parameters, *of_body))


JOINT_SPREAD = Column(
    "joint_spread_m", floats(NUM_JOINTS),
    "mean distance of each joint's samples to their mean, the joints taken from the pelvis as "
    "joints3d", "m", "24 joints",
)  # fmt: skip


def _spread_column(num_vertices: int) -> Column:
    return Column(
        "vertex_spread_m", floats(num_vertices),
        "mean distance of each vertex's samples to their mean", "m", f"{num_vertices} vertices",
    )  # fmt: skip


_SELF_INTERSECTION = Column(
    "self_intersection_m", pa.float32(),
    "how deep parts of the mode's body enter each other, 0 where none do: forearms and hands in "
    "head, trunk, legs or each other, legs in each other; by the joint rotations, of an average "
    "body of capsules", "m",
)  # fmt: skip
_INTERSECTING_SHARE = Column(
    "intersecting_share", pa.float32(),
    f"share of the samples, as they were drawn first, that enter themselves likewise by more than "
    f"{100 * INTERSECTION_TOLERANCE_M:g} cm, 0 to 1",
)  # fmt: skip
_INTERSECTING_LEFT = Column(
    "intersecting_left", pa.float32(),
    f"share of the samples that do so still after {NUM_REDRAWS} draws more, and stay; of the "
    "others each was drawn again until it did not",
)  # fmt: skip


def _intersection_columns(layout: PeopleLayout) -> tuple[Column, ...]:
    wanted = "intersections" in layout.save
    columns = [_SELF_INTERSECTION] if wanted else []
    if wanted and layout.uncertainty:
        columns.append(_INTERSECTING_SHARE)
    if layout.drop_intersecting:
        columns.append(_INTERSECTING_LEFT)
    return tuple(columns)


def _sample_columns(num_samples: int) -> tuple[Column, ...]:
    order = "best 2D fit first"
    return (
        Column(
            "samples_pose", floats(num_samples * NUM_BODY_JOINTS * 9),
            f"drawn rotations, {order}", "1",
            f"{num_samples} samples x 23 body joints x 3 x 3, row-major",
        ),
        Column(
            "samples_betas", floats(num_samples * NUM_BETAS),
            f"drawn shape coefficients, {order}", "1", f"{num_samples} samples x 10",
        ),
        Column(
            "samples_joints3d", floats(num_samples * NUM_JOINTS * 3),
            f"SMPL joints of the samples from the pelvis, {order}", "m",
            f"{num_samples} samples x 24 joints x (x, y, z); camera frame: {CAMERA_AXES}",
        ),
        Column(
            "samples_fit_px", floats(num_samples),
            "largest 2D distance of each sample to a visible keypoint; nulls where none is", "px",
            f"{num_samples} samples, ascending",
        ),
    )  # fmt: skip


def _sample_rotation_column(num_samples: int) -> Column:
    return Column(
        "samples_global_rotmat", floats(num_samples * 9),
        "drawn rotations of the pelvis, best 2D fit first; only beside global_F", "1",
        f"{num_samples} samples x 3 x 3, row-major",
    )  # fmt: skip


def _vertex_columns(num_vertices: int, refined: bool) -> tuple[Column, ...]:
    mode = Column(
        "vertices", floats(num_vertices * 3), "mesh of the mode, from the pelvis as joints3d",
        "m", f"{num_vertices} vertices x (x, y, z); camera frame: {CAMERA_AXES}",
    )  # fmt: skip
    if not refined:
        return (mode,)
    meaning = "mesh of the refined body, from its pelvis as refined_joints3d"
    return mode, replace(mode, name=refined_name(mode.name), meaning=meaning)


def people_columns(layout: PeopleLayout) -> tuple[Column, ...]:
    """Columns of the people table: one row per person."""
    columns = [*_ITEM, _TIME, *_PERSON, *_DISTRIBUTION]
    if layout.global_spread:
        columns.append(_GLOBAL_F)
    columns.extend([*_BODY, *IN_VIEW, COLOURS, *measurement_columns()])
    if layout.refined:
        columns.extend(refined_columns())
    if layout.uncertainty:
        columns.append(JOINT_SPREAD)
    columns.extend(_intersection_columns(layout))
    if "vertex_spread" in layout.save:
        columns.append(_spread_column(layout.num_vertices))
    if "samples" in layout.save:
        columns.extend(_sample_columns(layout.num_samples))
        if layout.global_spread:
            columns.append(_sample_rotation_column(layout.num_samples))
    if "vertices" in layout.save:
        columns.extend(_vertex_columns(layout.num_vertices, layout.refined))
    return (*columns, _SEED, _RUN)


def every_people_column(num_vertices: int = 0) -> tuple[Column, ...]:
    """All columns that people of any run may have; of meshes with so many vertices."""
    layout = PeopleLayout(
        num_vertices=num_vertices, save=frozenset(SAVES), global_spread=True, refined=True,
        drop_intersecting=True,
    )  # fmt: skip
    return people_columns(layout)


SOURCE_VERSION = Column(
    "source_version", pa.string(),
    "which state of the source was read: its etag, or size and time of change; null if unknown",
)  # fmt: skip
WARNING = Column(
    "warning", pa.string(),
    "what to know of a frame that could be used, such as a damaged end; null if nothing",
)  # fmt: skip
TRACEBACK = Column("traceback", pa.string(), "last lines of the traceback; null if there is none")
ATTEMPTS = Column("attempts", pa.int32(), "how often it was tried")


def frames_columns() -> tuple[Column, ...]:
    """Columns of the frames table: one row per finished picture or video frame."""
    return (
        *_ITEM,
        _TIME,
        Column("width", pa.int32(), "width of the picture, upright; null if unreadable", "px"),
        Column("height", pa.int32(), "height of the picture, upright; null if unreadable", "px"),
        Column("status", pa.string(), "one of " + ", ".join(STATUSES)),
        Column("num_people", pa.int32(), "rows of this item in the people table"),
        _RUN,
        Column("seconds", pa.float32(), "time spent, an equal share of its batch's time", "s"),
        SOURCE_VERSION,
        WARNING,
    )


def errors_columns() -> tuple[Column, ...]:
    """Columns of the errors table: one row per picture or person that failed."""
    return (
        *_ITEM,
        Column("person_index", pa.int32(), "person that failed; null for the whole picture"),
        Column("stage", pa.string(), "stage that failed, such as decode or distribution"),
        Column("error", pa.string(), "class of the exception"),
        Column("message", pa.string(), "its message"),
        TRACEBACK,
        ATTEMPTS,
        _RUN,
    )


def people_schema(layout: PeopleLayout, metadata: dict[str, str] | None = None) -> pa.Schema:
    """Arrow schema of people/part-*.parquet."""
    return _schema(people_columns(layout), metadata)


def frames_schema(metadata: dict[str, str] | None = None) -> pa.Schema:
    """Arrow schema of frames/part-*.parquet."""
    return _schema(frames_columns(), metadata)


def errors_schema(metadata: dict[str, str] | None = None) -> pa.Schema:
    """Arrow schema of errors/part-*.parquet."""
    return _schema(errors_columns(), metadata)


def _schema(columns: tuple[Column, ...], metadata: dict[str, str] | None) -> pa.Schema:
    version = {"schema_version": SCHEMA_VERSION}
    return pa.schema([c.field() for c in columns], metadata={**version, **(metadata or {})})


def file_metadata(
    body: Mapping[str, str],
    *,
    num_samples: int,
    paper_rule: bool = False,
    drop_intersecting: bool = False,
) -> dict[str, str]:
    """File metadata of a people part: all that makes bodies and samples of its rows again.

    Args:
        body: Which body model that was: body_family, body_gender, body_sha256 and body_model, where
            it lay.
        num_samples: Samples per person.
        paper_rule: Whether samples were posed by the paper's rule.
        drop_intersecting: Whether those that intersect themselves were drawn again.
    """
    return {
        "joint_names": json.dumps(SMPL_JOINT_NAMES),
        "body_joint_names": json.dumps(BODY_JOINT_NAMES),
        "keypoint_names": json.dumps(COCO_KEYPOINT_NAMES),
        "landmark_names": json.dumps(LANDMARK_NAMES),
        **body,
        "num_samples": str(num_samples),
        "paper_rule": json.dumps(paper_rule),
        "drop_intersecting": json.dumps(drop_intersecting),
    }


def type_name(kind: pa.DataType) -> str:
    """Type as docs/results.md says it: `float32 x 207`, `string`."""
    if isinstance(kind, pa.FixedSizeListType):
        return f"{type_name(kind.value_type)} x {kind.list_size}"
    names = {"float": "float32", "double": "float64"}
    return names.get(str(kind), str(kind))


def markdown_table(columns: tuple[Column, ...]) -> str:
    """The columns as a Markdown table: name, type, unit, meaning and order."""
    lines = ["| column | type | unit | meaning |", "|---|---|---|---|"]
    for column in columns:
        order = f" ({column.axes})" if column.axes else ""
        meaning = html.escape(f"{column.meaning}{order}", quote=False)
        lines.append(f"| `{column.name}` | {type_name(column.type)} | {column.unit} | {meaning} |")
    return "\n".join(lines)


def columns_markdown() -> str:
    """The three tables of docs/results.md with all columns, OpenBody's sizes and 50 samples."""
    tables = {
        "people": every_people_column(num_vertices=6880),
        "frames": frames_columns(),
        "errors": errors_columns(),
    }
    parts = [f"**{name}/**\n\n{markdown_table(columns)}" for name, columns in tables.items()]
    return "\n\n".join(parts)


if __name__ == "__main__":
    print(columns_markdown())
