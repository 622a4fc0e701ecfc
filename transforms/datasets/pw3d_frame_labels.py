"""Boxes, poses and crops that come of 3DPW's sequences, as the paper's label file has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.body.skeleton import NUM_JOINTS
from hierprob3d.model.picture.cameras import project_perspective
from hierprob3d.model.picture.crops import BOX_SCALE_FACTOR, solved_opencv_matrix
from hierprob3d.model.picture.fixed_point_warp import warp_fixed_point
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat

from .pw3d_sequences import BadSequence, PersonTrack, Pw3dSequence

CROP_SIZE = 512

_FRAMES_AT_ONCE = 32
"""Always so many, the last ones repeated: in float32 the last bit of a matrix product may depend on
how many rows it has, and a resumed run must give the rows of an undisturbed one."""


@dataclass(frozen=True, kw_only=True)
class FrameLabels:
    """Labels of n frames of one person, as the paper's label file has them."""

    pose: np.ndarray
    """(n, 72) float32, pelvis rotation in the camera frame."""
    centre: np.ndarray
    """(n, 2) float32 x, y of the box about the projected mesh, px."""
    side: np.ndarray
    """(n,) float32 longer side of that box, px."""
    box: np.ndarray
    """(n, 4) float32 x0 y0 x1 y1 of the projected mesh, px."""


@torch.inference_mode()
def label_frames(
    sequence: Pw3dSequence, person: int, frames: Sequence[int], body: Body
) -> FrameLabels:
    """Boxes and camera-frame poses of some frames of a person.

    The box is that of the body's projected vertices, in float32 as the paper's code has it.

    Args:
        sequence: the sequence.
        person: which of its people.
        frames: which frames.
        body: model of the person's gender.
    """
    track = sequence.people[person]
    frames = list(frames)
    pose = track.pose[frames].astype(np.float32)
    rotation = sequence.extrinsics[frames, :3, :3].astype(np.float32)
    boxes = [
        _boxes(sequence, track, frames[start : start + _FRAMES_AT_ONCE], body)
        for start in range(0, len(frames), _FRAMES_AT_ONCE)
    ]
    box = np.concatenate([np.empty((0, 4), np.float32), *boxes])
    pose[:, :3] = [
        _turned(row[:3], camera) for row, camera in zip(pose, rotation, strict=True)
    ] or pose[:, :3]
    centre = (box[:, 2:] + box[:, :2]) / 2
    return FrameLabels(pose=pose, centre=centre, side=(box[:, 2:] - box[:, :2]).max(1), box=box)


def crop_person(image: np.ndarray, centre: np.ndarray, side: float) -> np.ndarray:
    """(512, 512, 3) crop of a picture about a person, the box enlarged by 1.2.

    Raises:
        BadSequence: the box is not finite or has no size.
    """
    if not (np.isfinite(centre).all() and np.isfinite(side) and side > 0):
        raise BadSequence("the body's projection has no finite box: its pose or camera is broken")
    enlarged = side * BOX_SCALE_FACTOR
    matrix = solved_opencv_matrix(centre, (enlarged, enlarged), (CROP_SIZE, CROP_SIZE))
    return warp_fixed_point(image, matrix, (CROP_SIZE, CROP_SIZE))


def _boxes(
    sequence: Pw3dSequence, track: PersonTrack, frames: Sequence[int], body: Body
) -> np.ndarray:
    """(n, 4) float32 boxes of the projected meshes."""
    num = len(frames)
    frames = [*frames, *[frames[-1]] * (_FRAMES_AT_ONCE - num)]
    rotmats = rotvec_to_rotmat(_float32(track.pose[frames]).unflatten(-1, (NUM_JOINTS, 3)))
    shaped = body.shape(_float32(track.betas)[None].expand(len(frames), -1))
    vertices, _ = body.pose(shaped, rotmats[:, None, 1:], rotmats[:, 0])
    placed = vertices[:, 0] + _float32(track.translation[frames])[:, None]
    extrinsics = _float32(sequence.extrinsics[frames])
    pixels = project_perspective(
        placed, _float32(sequence.intrinsics), extrinsics[:, :3, 3], extrinsics[:, :3, :3]
    )
    return torch.cat([pixels.amin(1), pixels.amax(1)], -1)[:num].numpy()


def _turned(rotvec: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """(3,) float32 rotation vector after a camera rotation, by OpenCV as in the paper's labels."""
    return cv2.Rodrigues(np.dot(rotation, cv2.Rodrigues(rotvec)[0]))[0][:, 0]


def _float32(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(array, np.float32))
