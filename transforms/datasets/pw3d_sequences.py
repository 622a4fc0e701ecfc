"""3DPW's sequence files: people, poses and cameras, and the labels that come of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import cv2
import numpy as np
import torch

from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.body.skeleton import NUM_BETAS, NUM_JOINTS
from hierprob3d.model.files.file_errors import one_line_errors
from hierprob3d.model.files.inner_paths import MAX_NAME_BYTES, UnsafeName, file_name
from hierprob3d.model.files.safe_pickle import PickleError, load_pickle
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

    def __init__(self, message: str, num_frames: int | None = None) -> None:
        super().__init__(message)
        self.num_frames = num_frames
        """How many labels are lost with it, where that is known."""


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

    def first(self, num_frames: int) -> PersonTrack:
        """The beginning of the track."""
        return replace(
            self,
            pose=self.pose[:num_frames],
            valid=self.valid[:num_frames],
            translation=self.translation[:num_frames],
        )


@dataclass(frozen=True, kw_only=True)
class Pw3dSequence:
    """The contents of one sequence file."""

    name: str
    people: tuple[PersonTrack, ...]
    extrinsics: np.ndarray
    """(T, 4, 4) world to camera."""
    intrinsics: np.ndarray
    """(3, 3) pixels."""
    warning: str | None = None
    """What to know of it, such as that some arrays are longer than others."""


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
    name = uri.rsplit("/", 1)[-1]
    with one_line_errors(BadSequence, name, "is no sequence of 3DPW"):
        with open_uri(uri) as file:
            data = _loaded(file, name)
        try:
            return sequence_of(data)
        except BadSequence as error:
            raise BadSequence(f"{name}: {error}", num_frames=_num_frames(data)) from error


def _loaded(file: BinaryIO, name: str) -> Any:
    try:
        return load_pickle(file, name=name)
    except PickleError as error:
        raise BadSequence(str(error)) from error


def sequence_of(data: Any) -> Pw3dSequence:
    """The checked sequence of a sequence file's dictionary; BadSequence where it is none.

    Frames are counted by their place, so where some arrays are longer than others, the frames are
    those that all of them have; but a pose that is flagged as valid must have what goes with it.
    """
    if not isinstance(data, dict):
        raise BadSequence(f"it holds a {type(data).__name__}, not a sequence of 3DPW")
    missing = {*_PER_PERSON, "cam_poses", "cam_intrinsics", "sequence"} - set(data)
    if missing:
        raise BadSequence(f"the sequence file has no '{sorted(missing)[0]}'")
    people = tuple(_person(*person) for person in zip(*_per_person(data), strict=True))
    extrinsics = _shaped("cam_poses", data["cam_poses"], (None, 4, 4)).astype(np.float64)
    num_frames, warning = _shared_frames(people, extrinsics)
    return Pw3dSequence(
        name=_name(data["sequence"]),
        people=tuple(person.first(num_frames) for person in people),
        extrinsics=extrinsics[:num_frames],
        intrinsics=_shaped("cam_intrinsics", data["cam_intrinsics"], (3, 3)),
        warning=warning,
    )


def frame_picture_name(frame: int) -> str:
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


def _per_person(data: dict[Any, Any]) -> list[Any]:
    """The lists that hold one entry for each person, checked to be of one length."""
    lists = [data[name] for name in _PER_PERSON]
    for name, values in zip(_PER_PERSON, lists, strict=True):
        if not _is_list(values):
            raise BadSequence(f"'{name}' is a {type(values).__name__}, not a list of people")
    lengths = {name: len(values) for name, values in zip(_PER_PERSON, lists, strict=True)}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} {number}" for name, number in lengths.items())
        raise BadSequence(f"the sequence file disagrees on the number of people: {said}")
    if not lengths["poses"]:
        raise BadSequence("the sequence file has no people")
    return lists


def _person(pose: Any, betas: Any, gender: Any, valid: Any, translation: Any) -> PersonTrack:
    shape = _numbers("betas", betas)
    if 1 in shape.shape[:2]:  # a column or a row
        shape = shape.reshape(-1)
    return PersonTrack(
        pose=_shaped("poses", pose, (None, 3 * NUM_JOINTS)),
        betas=_shaped("betas", shape[:NUM_BETAS], (NUM_BETAS,)),
        gender=gender if isinstance(gender, str) else type(gender).__name__,
        valid=_flags(valid),
        translation=_shaped("trans", translation, (None, 3)),
    )


def _shared_frames(people: Sequence[PersonTrack], extrinsics: np.ndarray) -> tuple[int, str | None]:
    """Number of frames that all arrays have, and a warning where some have more."""
    lengths = {"cam_poses": len(extrinsics)}
    for number, person in enumerate(people):
        arrays = {"poses": person.pose, "campose_valid": person.valid, "trans": person.translation}
        lengths |= {f"{name} of person {number}": len(array) for name, array in arrays.items()}
    num_frames = min(lengths.values())
    if not num_frames or any(p.valid[num_frames : len(p.pose)].any() for p in people):
        raise BadSequence(
            "people and cameras disagree on the number of frames: a valid pose has no camera or "
            "no translation"
        )
    longer = [f"{name} has {length}" for name, length in lengths.items() if length > num_frames]
    if not longer:
        return num_frames, None
    return num_frames, f"the first {num_frames} frames are used, as {', '.join(longer)}"


def _num_frames(data: Any) -> int | None:
    """How many labels a refused sequence would have had, as far as its flags or cameras tell."""
    if not isinstance(data, dict):
        return None
    try:
        return int(sum(_flags(valid).sum() for valid in data["campose_valid"]))
    except (BadSequence, LookupError, TypeError):
        cameras: Any = data.get("cam_poses")
        return len(cameras) if _is_list(cameras) else None


def _flags(valid: Any) -> np.ndarray:
    """(T,) bool, whether the camera is aligned."""
    flags = _shaped("campose_valid", valid, (None,))
    if not np.isfinite(flags).all():
        raise BadSequence("'campose_valid' holds something else than flags")
    return flags.astype(bool)


def _is_list(values: Any) -> bool:
    return isinstance(values, list | tuple) or (isinstance(values, np.ndarray) and values.ndim > 0)


def _name(name: Any) -> str:
    """The name of a sequence, which names a folder of pictures and begins the names of crops."""
    try:
        return file_name(name, MAX_NAME_BYTES - _ROOM_IN_CROP_NAME)
    except UnsafeName as error:
        raise BadSequence(f"'sequence': {error}") from error


def _numbers(name: str, values: Any) -> np.ndarray:
    """The values as an array of numbers; lists become float64, and never an array of texts."""
    if isinstance(values, np.ndarray):
        array = values
    else:
        try:
            array = np.asarray(values, np.float64)
        except (ValueError, TypeError, OverflowError):
            raise BadSequence(
                f"'{name}' is a {type(values).__name__} of something else than rows of numbers"
            ) from None
    if array.dtype.kind not in "fiub":
        raise BadSequence(f"'{name}' holds {array.dtype}, not numbers")
    return array


def _shaped(name: str, values: Any, shape: tuple[int | None, ...]) -> np.ndarray:
    array = _numbers(name, values)
    fits = array.ndim == len(shape) and all(
        wanted in (None, size) for wanted, size in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise BadSequence(f"'{name}' has shape {array.shape}, not {shape}")
    return array


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
