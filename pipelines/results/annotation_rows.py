"""People of pictures as the field's annotation file; its fields are in docs/evaluate_npz.md."""

from __future__ import annotations

import io
import posixpath
from collections.abc import Sequence

import numpy as np
import torch

from hierprob3d.model.estimate.reconstruction import parameters_of_rows
from hierprob3d.model.picture.cameras import half_turn_x
from hierprob3d.model.rotation.rotations import rotmat_to_rotvec
from hierprob3d.transforms.datasets.annotation_file import PART_TO_COCO, PIXELS_PER_SCALE

from .person_sequences import RowDict

_NUM_PARTS = 24


def common_folder(uris: Sequence[str]) -> str:
    """The deepest folder that all pictures lie below; empty where there is none."""
    folders = [posixpath.dirname(uri).split("/") for uri in uris]
    shared = []
    for names in zip(*folders, strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return "/".join(shared)


def annotation_npz(
    rows: Sequence[RowDict], genders: Sequence[str], thresholds: Sequence[float], folder: str
) -> bytes:
    """An npz with imgname, center, scale, pose, shape, gender, has_smpl and part of P people.

    Args:
        rows: P rows of people/, all of pictures.
        genders: of their body models.
        thresholds: of their keypoints' confidence: guesses below it are no labels, and get 0.
        folder: below which the pictures lie.
    """
    people = parameters_of_rows(rows)
    # The camera frame of the labels is the body frame turned by pi about x.
    pelvis = half_turn_x(people.global_rotmat.mT).mT
    rotmats = torch.cat([pelvis[:, None], people.pose_mode], dim=1)
    keypoints = np.array([row["keypoints"] for row in rows], np.float32).reshape(-1, 17, 3)
    keypoints[keypoints[..., 2] <= np.array(thresholds, np.float32)[:, None]] = 0
    part = np.zeros((len(rows), _NUM_PARTS, 3), np.float32)
    part[:, list(PART_TO_COCO)] = keypoints
    crop = people.crop.numpy()
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        imgname=np.array([row["uri"][len(folder) :].lstrip("/") for row in rows]),
        center=crop[:, :2],
        scale=crop[:, 2] / PIXELS_PER_SCALE,
        pose=rotmat_to_rotvec(rotmats).flatten(1).numpy(),
        shape=people.shape_mean.numpy(),
        gender=np.array([gender[:1] for gender in genders]),
        has_smpl=np.ones(len(rows), np.uint8),
        part=part,
    )
    return buffer.getvalue()
