"""What the datasets of an evaluation have in common: label files, names and checks."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from hierprob3d.configs.evaluation import DatasetRules
from hierprob3d.model.body.skeleton import NUM_BETAS, NUM_JOINTS, NUM_KEYPOINTS
from hierprob3d.model.files.file_errors import one_line_errors
from hierprob3d.model.files.npz_files import ArrayFileError, arrays_of_npz, names_in_npz
from hierprob3d.model.picture.proxy import visible_mask
from hierprob3d.transforms.inputs.uris import absolute, filesystem, open_uri

from .eval_item import EvalItem

MAX_MEGAPIXELS = 100.0

LABEL_SHAPES = {
    "pose": (3 * NUM_JOINTS,),
    "betas": (NUM_BETAS,),
    "keypoints": (NUM_KEYPOINTS, 3),
    "box centres": (2,),
    "box sides": (),
}


class BadLabel(ValueError):
    """A label that cannot be evaluated; the message says which."""


class EvalDataset(Protocol):
    """Persons with true bodies, by row."""

    def __len__(self) -> int:
        """Number of rows."""
        ...

    def name(self, index: int) -> str:
        """Name of a row's picture, unique in the dataset."""
        ...

    def load(self, index: int) -> EvalItem:
        """A row, read and checked; BadLabel, UnreadablePicture or OSError where it cannot be."""
        ...


@dataclass(frozen=True)
class VisibilityRule:
    """Which given keypoints enter the network."""

    threshold: float | None
    """Confidence that must be exceeded; None = all keypoints are visible."""

    always: tuple[int, ...]
    """Keypoints that are drawn whatever their confidence."""


def row_id(dataset: str, split: str, name: str) -> str:
    """Identity of a row: the same wherever the dataset lies."""
    text = f"{dataset}/{split}/{name}".encode()
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()


def exists(path: str) -> bool:
    """Whether there is a file or folder of that path, on any file system."""
    fs, inner = filesystem(absolute(path))
    return bool(fs.exists(inner))


def load_arrays(
    path: str, names: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """The named arrays of an .npz, and those of the optional ones that it has, all of one length.

    Raises:
        FileNotFoundError: no such file.
        ArrayFileError: not an .npz, an array missing, pickled objects, or lengths that differ.
    """
    try:
        with (
            one_line_errors(ArrayFileError, f"the labels {path}", "cannot be read"),
            open_uri(absolute(path)) as file,
        ):
            arrays = _arrays(io.BytesIO(file.read()), names, optional)
    except FileNotFoundError:
        raise FileNotFoundError(f"the labels {path} do not exist.") from None
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ArrayFileError(f"the labels {path} disagree on the number of rows: {said}.")
    return arrays


def _arrays(
    file: io.BytesIO, names: Sequence[str], optional: Sequence[str]
) -> dict[str, np.ndarray]:
    stored = names_in_npz(file)
    missing = [name for name in names if name not in stored]
    if missing:
        raise ValueError(f"it has no array '{missing[0]}', only {', '.join(stored)}")
    arrays = arrays_of_npz(file, [*names, *(name for name in optional if name in stored)])
    single = [name for name, array in arrays.items() if not array.ndim]
    if single:
        raise ValueError(f"its array '{single[0]}' has no rows")
    return arrays


def check_row_shapes(path: str, arrays: dict[str, np.ndarray]) -> None:
    """ArrayFileError where an array has rows of another shape than `LABEL_SHAPES` says."""
    for name, shape in LABEL_SHAPES.items():
        if name not in arrays:
            continue
        if arrays[name].shape[1:] != shape:
            raise ArrayFileError(
                f"{path}: {name} has rows of {arrays[name].shape[1:]}, not {shape}."
            )
        if arrays[name].dtype.kind not in "fiu":
            raise ArrayFileError(f"{path}: {name} holds {arrays[name].dtype}, not numbers.")


def texts(names: np.ndarray) -> list[str]:
    """The texts of an array; bytes, as python 2 wrote them, are taken as UTF-8."""
    found = (bytes(n).decode(errors="replace") if isinstance(n, bytes) else str(n) for n in names)
    return [name.encode(errors="replace").decode() for name in found]


def checked_item(
    rules: DatasetRules,
    visibility: VisibilityRule,
    *,
    item_id: str,
    image: np.ndarray,
    keypoints: np.ndarray,
    pose: np.ndarray,
    betas: np.ndarray,
    gender: str,
    silhouette: np.ndarray | None = None,
) -> EvalItem:
    """The item of a row whose labels are sound.

    Args:
        rules: of the dataset.
        visibility: which keypoints are drawn.
        item_id: see `row_id`.
        image: (256, 256, 3) uint8 RGB.
        keypoints: (17, 3) x, y in px of the crop, confidence.
        pose: (72,).
        betas: (10,).
        gender: the dataset's word for it.
        silhouette: (256, 256) bool.

    Raises:
        BadLabel: a number is not finite, or the gender is unknown.
    """
    for name, values in (("pose", pose), ("shape", betas), ("keypoints", keypoints)):
        if not np.isfinite(values).all():
            raise BadLabel(f"the {name} label holds NaN or infinity")
    known = dict(rules.genders)
    if gender not in known:
        raise BadLabel(f"gender {gender!r}: {rules.name} has {', '.join(known)}")
    confident, drawn = visibility_of(keypoints[:, 2], visibility)
    return EvalItem(
        item_id=item_id,
        image=image,
        joints2d=keypoints[:, :2].astype(np.float64),
        drawn=drawn,
        confident=confident,
        pose=pose.astype(np.float32),
        betas=betas.astype(np.float32),
        gender=known[gender],
        silhouette=silhouette,
    )


def crop_keypoints(keypoints: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(17, 3) keypoints with positions moved into the crop by a (2, 3) map."""
    homogeneous = np.concatenate([keypoints[:, :2], np.ones((len(keypoints), 1))], axis=1)
    moved = np.einsum("ij,kj->ki", matrix, homogeneous)
    return np.concatenate([moved, keypoints[:, 2:]], axis=1)


def visibility_of(confidence: np.ndarray, rule: VisibilityRule) -> tuple[np.ndarray, np.ndarray]:
    """(17,) bool each: above the threshold, and drawn into the network's input."""
    if rule.threshold is None:
        everything = np.ones(len(confidence), bool)
        return everything, everything
    drawn = visible_mask(torch.from_numpy(confidence), rule.threshold, rule.always).numpy()
    return confidence > rule.threshold, drawn
