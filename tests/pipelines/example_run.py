"""A small prediction run written through the schema, with people made from OpenBody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from hierprob3d.model.body.mesh_body import Body, load_body
from hierprob3d.model.body.skeleton import MEASUREMENT_NAMES
from hierprob3d.model.estimate.body_samples import draw_samples, pose_samples
from hierprob3d.model.estimate.reconstruction import parameters_of_rows, streams_of_rows
from hierprob3d.model.estimate.uncertainty import sample_spread
from hierprob3d.model.picture.cameras import full_frame_translation, half_turn_x, project_body
from hierprob3d.model.rotation.matrix_fisher import MatrixFisher
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.transforms.inputs.items import Item, frame_item, picture_item
from hierprob3d.transforms.tables.rows import table_of
from hierprob3d.transforms.tables.schema import (
    PeopleLayout,
    errors_schema,
    file_metadata,
    frames_schema,
    people_schema,
    std_name,
)

ASSETS = Path(__file__).resolve().parents[2] / "model" / "assets" / "demo"
ASTRONAUT = str(ASSETS / "astronaut.png")
PEDESTRIANS = str(ASSETS / "pedestrians.mp4")
RUN, KILLED_RUN = "20250101-000000-aaaa", "20250102-000000-bbbb"
NUM_SAMPLES = 5
WARNING = "its end <i>is missing"


def person_row(item: Item, index: int, body: Body, **changes: Any) -> dict[str, Any]:
    """One people row: a body of its own pose and shape, seen by a camera of its crop."""
    generator = torch.Generator().manual_seed(int(item.item_id[:8], 16) + index)
    rotvec = 0.25 * torch.randn(1, 23, 3, generator=generator)
    pose = rotvec_to_rotmat(rotvec)
    row: dict[str, Any] = {
        "item_id": item.item_id, "uri": item.uri, "frame_index": item.frame_index,
        "time_s": item.time_s, "person_index": index,
        "bbox": [100.0, 40.0, 400.0, 500.0], "bbox_score": 0.9, "given": None,
        "whole_picture": False, "shape_from_silhouette": False,
        "landmarks": 165 * [0.5], "crop": [220.0, 260.0, 480.0], "camera": [0.8, 0.05, 0.1],
        "pose_F": ((20 + 20 * index) * pose).flatten(), "pose_mode": pose.flatten(),
        "shape_mean": torch.randn(10, generator=generator), "shape_std": torch.full((10,), 0.5),
        "global_rotmat": rotvec_to_rotmat(torch.tensor([0.0, 0.3, 0.0])).flatten(),
        "reprojection_px": 4.5, "seed": 7, "run_id": RUN,
        **{name: 1.5 for name in MEASUREMENT_NAMES},
        **{std_name(name): 0.05 for name in MEASUREMENT_NAMES},
    }  # fmt: skip
    row |= changes
    people = parameters_of_rows([row])
    vertices, joints = body(people.shape_mean, people.pose_mode, people.global_rotmat)
    coco = project_body(body.coco_joints(vertices, joints), people.camera, people.crop)
    samples = draw_samples(people, streams_of_rows([row]), NUM_SAMPLES)
    meshes, sampled_joints = pose_samples(samples, body)
    from_pelvis = sampled_joints - sampled_joints[:, :, :1]
    camera_joints = half_turn_x(joints)[0]
    size = torch.tensor([[512.0, 512.0] if item.frame_index is None else [640.0, 480.0]])
    focal = size.norm(dim=-1)
    place = full_frame_translation(people.camera, people.crop, size, focal)
    row |= {
        "translation": place, "focal_px": float(focal), "focal_assumed": True,
        "truncation": 0.0, "visibility": torch.full((24,), 0.8), "quality": 0.8 - 0.2 * index,
        "colours": 15 * [20.0],
    }  # fmt: skip
    row |= {
        "keypoints": torch.cat([coco[0], torch.full((17, 1), 0.8)], dim=-1).flatten(),
        "joints2d": coco.flatten(), "pelvis": camera_joints[0],
        "joints3d": (camera_joints - camera_joints[0]).flatten(),
        "pose_spread_deg": MatrixFisher(people.pose_F[0]).angular_spread_deg(),
        "joint_spread_m": sample_spread(from_pelvis)[0],
        "vertex_spread_m": sample_spread(meshes)[0],
    }  # fmt: skip
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    return np.asarray(value).ravel().tolist() if isinstance(value, torch.Tensor) else value


def people_table(rows: list[dict[str, Any]], body: Body) -> pa.Table:
    """The rows under the schema, with all spreads and the body's identity."""
    layout = PeopleLayout(
        num_vertices=body.num_vertices, num_samples=NUM_SAMPLES, save=frozenset({"vertex_spread"})
    )
    metadata = file_metadata(
        {"body_family": body.family, "body_gender": body.gender, "body_sha256": body.sha256,
         "body_model": "open"},
        num_samples=NUM_SAMPLES,
    )  # fmt: skip
    columns = {name: [row[name] for row in rows] for name in people_schema(layout).names}
    return table_of(columns, people_schema(layout, metadata))


def _frame(item: Item, status: str, num_people: int) -> dict[str, Any]:
    size = (512, 512) if item.frame_index is None else (640, 480)
    return {
        "item_id": item.item_id, "uri": item.uri, "frame_index": item.frame_index,
        "time_s": item.time_s, "width": size[0], "height": size[1], "status": status,
        "num_people": num_people, "run_id": RUN, "seconds": 0.25, "source_version": None,
        "warning": None,
    }  # fmt: skip


def _error(item: Item, stage: str, error: str, message: str) -> dict[str, Any]:
    return {
        "item_id": item.item_id, "uri": item.uri, "frame_index": item.frame_index,
        "person_index": None, "stage": stage, "error": error, "message": message,
        "traceback": None, "attempts": 1, "run_id": RUN,
    }  # fmt: skip


def write_example_run(folder: Path, moved: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """Two shards of a finished run and one of a killed run; returns the finished people rows.

    `moved` replaces URIs: pictures that are not there any more.

    The astronaut; one tracked person in two frames of the clip and one untracked; a picture
    without people; one that cannot be read and has a hostile name.
    """
    body = load_body("open")
    astronaut = picture_item((moved or {}).get(ASTRONAUT, ASTRONAUT))
    empty = picture_item("/photos/empty.png")
    hostile = picture_item("/photos/<script>alert('x')</script>.jpg")
    frames = [frame_item(PEDESTRIANS, index, index / 10) for index in (0, 1)]
    on_clip = {"crop": [190.0, 350.0, 170.0]}
    rows = [
        person_row(astronaut, 0, body),
        person_row(frames[0], 0, body, **on_clip),
        person_row(frames[1], 0, body, **on_clip),
        person_row(frames[1], 1, body, crop=[560.0, 240.0, 120.0]),
    ]
    lost = person_row(picture_item("/photos/lost.png"), 0, body, run_id=KILLED_RUN)
    _write(folder, "people", f"part-{RUN}-00000.parquet", people_table(rows[:1], body))
    _write(folder, "people", f"part-{RUN}-00001.parquet", people_table(rows[1:], body))
    _write(folder, "people", f"part-{KILLED_RUN}-00000.parquet", people_table([lost], body))
    pictures = [_frame(astronaut, "ok", 1), _frame(empty, "no_person", 0)]
    pictures.append({**_frame(hostile, "failed", 0), "width": None, "height": None})
    clip = [_frame(frames[0], "ok", 1), {**_frame(frames[1], "ok", 2), "warning": WARNING}]
    for name, table in (("00000", pictures), ("00001", clip)):
        timing = {"stage_seconds": json.dumps({"decode": 1.0, "distribution": 3.0})}
        table = pa.Table.from_pylist(table, schema=frames_schema(timing))
        _write(folder, "frames", f"part-{RUN}-{name}.parquet", table)
    tracked = {"item_id": [item.item_id for item in frames], "person_index": [0, 0],
               "uri": [item.uri for item in frames], "time_s": [item.time_s for item in frames],
               "track_id": [3, 3], "track_confidence": [0.5, 0.5],
               "link_confidence": [1.0, 0.5]}  # fmt: skip
    _write(folder, "tracks", "part-0.parquet", pa.table(tracked))
    errors = [_error(hostile, "decode", "UnreadablePicture", "<b>the file is empty</b>")]
    table = pa.Table.from_pylist(errors, schema=errors_schema())
    _write(folder, "errors", f"part-{RUN}-00000.parquet", table)
    return rows


def write_manifest(folder: Path, manifest: dict[str, Any], run_id: str = RUN) -> None:
    """runs/<run_id>.json."""
    (folder / "runs").mkdir(exist_ok=True)
    (folder / "runs" / f"{run_id}.json").write_text(json.dumps(manifest))


def _write(folder: Path, table: str, name: str, content: pa.Table) -> None:
    (folder / table).mkdir(parents=True, exist_ok=True)
    pq.write_table(content, folder / table / name)
