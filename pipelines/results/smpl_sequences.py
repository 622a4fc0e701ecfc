"""SMPL parameters of one person in time as npz, in the layout of AMASS and of Blender's add-ons."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hierprob3d.model.estimate.reconstruction import samples_of_rows
from hierprob3d.model.rotation.rotations import rotmat_to_rotvec, unitquat_to_rotmat

from .person_sequences import PersonSequence, RowDict
from .picture_places import Places

NUM_SMPLH_BODY_JOINTS = 22


def sequence_npz(
    sequence: PersonSequence,
    rows: Sequence[RowDict],
    places: Places,
    num_joints: int,
    num_samples: int,
    metadata: dict[str, str],
) -> bytes:
    """An npz file with poses (N, 3 * num_joints), betas (10,), trans (N, 3) and what AMASS adds.

    Args:
        sequence: N bodies of one person.
        rows: the rows of people/ that it was made of, in order.
        places: where people stand.
        num_joints: 24 writes SMPL's joints, 52 SMPL-H's with the hands at rest.
        num_samples: K > 0 adds sample_poses (N, K, 3 * num_joints) and sample_betas (N, K, 10), of
            the row nearest in time.
        metadata: file metadata of the rows' part, for gender and body.
    """
    rotmats = unitquat_to_rotmat(torch.from_numpy(sequence.quats).float())
    nearest = sequence.times.nearest
    focal = np.array([places.focal_length(row) for row in rows])
    arrays: dict[str, Any] = {
        "poses": _poses(rotmats, num_joints),
        "betas": sequence.betas,
        "trans": sequence.places.astype(np.float32),
        "mocap_framerate": np.array(sequence.rate),
        "focal_length_px": focal[nearest],
    }
    if num_samples:
        samples = samples_of_rows(rows, num_samples)
        drawn = torch.cat([samples.global_rotmat[:, :, None], samples.pose], dim=2)
        arrays["sample_poses"] = _poses(drawn, num_joints)[nearest]
        arrays["sample_betas"] = samples.betas.numpy()[nearest]
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays, **_identity(sequence, rows, metadata))
    return buffer.getvalue()


def _poses(rotmats: Tensor, num_joints: int) -> np.ndarray:
    """Rotation vectors (..., 3 * num_joints) of rotations (..., 24, 3, 3), the pelvis first."""
    rotvecs = rotmat_to_rotvec(rotmats)
    if num_joints != rotvecs.shape[-2]:
        # SMPL-H has no two joints for whole hands; its 30 finger joints stay at rest.
        rotvecs = rotvecs[..., :NUM_SMPLH_BODY_JOINTS, :]
        padding = num_joints - NUM_SMPLH_BODY_JOINTS
        rotvecs = functional.pad(rotvecs, (0, 0, 0, padding))
    return rotvecs.flatten(-2).numpy()


def _identity(
    sequence: PersonSequence, rows: Sequence[RowDict], metadata: dict[str, str]
) -> dict[str, Any]:
    """Where a sequence comes from; no AMASS reader minds further keys."""
    frames = np.array([row["frame_index"] or 0 for row in rows])
    is_seen = sequence.times.is_row
    return {
        "gender": np.array(metadata.get("body_gender", "neutral")),
        "body_family": np.array(metadata.get("body_family", "")),
        "body_sha256": np.array(metadata.get("body_sha256", "")),
        "uri": np.array(rows[0]["uri"]),
        "frame_index": np.where(is_seen, frames[sequence.times.before], -1),
        "is_seen": is_seen,
    }
