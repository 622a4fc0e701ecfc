"""SMPL parameters of one person in time as npz, in the layout of AMASS and of Blender's add-ons."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hierprob3d.model.estimate.body_samples import draw_samples
from hierprob3d.model.estimate.reconstruction import (
    camera_translation,
    parameters_of_rows,
    streams_of_rows,
)
from hierprob3d.model.rotation.rotations import rotmat_to_rotvec

from .run_folder import RunFolder

NUM_SMPLH_BODY_JOINTS = 22
STILL_FRAMERATE = 30.0
"""Frames per second written for single pictures: readers refuse less than their own rate."""

RowDict = dict[str, Any]


class Places:
    """Looks up picture sizes and puts people before the camera."""

    def __init__(self, folder: RunFolder, focal_length: float | None) -> None:
        frames = folder.frames().select(["item_id", "width", "height"]).to_pylist()
        self._sizes = {row["item_id"]: (row["width"], row["height"]) for row in frames}
        self._focal_length = focal_length

    def focal_length(self, row: RowDict) -> float:
        """Focal length in px: the given one, or the picture's diagonal."""
        return self._focal_length or math.hypot(*self._sizes[row["item_id"]])

    def translation(self, rows: Sequence[RowDict]) -> Tensor:
        """(P, 3) metres from the body frame's origin to the person's place."""
        people = parameters_of_rows(rows)
        sizes = torch.tensor([self._sizes[row["item_id"]] for row in rows]).float()
        focal = torch.tensor([self.focal_length(row) for row in rows])
        return camera_translation(people.camera, people.crop, sizes, focal)


def sequence_key(row: RowDict) -> tuple[str, ...]:
    """Rows with the same key are one person in time: of one track, or of one picture alone."""
    if row["track_id"] is None:
        return (row["item_id"], str(row["person_index"]))
    return (row["uri"], f"track {row['track_id']}")


def sequence_npz(
    rows: Sequence[RowDict],
    places: Places,
    num_joints: int,
    num_samples: int,
    metadata: dict[str, str],
) -> bytes:
    """An npz file with poses (N, 3 * num_joints), betas (10,), trans (N, 3) and what AMASS adds.

    Args:
        rows: one person in N frames, in order.
        places: where people stand.
        num_joints: 24 writes SMPL's joints, 52 SMPL-H's with the hands at rest.
        num_samples: K > 0 adds sample_poses (N, K, 3 * num_joints) and sample_betas (N, K, 10).
        metadata: file metadata of the rows' part, for gender and body.
    """
    arrays: dict[str, Any] = _sequence_arrays(rows, places, num_joints, num_samples)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays, **_identity(rows, metadata))
    return buffer.getvalue()


def _sequence_arrays(
    rows: Sequence[RowDict], places: Places, num_joints: int, num_samples: int
) -> dict[str, np.ndarray]:
    """Poses, betas and translations of one person in time, as AMASS names them."""
    people = parameters_of_rows(rows)
    arrays = {
        "poses": _poses(people.global_rotmat, people.pose_mode, num_joints),
        "betas": _common_betas(people.shape_mean, people.shape_std),
        "trans": places.translation(rows).numpy(),
        "mocap_framerate": np.array(_framerate(rows)),
        "focal_length_px": np.array([places.focal_length(row) for row in rows]),
    }
    if num_samples:
        samples = draw_samples(people, streams_of_rows(rows), num_samples)
        arrays["sample_poses"] = _poses(samples.global_rotmat, samples.pose, num_joints)
        arrays["sample_betas"] = samples.betas.numpy()
    return arrays


def _poses(global_rotmat: Tensor, pose: Tensor, num_joints: int) -> np.ndarray:
    """Rotation vectors (..., 3 * num_joints) of the pelvis and the body joints (..., 23, 3, 3)."""
    rotvecs = rotmat_to_rotvec(torch.cat([global_rotmat[..., None, :, :], pose], dim=-3))
    if num_joints != rotvecs.shape[-2]:
        # SMPL-H has no two joints for whole hands; its 30 finger joints stay at rest.
        rotvecs = rotvecs[..., :NUM_SMPLH_BODY_JOINTS, :]
        padding = num_joints - NUM_SMPLH_BODY_JOINTS
        rotvecs = functional.pad(rotvecs, (0, 0, 0, padding))
    return rotvecs.flatten(-2).numpy()


def _common_betas(mean: Tensor, std: Tensor) -> np.ndarray:
    """(10,) betas of a person seen N times: means weighted by their precision."""
    weights = std.clamp(min=1e-6).square().reciprocal()
    return ((weights * mean).sum(0) / weights.sum(0)).numpy()


def _framerate(rows: Sequence[RowDict]) -> float:
    """Frames per second from the middle step between times; `STILL_FRAMERATE` for one frame."""
    times = [row["time_s"] for row in rows if row["time_s"] is not None]
    steps = np.diff(times)
    return float(1 / np.median(steps)) if len(steps) else STILL_FRAMERATE


def _identity(rows: Sequence[RowDict], metadata: dict[str, str]) -> dict[str, Any]:
    """Where a sequence comes from; no AMASS reader minds further keys."""
    return {
        "gender": np.array(metadata.get("body_gender", "neutral")),
        "body_family": np.array(metadata.get("body_family", "")),
        "body_sha256": np.array(metadata.get("body_sha256", "")),
        "uri": np.array(rows[0]["uri"]),
        "frame_index": np.array([row["frame_index"] or 0 for row in rows]),
    }
