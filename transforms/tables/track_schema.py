"""Columns of the tracks table: one row per person of a video frame, seen or passed over.

`python -m hierprob3d.transforms.tables.track_schema` prints the table of docs/tracks.md.
"""

from __future__ import annotations

import pyarrow as pa

from hierprob3d.model.body.skeleton import NUM_BETAS, NUM_BODY_JOINTS

from .schema import SCHEMA_VERSION, Column, floats, markdown_table

_IDENTITY = (
    Column(
        "item_id", pa.string(),
        "of the frame; with person_index the row of people/ that this one is about",
    ),
    Column("uri", pa.string(), "the video"),
    Column("frame_index", pa.int32(), "frame of the video from 0"),
    Column("time_s", pa.float64(), "presentation time of the frame", "s"),
    Column("person_index", pa.int32(), "person of the frame; null where interpolated"),
    Column(
        "interpolated", pa.bool_(),
        "true: the person was not found in this frame, but in frames before and after it, no "
        "further apart than --max-gap; the row lies between those",
    ),
    Column("track_id", pa.int32(), "the person of the video, from 0 in the order of appearance"),
    Column(
        "track_confidence", pa.float32(),
        "how sure it is that the track is one person: the smallest link_confidence of its rows",
    ),
    Column(
        "link_confidence", pa.float32(),
        "how sure it is that this is the person whom the track saw before, 0 to 1; falls with "
        "distance, time and rivals; 1 in a track's first row; where interpolated, that of the "
        "person seen next",
    ),
    Column(
        "gap_s", pa.float32(),
        "time since the person was seen last; null in the track's first row", "s",
    ),
    Column(
        "track_bbox", floats(4), "as bbox in people/; where interpolated, on the straight way "
        "between those", "px", "x0 y0 x1 y1",
    ),
    Column(
        "track_crop", floats(3), "as crop in people/, likewise", "px",
        "centre x, centre y, side",
    ),
)  # fmt: skip

SMOOTHED = (
    Column(
        "smoothed_pose", floats(NUM_BODY_JOINTS * 9),
        "rotations of the body joints along the smoothed motion", "1",
        "23 body joints x 3 x 3, row-major",
    ),
    Column(
        "smoothed_betas", floats(NUM_BETAS), "shape coefficients of the track, in all its rows "
        "the same: their means weighted by precision", "1", "10 betas",
    ),
    Column(
        "smoothed_global_rotmat", floats(9), "as global_rotmat, along the smoothed motion", "1",
        "3 x 3, row-major",
    ),
    Column(
        "smoothed_camera", floats(3), "as camera, for track_crop, along the smoothed motion",
        "1, m, m", "s, tx, ty",
    ),
)  # fmt: skip

TRACK_COLUMNS = (
    *_IDENTITY,
    *SMOOTHED,
    Column("run_id", pa.string(), "the run of `track` that wrote the row, tracks/_tracks.json"),
)


def track_schema(metadata: dict[str, str] | None = None) -> pa.Schema:
    """Arrow schema of tracks/part-*.parquet."""
    version = {"schema_version": SCHEMA_VERSION}
    return pa.schema(
        [column.field() for column in TRACK_COLUMNS], metadata={**version, **(metadata or {})}
    )


if __name__ == "__main__":
    print(markdown_table(TRACK_COLUMNS))
