"""Body model files: where they lie, what they must hold, and how they are read."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

from hierprob3d.model.files.bundled import ASSETS
from hierprob3d.model.files.file_errors import one_line_errors
from hierprob3d.model.files.npz_files import arrays_of_npz, read_array
from hierprob3d.model.files.safe_pickle import PickleError, UnreadableChumpy, load_pickle

from .skeleton import NUM_BETAS, NUM_BODY_JOINTS, NUM_JOINTS, NUM_KEYPOINTS, PARENTS

GENDERS = ("neutral", "male", "female")
OPENBODY_FOLDER = ASSETS / "openbody"
FAMILY_BY_NUM_VERTICES = {6890: "smpl", 6880: "openbody"}
H36M_REGRESSOR = "J_regressor_h36m.npy"
COCO_REGRESSOR = "J_regressor_coco.npy"

_NUM_POSE_DIRECTIONS = 9 * NUM_BODY_JOINTS
_STAR_POSE_DIRECTIONS = 93
_OTHER_BODIES = {10475: "SMPL-X", 5023: "FLAME", 778: "MANO"}
"""By the number of vertices."""

_SMPLH_JOINTS = 52
_FOLDER_BELOW = "smpl"
"""Where smplx keeps SMPL below `body_models/`."""

_SUFFIXES = (".pkl", ".npz")
_LETTER = {"neutral": "neutral", "male": "m", "female": "f"}


class BodyFileError(ValueError):
    """A file that is no body model of ours; the message names it and says why."""


@dataclass(frozen=True, kw_only=True)
class BodyData:
    """The arrays of one body model file, checked and in float64."""

    path: Path
    """The file."""
    gender: str
    """neutral, male or female."""
    family: str
    """smpl or openbody: bodies of one family share vertices, betas and regressors."""
    v_template: np.ndarray
    """(V, 3) mean body in T-pose, metres."""
    faces: np.ndarray
    """(F, 3) int64 vertex numbers."""
    shapedirs: np.ndarray
    """(V, 3, 10) metres per unit of each beta."""
    posedirs: np.ndarray
    """(V, 3, 207) metres per entry of the 23 rotations minus identity."""
    joint_regressor: np.ndarray
    """(24, V) joints from shaped vertices."""
    weights: np.ndarray
    """(V, 24) skinning weights."""
    vertex_parts: np.ndarray | None
    """(V,) uint8 DensePose-like part 1..24, where the file has them."""
    face_parts: np.ndarray | None
    """(F,) uint8 part of each face, where the file has them."""
    coco_regressor: np.ndarray | None
    """(17, V) COCO keypoints from posed vertices; None for SMPL, see `model.body.mesh_body`."""
    h36m_regressor: np.ndarray | None
    """(17, V) Human3.6M joints from posed vertices; None where no such file lies beside."""

    def sha256(self) -> str:
        """SHA-256 of the file, hexadecimal."""
        with open(self.path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def read_body(path: str | os.PathLike[str], gender: str) -> BodyData:
    """The checked arrays of a body model; arguments and errors as `body.mesh_body.load_body`."""
    file, gender = find_body_file(path, gender)
    with one_line_errors(BodyFileError, file, "cannot be used as a body model"):
        return _read_body(file, gender)


def _read_body(file: Path, gender: str) -> BodyData:
    arrays = _read_arrays(file)
    v_template = _take(arrays, "v_template", (None, 3), file)
    num_vertices = len(v_template)
    other = _other_body(arrays, num_vertices)
    if other is not None:
        raise BodyFileError(f"{file} is {other}, another body: SMPL's own file is needed.")
    if num_vertices not in FAMILY_BY_NUM_VERTICES:
        raise BodyFileError(f"{file} has {num_vertices} vertices; SMPL has 6890 and OpenBody 6880.")
    family = FAMILY_BY_NUM_VERTICES[num_vertices]
    regressor_folders = (OPENBODY_FOLDER,) if family == "openbody" else _folders_beside(file)
    coco = find_regressor(COCO_REGRESSOR, regressor_folders, num_vertices)
    return BodyData(
        path=file,
        gender=gender,
        family=family,
        v_template=v_template,
        faces=_take_faces(arrays, num_vertices, file),
        shapedirs=_take_shapedirs(arrays, num_vertices, file),
        posedirs=_take(arrays, "posedirs", (num_vertices, 3, _NUM_POSE_DIRECTIONS), file),
        joint_regressor=_take(arrays, "J_regressor", (NUM_JOINTS, num_vertices), file),
        weights=_take_weights(arrays, num_vertices, file),
        vertex_parts=_take_parts(arrays, "part_v", file),
        face_parts=_take_parts(arrays, "part_f", file),
        coco_regressor=coco if family == "openbody" else None,
        h36m_regressor=find_regressor(H36M_REGRESSOR, regressor_folders, num_vertices),
    )


def find_body_file(path: str | os.PathLike[str], gender: str) -> tuple[Path, str]:
    """The file and gender meant by `load_body(path, gender)`."""
    if gender not in GENDERS:
        raise ValueError(f"Unknown gender {gender!r}: use neutral, male or female.")
    if os.fspath(path) == "open":
        return OPENBODY_FOLDER / f"open_body_{gender}.npz", gender
    path = Path(path)
    if path.is_dir():
        return _find_in_folder(path, gender), gender
    if not path.exists():
        raise FileNotFoundError(f"The body model {path} does not exist.")
    if not path.is_file():  # a pipe may never end
        raise BodyFileError(f"The body model {path} is not a regular file.")
    named = _gender_of_name(path.name)
    if named is not None and gender not in ("neutral", named):
        raise ValueError(f"{path} is the {named} body, but the {gender} one was asked for.")
    return path, named or gender


def find_regressor(name: str, folders: tuple[Path, ...], num_vertices: int) -> np.ndarray | None:
    """The (17, V) regressor of that name in the first folder that has it, or None."""
    path = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if path is None:
        return None
    regressor = read_array(path)
    if regressor.shape != (NUM_KEYPOINTS, num_vertices) or regressor.dtype.kind not in "fiu":
        raise BodyFileError(
            f"{path} holds {regressor.dtype} of shape {regressor.shape}; this body needs numbers "
            f"of shape {(NUM_KEYPOINTS, num_vertices)}."
        )
    return regressor.astype(np.float64)


def _folders_beside(file: Path) -> tuple[Path, ...]:
    """Where the paper's code keeps regressors: beside the body file or one folder up."""
    folder = file.resolve().parent
    return folder, folder.parent


def _name_patterns(gender: str) -> tuple[str, ...]:
    """Lower-case stems under which a gender's file is published."""
    return (
        f"smpl_{gender}",
        f"basicmodel_{_LETTER[gender]}_lbs_10_207_0_v1.?.?",
        f"open_body_{gender}",
    )


def _gender_of_name(name: str) -> str | None:
    """The gender that a published file name states, None for other names."""
    stem = name.lower().removesuffix(".pkl").removesuffix(".npz")
    return next(
        (g for g in GENDERS if any(fnmatch(stem, pattern) for pattern in _name_patterns(g))), None
    )


def _find_in_folder(folder: Path, gender: str) -> Path:
    """The gender's file in a folder, or in its folder `smpl`.

    SMPL_MALE.pkl comes before basicmodel_m_..., pkl before npz.
    """
    for place in (folder, folder / _FOLDER_BELOW):
        files = (
            {file.name.lower(): file for file in sorted(place.iterdir())} if place.is_dir() else {}
        )
        for pattern in _name_patterns(gender):
            for suffix in _SUFFIXES:
                found = [file for name, file in files.items() if fnmatch(name, pattern + suffix)]
                if found:
                    return found[-1]
    raise FileNotFoundError(
        f"{folder} holds no {gender} body model: put SMPL_{gender.upper()}.pkl there "
        f"(or basicmodel_{_LETTER[gender]}_lbs_10_207_0_v1.1.0.pkl; .npz works too)."
    )


def _read_arrays(file: Path) -> dict[str, Any]:
    """The dictionary of arrays in a .npz or pickle file."""
    if _begins_as_zip(file):
        return _read_npz(file)
    try:
        arrays = load_pickle(file)
    except PickleError as error:
        raise BodyFileError(str(error)) from error
    if not isinstance(arrays, dict):
        raise BodyFileError(f"{file} holds a {type(arrays).__name__}, not a body model's arrays.")
    return arrays


def _begins_as_zip(file: Path) -> bool:
    with open(file, "rb") as opened:
        return opened.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC


def _read_npz(file: Path) -> dict[str, Any]:
    with (
        one_line_errors(BodyFileError, file, "is truncated or damaged", "; fetch it again"),
        open(file, "rb") as opened,
    ):
        return arrays_of_npz(opened, _WANTED, with_objects=True)


def _other_body(arrays: dict[str, Any], num_vertices: int) -> str | None:
    """Name of a relative of SMPL's that somebody gave by mistake."""
    if num_vertices in _OTHER_BODIES:
        return _OTHER_BODIES[num_vertices]
    if _SMPLH_JOINTS in _shape(arrays, "kintree_table"):
        return "SMPL-H"
    is_star = _shape(arrays, "posedirs")[-1:] == (_STAR_POSE_DIRECTIONS,)
    return "STAR" if is_star and num_vertices in FAMILY_BY_NUM_VERTICES else None


def _shape(arrays: dict[str, Any], key: str) -> tuple[int, ...]:
    return tuple(getattr(arrays.get(key), "shape", ()))


_ZIP_MAGIC = b"PK\x03\x04"
_WANTED = (
    "v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table",
    "part_v", "part_f",
)  # fmt: skip


def _take(
    arrays: dict[str, Any], key: str, shape: tuple[int | None, ...], file: Path
) -> np.ndarray:
    """The named array in float64; None in `shape` stands for any size."""
    if key not in arrays:
        raise BodyFileError(f"{file} is not a body model in SMPL's layout: it has no {key}.")
    value = arrays[key]
    if isinstance(value, UnreadableChumpy):
        raise BodyFileError(
            f"{file}: {key} is an expression of chumpy ({value.kind}), not its numbers; save the "
            "file again with numpy arrays in it."
        )
    is_sparse = hasattr(value, "toarray")  # a matrix of scipy, not imported where there is none
    if not (isinstance(value, np.ndarray) or is_sparse):
        value = np.asarray(value, np.float64)
    fits = len(value.shape) == len(shape) and all(
        want in (None, have) for want, have in zip(shape, value.shape, strict=True)
    )
    if fits and is_sparse:  # not before: its shape costs nothing, its zeros do
        value = value.toarray()
    if not fits or value.dtype.kind not in "fiu" or not np.isfinite(value).all():
        wanted = " x ".join("V" if size is None else str(size) for size in shape)
        raise BodyFileError(
            f"{file}: {key} must hold {wanted} finite numbers, "
            f"it is {value.dtype} of shape {value.shape}."
        )
    return value.astype(np.float64)


def _take_faces(arrays: dict[str, Any], num_vertices: int, file: Path) -> np.ndarray:
    faces = _take(arrays, "f", (None, 3), file).astype(np.int64)
    if faces.min(initial=0) < 0 or faces.max(initial=0) >= num_vertices:
        raise BodyFileError(f"{file}: f names vertices that the body does not have.")
    return faces


def _take_shapedirs(arrays: dict[str, Any], num_vertices: int, file: Path) -> np.ndarray:
    """The first 10 shape directions; newer SMPL files hold 300."""
    shapedirs = _take(arrays, "shapedirs", (num_vertices, 3, None), file)
    if shapedirs.shape[2] < NUM_BETAS:
        raise BodyFileError(f"{file} has {shapedirs.shape[2]} shape directions; 10 are needed.")
    return np.ascontiguousarray(shapedirs[:, :, :NUM_BETAS])


def _take_weights(arrays: dict[str, Any], num_vertices: int, file: Path) -> np.ndarray:
    """Skinning weights, after checking that they belong to SMPL's kinematic tree."""
    parents = _take(arrays, "kintree_table", (2, NUM_JOINTS), file)[0, 1:]
    if tuple(parents.astype(np.int64)) != PARENTS[1:]:
        raise BodyFileError(f"{file}: kintree_table is not the tree of SMPL's 24 joints.")
    return _take(arrays, "weights", (num_vertices, NUM_JOINTS), file)


def _take_parts(arrays: dict[str, Any], key: str, file: Path) -> np.ndarray | None:
    return _take(arrays, key, (None,), file).astype(np.uint8) if key in arrays else None
