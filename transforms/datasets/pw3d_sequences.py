"""3DPW's sequence files: people, poses and cameras, and the labels that come of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch

from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.body.skeleton import NUM_BETAS, NUM_JOINTS
from hierprob3d.model.files.inner_paths import MAX_NAME_BYTES, UnsafeName, file_name
from hierprob3d.model.files.safe_pickle import load_pickle
from hierprob3d.model.picture.cameras import project_perspective
from hierprob3d.model.picture.crops import BOX_SCALE_FACTOR, solved_opencv_matrix
from hierprob3d.model.picture.fixed_point_warp import warp_fixed_point
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.transforms.inputs.uris import open_uri

CROP_SIZE = 512
SPLITS = ("train", "validation", "test")
GENDERS = {"m": "male", "f": "female"}

_PER_PERSON = ("poses", "betas", "genders", "campose_valid", "trans")
_ROOM_IN_CROP_NAME = 55
"""Bytes of a crop's name that are not the sequence's, with room for a temporary one's prefix."""

_FRAMES_AT_ONCE = 32
"""Always so many, the last ones repeated: in float32 the last bit of a matrix product may depend on
how many rows it has, and a resumed run must give the rows of an undisturbed one."""


class BadSequence(ValueError):
    """A sequence file that cannot be used; the message says why."""


@dataclass(frozen=True, kw_only=True)
class PersonTrack:
    """One person of a sequence, T frames."""

    pose: np.ndarray
    """(T, 72) rotation vectors in the world frame, pelvis first."""

    betas: np.ndarray
    """(10,) float64 as in the file."""

    gender: str
    """As in the file: m or f."""

    valid: np.ndarray
    """(T,) bool, whether the camera is aligned to this person."""

    translation: np.ndarray
    """(T, 3) metres, world frame."""


@dataclass(frozen=True, kw_only=True)
class Pw3dSequence:
    """The contents of one sequence file."""

    name: str
    people: tuple[PersonTrack, ...]
    extrinsics: np.ndarray
    """(T, 4, 4) world to camera."""
    intrinsics: np.ndarray
    """(3, 3) pixels."""


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


def read_sequence(uri: str) -> Pw3dSequence:
    """The sequence of a python-2 pickle; nothing in it is executed.

    Raises:
        FileNotFoundError: no such file.
        BadSequence: unreadable, or arrays missing or at odds with each other.
    """
    try:
        with open_uri(uri) as file:
            data = load_pickle(file)
    except FileNotFoundError:
        raise
    except ValueError as error:
        raise BadSequence(f"{uri}: {error}") from error
    return sequence_of(data)


def sequence_of(data: dict[str, Any]) -> Pw3dSequence:
    """The checked sequence of a sequence file's dictionary."""
    missing = {*_PER_PERSON, "cam_poses", "cam_intrinsics", "sequence"} - set(data)
    if missing:
        raise BadSequence(f"the sequence file has no '{sorted(missing)[0]}'")
    lengths = {name: len(data[name]) for name in _PER_PERSON}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} {number}" for name, number in lengths.items())
        raise BadSequence(f"the sequence file disagrees on the number of people: {said}")
    columns = zip(*(data[name] for name in _PER_PERSON), strict=True)
    people = tuple(_person(*person) for person in columns)
    extrinsics = np.asarray(data["cam_poses"], np.float64)
    _check_shapes(people, extrinsics)
    return Pw3dSequence(
        name=_name(data["sequence"]),
        people=people,
        extrinsics=extrinsics,
        intrinsics=_shaped("cam_intrinsics", data["cam_intrinsics"], (3, 3)),
    )


def picture_name(frame: int) -> str:
    """File name of a frame below imageFiles/<sequence>/."""
    return f"image_{frame:05d}.jpg"


def crop_name(sequence: str, frame: int, person: int) -> str:
    """File name of a person's crop below cropped_frames/."""
    return f"{sequence}_image_{frame:05d}_person_{person:03d}.png"


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


def body_gender(track: PersonTrack) -> str:
    """Gender of a person's body model.

    Raises:
        BadSequence: neither m nor f. (The paper's code would take the previous person's body.)
    """
    if track.gender not in GENDERS:
        raise BadSequence(f"gender {track.gender!r}: 3DPW has m and f")
    return GENDERS[track.gender]


def _person(pose: Any, betas: Any, gender: Any, valid: Any, translation: Any) -> PersonTrack:
    return PersonTrack(
        pose=_shaped("poses", pose, (None, 3 * NUM_JOINTS)),
        betas=_shaped("betas", np.asarray(betas)[:NUM_BETAS], (NUM_BETAS,)),
        gender=str(gender),
        valid=np.asarray(valid).astype(bool),
        translation=_shaped("trans", translation, (None, 3)),
    )


def _name(name: Any) -> str:
    """The name of a sequence, which names a folder of pictures and begins the names of crops."""
    try:
        return file_name(name, MAX_NAME_BYTES - _ROOM_IN_CROP_NAME)
    except UnsafeName as error:
        raise BadSequence(f"'sequence': {error}") from error


def _shaped(name: str, values: Any, shape: tuple[int | None, ...]) -> np.ndarray:
    array = np.asarray(values)
    fits = array.ndim == len(shape) and all(
        wanted in (None, size) for wanted, size in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype.kind not in "fi":
        raise BadSequence(f"'{name}' has shape {array.shape} of {array.dtype}, not {shape}")
    return array


def _check_shapes(people: Sequence[PersonTrack], extrinsics: np.ndarray) -> None:
    lengths = {len(part) for p in people for part in (p.pose, p.valid, p.translation)}
    if extrinsics.ndim != 3 or extrinsics.shape[1:] != (4, 4):
        raise BadSequence(f"'cam_poses' has shape {extrinsics.shape}, not (frames, 4, 4)")
    if not people or lengths != {len(extrinsics)}:
        raise BadSequence("people and cameras disagree on the number of frames")


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
