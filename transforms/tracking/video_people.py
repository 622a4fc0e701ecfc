"""The people of videos as tables small enough to be shuffled: where, when and how turned."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from hierprob3d.model.body.skeleton import BODY_PARTS, NUM_BETAS, NUM_JOINTS, NUM_KEYPOINTS
from hierprob3d.model.estimate.person_row import REFINED_COLUMNS
from hierprob3d.model.rotation.rotations import rotmat_to_unitquat
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.tables.rows import table_of
from hierprob3d.transforms.tables.schema import floats

_ITEM = ("item_id", "frame_index", "time_s", "person_index")
_BODY = ("pose_mode", "shape_mean", "global_rotmat", "camera")
_READ = ("uri", *_ITEM, "bbox", "keypoints", "colours", "crop", "pose_F", "shape_std", *_BODY)
_GLOBAL_F = "global_F"
_AS_THEY_ARE = ("bbox", "keypoints", "colours", "crop", "shape_std")

_PELVIS_PRECISION = 100.0
"""Of a pelvis whose rotation has no distribution, 1 / rad^2: an error of 6 degrees."""

VIDEO_PEOPLE = pa.schema(
    [
        ("item_id", pa.string()),
        ("frame_index", pa.int32()),
        ("time_s", pa.float64()),
        ("person_index", pa.int32()),
        ("bbox", floats(4)),
        ("keypoints", floats(NUM_KEYPOINTS * 3)),
        ("colours", floats(len(BODY_PARTS) * 3)),
        ("crop", floats(3)),
        ("quats", floats(NUM_JOINTS * 4)),  # the pelvis, then the body joints
        ("precisions", floats(NUM_JOINTS)),  # of their distributions, 1 / rad^2
        ("shape_mean", floats(NUM_BETAS)),
        ("shape_std", floats(NUM_BETAS)),
        ("camera", floats(3)),
    ]
)
"""What is known of the people of one video."""


def video_people(
    store: OutputFolder, part: str, refined: bool = False
) -> Iterator[tuple[str, pa.Table]]:
    """The people of each video of a part, by its URI, under the schema `VIDEO_PEOPLE`.

    Args:
        store: of the run.
        part: its name.
        refined: whether the bodies moved onto the keypoints are taken.
    """
    names = {name: REFINED_COLUMNS[name] if refined else name for name in _BODY}
    wanted = [*(names.get(name, name) for name in _READ), _GLOBAL_F]
    table = store.read_part(part, wanted)
    if table["frame_index"].null_count:
        table = table.filter(pc.field("frame_index").is_valid())
    for uri, of_video in _by_video(table):
        yield uri, _shuffled(of_video.combine_chunks(), names)


def _by_video(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Rows of each video; copied once at most, however many videos there are."""
    if not len(table):
        return
    videos = table["uri"].combine_chunks().dictionary_encode()
    codes = videos.indices.to_numpy()
    if (np.diff(codes) < 0).any():
        order = np.argsort(codes, kind="stable")
        table, codes = table.take(order), codes[order]
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(codes)], strict=True):
        yield videos.dictionary[codes[start]].as_py(), table.slice(start, end - start)


def numbers(table: pa.Table, name: str) -> np.ndarray:
    """(N, size) numbers of a column of lists; null in them is NaN."""
    column = table[name].combine_chunks()
    values = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(table), column.type.list_size)


def _shuffled(table: pa.Table, names: dict[str, str]) -> pa.Table:
    pose = _rotmats(table, names["pose_mode"])
    pelvis = _rotmats(table, names["global_rotmat"])
    precisions = _precisions(pose, _rotmats(table, "pose_F"))
    if _GLOBAL_F in table.column_names:
        pelvis_precision = _precisions(pelvis, _rotmats(table, _GLOBAL_F))
    else:
        pelvis_precision = torch.full((len(table), 1), _PELVIS_PRECISION)
    columns = {
        **{name: table[name].to_pylist() for name in _ITEM},
        **{name: numbers(table, name) for name in _AS_THEY_ARE},
        "shape_mean": numbers(table, names["shape_mean"]),
        "camera": numbers(table, names["camera"]),
        "quats": rotmat_to_unitquat(torch.cat([pelvis, pose], dim=1)),
        "precisions": torch.cat([pelvis_precision, precisions], dim=1),
    }
    return table_of(columns, VIDEO_PEOPLE)


def _rotmats(table: pa.Table, name: str) -> Tensor:
    """(N, J, 3, 3) of a column; J is 23, or 1 of the pelvis."""
    return torch.tensor(numbers(table, name)).unflatten(1, (-1, 3, 3))


def _precisions(mode: Tensor, F: Tensor) -> Tensor:
    """(N, J) of matrix-Fisher distributions around their mode, 1 / rad^2.

    For a turn w away from the mode, tr(F^T R) falls by w^T (tr(A) I - A) w / 2 with A = mode^T F;
    this is the mean of the three directions.
    """
    return 2 / 3 * (mode * F).sum((-2, -1)).clamp(min=0)
