"""3DPW's sequence files: people, poses and cameras, read and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np

from hierprob3d.model.body.skeleton import NUM_BETAS, NUM_JOINTS
from hierprob3d.model.files.file_errors import one_line_errors
from hierprob3d.model.files.inner_paths import MAX_NAME_BYTES, UnsafeName, file_name
from hierprob3d.model.files.safe_pickle import PickleError, load_pickle
from hierprob3d.transforms.inputs.uris import open_uri

SPLITS = ("train", "validation", "test")
GENDERS = {"m": "male", "f": "female"}

_PER_PERSON = ("poses", "betas", "genders", "campose_valid", "trans")
_ROOM_IN_CROP_NAME = 55
"""Bytes of a crop's name that are not the sequence's, with room for a temporary one's prefix."""


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
