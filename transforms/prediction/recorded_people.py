"""People of stored rows as stages have them, and their pictures drawn by the stages of a run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch

from hierprob3d.configs.prediction import PredictConfig
from hierprob3d.model.body.skeleton import NUM_BETAS, NUM_BODY_JOINTS, NUM_KEYPOINTS
from hierprob3d.transforms.batch.batches import Batch
from hierprob3d.transforms.batch.isolation import Columns, People
from hierprob3d.transforms.batch.models import BodyModels
from hierprob3d.transforms.inputs.items import Frame
from hierprob3d.transforms.tables.schema import refined_name, std_name

from .distributions import BODY
from .drawn_pictures import COLOURED
from .proxies import EDGES, PROXY, edges_of, make_proxies
from .stages import draw_batch, sample_batch

_ROTATIONS = (NUM_BODY_JOINTS, 3, 3)
_SHAPES: dict[str, tuple[int, ...]] = {
    "bbox": (4,), "keypoints": (NUM_KEYPOINTS, 3), "crop": (3,),
    "pose_F": _ROTATIONS, "pose_mode": _ROTATIONS,
    "shape_mean": (NUM_BETAS,), "shape_std": (NUM_BETAS,),
    "global_rotmat": (3, 3), "global_F": (3, 3), "camera": (3,),
    "height_m": (), std_name("height_m"): (),
    "refined_pose": _ROTATIONS, "refined_betas": (NUM_BETAS,), "refined_global_rotmat": (3, 3),
    "refined_camera": (3,), "vertex_spread_m": (-1,),
}  # fmt: skip
DRAWN_COLUMNS = ("item_id", "person_index", *_SHAPES)
"""Columns of the people table that pictures are made from, where a run has them."""


def recorded_columns(table: pa.Table) -> Columns:
    """The columns of `DRAWN_COLUMNS` in their natural shapes, but for those that hold nulls."""
    columns: Columns = {}
    for name, shape in _SHAPES.items():
        if name not in table.column_names:
            continue
        array = table[name].combine_chunks()
        values = array.flatten() if pa.types.is_fixed_size_list(array.type) else array
        numbers = values.to_numpy(zero_copy_only=False).astype(np.float32)
        if np.isfinite(numbers).all():
            columns[name] = torch.from_numpy(numbers.reshape(len(table), *shape))
    return columns


def recorded_people(table: pa.Table, columns: Columns, frames: Sequence[Frame]) -> People:
    """The people of some frames, in the order of these and of their numbers.

    Args:
        table: Rows of the people table, with item_id and person_index.
        columns: Of all its rows, see `recorded_columns`.
        frames: Decoded ones; the people's column `frame` counts among these.
    """
    place_of = {frame.item.item_id: place for place, frame in enumerate(frames)}
    numbers = table["person_index"].to_pylist()
    ids = table["item_id"].to_pylist()
    wanted = sorted(
        (place_of[item_id], numbers[row], row)
        for row, item_id in enumerate(ids)
        if item_id in place_of
    )
    rows = torch.tensor([row for _, _, row in wanted], dtype=torch.long)
    places = [place for place, _, _ in wanted]
    return People(
        [frames[place].item for place in places],
        [number for _, number, _ in wanted],
        {name: column[rows] for name, column in columns.items()}
        | {"frame": torch.tensor(places, dtype=torch.long)},
    )


@torch.inference_mode()
def place_recorded(batch: Batch, models: BodyModels, config: PredictConfig) -> None:
    """Adds what the pictures that are wanted show of the people: meshes, samples, edges.

    Args:
        batch: With recorded people.
        models: Body model, threshold and how crops were made.
        config: The kinds of pictures; number, rule and seed of the samples.
    """
    kinds = config.run.visualise
    batch.add(BODY, lambda some: _meshes(some, models))
    if "figure" in kinds:
        images = batch.images
        batch.add(PROXY, lambda some: {EDGES: edges_of(make_proxies(some, images, models)[PROXY])})
    coloured = bool(COLOURED & kinds) and "vertex_spread_m" not in batch.people.columns
    if config.sampling.uncertainty and len(batch.people) and (coloured or "samples" in kinds):
        sample_batch(batch, models, config)


@torch.inference_mode()
def draw_recorded(batch: Batch, models: BodyModels, config: PredictConfig) -> None:
    """Pictures of a batch of recorded people, as a run would have drawn them; see `draw_batch`."""
    place_recorded(batch, models, config)
    draw_batch(batch, models, config)


def _meshes(people: People, models: BodyModels) -> Columns:
    """Columns body_vertices and, where there are refined bodies, refined_body_vertices."""
    columns = people.columns
    names = {"body_vertices": ("shape_mean", "pose_mode", "global_rotmat")}
    if "refined_pose" in columns:
        names[refined_name("body_vertices")] = (
            "refined_betas", "refined_pose", "refined_global_rotmat",
        )  # fmt: skip
    return {
        mesh: models.body(*(columns[name].to(models.device) for name in parameters))[0]
        for mesh, parameters in names.items()
    }
