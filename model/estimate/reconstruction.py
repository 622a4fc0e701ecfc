"""Bodies back from stored rows: the mode and the very samples of a run, from parameters alone.

A row of people/*.parquet holds about 3 kB of parameters and no mesh.  With the body model the mesh
of the mode, or of the refined body, follows exactly; with the seed, item id and person index of the
row also the samples, since every person's draws come from a stream of their own.  Which body model,
and how many samples, the metadata of its file say; rows of `read_run` carry them:

    for row in hierprob3d.read_run("DIR").rows():
        vertices, joints = rebuild_mode(row)  # (V, 3), (24, 3)
        vertices, joints = rebuild_samples(row)  # (N, V, 3), (N, 24, 3)

Rows from elsewhere need them as arguments: `rebuild_samples(rows, load_body("open"), 50)`.

Everything returned is in the body frame (metres, y up, x to the body's left at rest, z forward,
the pelvis near the origin), global rotation applied: seen from +z, up is the picture's up.  The
stored `joints3d` and `vertices` are the same points after `cameras.half_turn_x`, less the pelvis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor

from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.body.skeleton import NUM_BETAS, NUM_BODY_JOINTS
from hierprob3d.model.picture.cameras import full_frame_translation, half_turn_x
from hierprob3d.model.rotation.random_streams import RandomStreams, person_keys

from .body_samples import PersonParameters, Samples, draw_samples, pose_samples, with_paper_rule
from .intersecting_samples import redraw_intersecting
from .person_row import REFINED_COLUMNS, PersonRow
from .recorded_body import BUNDLED, OtherBody, find_body, likely_paths


class Row(Protocol):
    """One person by column name: a dict, a pandas row or anything else that `[]` reads."""

    def __getitem__(self, column: str, /) -> Any:
        """Value of a column."""


def parameters_of_rows(rows: Sequence[Row]) -> PersonParameters:
    """Float32 tensors of the rows' parameters, on the CPU."""
    rotations = (NUM_BODY_JOINTS, 3, 3)
    return PersonParameters(
        pose_F=_column(rows, "pose_F", rotations),
        pose_mode=_column(rows, "pose_mode", rotations),
        shape_mean=_column(rows, "shape_mean", (NUM_BETAS,)),
        shape_std=_column(rows, "shape_std", (NUM_BETAS,)),
        global_rotmat=_column(rows, "global_rotmat", (3, 3)),
        camera=_column(rows, "camera", (3,)),
        crop=_column(rows, "crop", (3,)),
        global_F=_column(rows, "global_F", (3, 3)) if _have(rows, "global_F") else None,
    )


def rebuild_mode(
    rows: Row | Sequence[Row], body: Body | None = None
) -> tuple[Float[Tensor, "*P V 3"], Float[Tensor, "*P 24 3"]]:
    """Mesh and joints of each row's mode.

    Args:
        rows: P rows of people/*.parquet, or one.
        body: the body model the rows were made with; None: the one that the rows' metadata name.

    Returns:
        vertices (P, V, 3) and SMPL joints (P, 24, 3), metres, body frame; of one row (V, 3) and
        (24, 3).

    Raises:
        ValueError: the rows do not say which body model they belong to, or it is not there.
    """
    if not isinstance(rows, Sequence):
        vertices, joints = rebuild_mode([rows], body)
        return vertices[0], joints[0]
    people = parameters_of_rows(rows)
    body = body or body_of_rows(rows)
    with torch.inference_mode():
        return body(people.shape_mean, people.pose_mode, people.global_rotmat)


def with_refined_body(row: Mapping[str, Any]) -> PersonRow:
    """The row with its refined body in the mode's place: `rebuild_mode` and cameras give that one.

    Args:
        row: of a run with `--refine`. Draws from the result are not the run's: they need the mean
            shape.
    """
    refined = {name: row[of_refined] for name, of_refined in REFINED_COLUMNS.items()}
    return PersonRow({**row, **refined}, _metadata(row))


def rebuild_samples(
    rows: Row | Sequence[Row], body: Body | None = None, num_samples: int | None = None
) -> tuple[Float[Tensor, "*P N V 3"], Float[Tensor, "*P N 24 3"]]:
    """Meshes and joints of the first samples that the run drew for each row, in order of drawing.

    Args:
        rows: P rows of people/*.parquet, or one. Where their metadata say that the run posed its
            samples by the paper's rule, so are these.
        body: the body model the rows were made with; None: the one that the rows' metadata name.
        num_samples: samples per person, N; None: as many as the run drew.

    Returns:
        vertices (P, N, V, 3) and SMPL joints (P, N, 24, 3), metres, body frame; of one row
        (N, V, 3) and (N, 24, 3).

    Raises:
        ValueError: the rows do not say which body model or how many samples, or it is not there.
    """
    if not isinstance(rows, Sequence):
        vertices, joints = rebuild_samples([rows], body, num_samples)
        return vertices[0], joints[0]
    body = body or body_of_rows(rows)
    if num_samples is None:
        num_samples = int(_common(rows, "num_samples"))
    with torch.inference_mode():
        return pose_samples(samples_of_rows(rows, num_samples), body)


def samples_of_rows(rows: Sequence[Row], num_samples: int) -> Samples:
    """The first samples (P, N) that the run drew for each row, by the options of the run.

    Those drawn again are in their places; by the paper's rule all have the mean shape and the
    mode's global rotation.

    Raises:
        ValueError: the rows are of runs with different options.
    """
    people, streams = parameters_of_rows(rows), streams_of_rows(rows)
    samples = draw_samples(people, streams, num_samples)
    if _is_said(rows, "drop_intersecting"):
        samples = redraw_intersecting(samples, people, streams).samples
    return with_paper_rule(samples, people) if _is_said(rows, "paper_rule") else samples


def body_of_rows(rows: Sequence[Row]) -> Body:
    """The body model that the metadata of rows name, from where it lay or lies bundled.

    Raises:
        ValueError: the rows have no metadata, are of several bodies, or the body is not there.
    """
    _common(rows, "body_sha256")
    metadata = _metadata(rows[0])
    try:
        return find_body(metadata, likely_paths([metadata.get("body_model", BUNDLED)]))
    except OtherBody as error:
        raise OtherBody(f"the rows were {error}: give body=load_body(PATH).") from error


def camera_translation(
    camera: Float[Tensor, "P 3"],
    crop: Float[Tensor, "P 3"],
    image_size: Num[Tensor, "P 2"],
    focal_length: Float[Tensor, " P"],
) -> Float[Tensor, "P 3"]:
    """Where people stand before a camera as of OpenGL and Blender: looking along -z, y up.

    `cameras.full_frame_translation`, the column `translation`, for points of the body frame.

    Args:
        camera: (P, 3) s, tx, ty.
        crop: (P, 3) centre x, centre y, side in px of the picture.
        image_size: (P, 2) width and height in px.
        focal_length: (P,) in px.

    Returns:
        (P, 3) metres, to be added to points of the body frame.
    """
    return half_turn_x(full_frame_translation(camera, crop, image_size, focal_length))


def streams_of_rows(rows: Sequence[Row]) -> RandomStreams:
    """The random streams that belong to the rows' people, from seed, item id and person index."""
    keys = [
        person_keys(int(row["seed"]), [row["item_id"]], [int(row["person_index"])]) for row in rows
    ]
    return RandomStreams(torch.cat(keys))


def _metadata(row: Row) -> dict[str, str]:
    return getattr(row, "metadata", {})


def _is_said(rows: Sequence[Row], key: str) -> bool:
    """Whether the metadata of all rows say so; ValueError where only some do."""
    is_said = any(_metadata(row).get(key) == "true" for row in rows)
    return is_said and _common(rows, key) == "true"


def _common(rows: Sequence[Row], key: str) -> str:
    """What the metadata of all rows say alike."""
    values = {_metadata(row).get(key) for row in rows}
    if len(values) != 1:
        raise ValueError(f"the rows are of files with different {key}: take those of each alone.")
    (value,) = values
    if value is None:
        raise ValueError(
            f"the rows do not say their {key}: take them from hierprob3d.read_run(DIR).rows(), or "
            "give body and num_samples."
        )
    return value


def _have(rows: Sequence[Row], name: str) -> bool:
    """Whether rows have a column; those of one run all do or all do not."""
    try:
        return bool(rows) and rows[0][name] is not None
    except KeyError:
        return False


def _column(rows: Sequence[Row], name: str, shape: tuple[int, ...]) -> Tensor:
    """(P, *shape) float32 of one column."""
    numbers = np.array([np.asarray(row[name], dtype=np.float32) for row in rows])
    return torch.from_numpy(numbers.reshape(len(rows), *shape))
