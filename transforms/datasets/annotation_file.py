"""The field's common annotation file: an .npz with imgname, center, scale and what truth it has.

SPIN defined it, and EFT, PARE, CLIFF, HMR 2.0 and others publish their labels so. What the fields
mean is in docs/evaluate_npz.md; the order of the joints is that of SPIN's constants.py.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from hierprob3d.configs.evaluation import DatasetRules
from hierprob3d.model.body.skeleton import NUM_BETAS, NUM_JOINTS, NUM_KEYPOINTS
from hierprob3d.model.files.inner_paths import path_below
from hierprob3d.model.files.npz_files import ArrayFileError
from hierprob3d.model.people.keypoint_estimators import KeypointEstimator
from hierprob3d.model.people.person_detectors import Detections
from hierprob3d.model.picture.crops import BOX_SCALE_FACTOR, opencv_matrix
from hierprob3d.model.picture.fixed_point_warp import warp_fixed_point
from hierprob3d.model.picture.proxy import PROXY_SIZE
from hierprob3d.transforms.inputs.picture_files import read_picture
from hierprob3d.transforms.inputs.uris import absolute

from .eval_item import EvalItem
from .labels import (
    MAX_MEGAPIXELS,
    BadLabel,
    VisibilityRule,
    crop_keypoints,
    load_arrays,
    row_id,
    texts,
    visibility_of,
)

PIXELS_PER_SCALE = 200.0
"""`scale` 1 is a square of this side."""

_NEEDED = ("imgname", "center", "scale")
_SHAPES = {
    "center": (2,), "pose": (3 * NUM_JOINTS,), "shape": (NUM_BETAS,), "S": (24, 4),
    "part": (24, 3), "openpose": (25, 3), "has_smpl": (), "gender": (),
}  # fmt: skip
_OPTIONAL = tuple(name for name in _SHAPES if name not in _NEEDED)

_HMR2 = {
    "body_pose": "pose", "betas": "shape", "has_body_pose": "has_smpl",
    "extra_keypoints_3d": "S", "extra_keypoints_2d": "part", "body_keypoints_2d": "openpose",
}  # fmt: skip
"""Fields of HMR 2.0's files, and what SPIN calls them."""

S_TO_14 = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 18)
"""SPIN's J24_TO_J14: the 14 joints of evaluation among those of `S`."""

_S_PELVIS = 14
PART_TO_COCO = (19, 20, 21, 22, 23, 9, 8, 10, 7, 11, 6, 3, 2, 4, 1, 5, 0)
_OPENPOSE_TO_COCO = (0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11)
_CROP = (PROXY_SIZE, PROXY_SIZE)
_GENDERS = {"m": "male", "f": "female", "n": "neutral"}


class AnnotationDataset:
    """Rows of an annotation file, with what is known of each.

    Args:
        path: of the .npz; any fsspec path.
        images: folder below which `imgname` lies.
        rules: of the dataset.
        visibility: which keypoints are drawn.
        estimator: finds the keypoints that the network is given; None takes those of the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or lacks what is needed.
    """

    def __init__(
        self,
        path: str,
        images: str,
        rules: DatasetRules,
        visibility: VisibilityRule,
        estimator: KeypointEstimator | None,
    ) -> None:
        self.rules, self.visibility = rules, visibility
        self._images, self._estimator = absolute(images), estimator
        self._labels = _in_spin_names(load_arrays(path, _NEEDED, (*_OPTIONAL, *_HMR2)))
        _check_shapes(path, self._labels)
        if estimator is None and not {"part", "openpose"} & set(self._labels):
            raise ValueError(
                f"the labels {path} hold no keypoints (openpose, part) for the network: give "
                "--keypoints movenet, or hrnet with --keypoint-weights."
            )
        self._names = texts(self._labels.pop("imgname"))
        self._row_names = _numbered(self._names)
        self._genders = self._find_genders(path)
        self._has_body = self._find_bodies()

    @property
    def genders(self) -> set[str]:
        """Of the bodies that the truth needs."""
        return set(self._genders)

    @property
    def has_joint_truth(self) -> bool:
        """Whether joints (`S`) are the truth of some rows."""
        return "S" in self._labels and not bool(self._has_body.all())

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        """Name of a row's picture; of the second person of a picture with #person=1 after it."""
        return self._row_names[index]

    def load(self, index: int) -> EvalItem:
        """A row; see `EvalDataset.load`."""
        centre, side = self._box(index)
        image = read_picture(path_below(self._images, self._names[index]), MAX_MEGAPIXELS).image
        matrix = opencv_matrix(centre, (side, side), _CROP)
        keypoints = crop_keypoints(self._given_keypoints(index, image, centre, side), matrix)
        if not np.isfinite(keypoints).all():
            raise BadLabel("the keypoints hold NaN or infinity")
        confident, drawn = visibility_of(keypoints[:, 2], self.visibility)
        pose, betas = self._body(index)
        return EvalItem(
            item_id=row_id(self.rules.name, "", self.name(index)),
            image=warp_fixed_point(image, matrix, _CROP),
            joints2d=keypoints[:, :2].astype(np.float64),
            drawn=drawn,
            confident=confident,
            pose=pose,
            betas=betas,
            gender=self._genders[index],
            true_joints3d=None if self._has_body[index] else self._joints(index),
            true_joints2d=self._true_joints2d(index, matrix),
        )

    def _find_genders(self, path: str) -> list[str]:
        if "gender" not in self._labels:
            return ["neutral"] * len(self._names)
        words = texts(self._labels["gender"])
        unknown = {word for word in words if word[:1] not in _GENDERS}
        if unknown:
            raise ArrayFileError(
                f"{path}: gender {sorted(unknown)[0]!r}; known are m, f and n (neutral)."
            )
        return [_GENDERS[word[:1]] for word in words]

    def _find_bodies(self) -> np.ndarray:
        """(rows,) bool, whether both pose and shape are known."""
        known = np.full(len(self._names), {"pose", "shape"} <= set(self._labels))
        if "has_smpl" in self._labels:
            known &= self._labels["has_smpl"] != 0
        return known

    def _box(self, index: int) -> tuple[np.ndarray, float]:
        """Centre and side of the crop, px of the picture."""
        centre = self._labels["center"][index].astype(np.float64)
        side = float(np.max(self._labels["scale"][index])) * PIXELS_PER_SCALE
        if not (np.isfinite(centre).all() and np.isfinite(side) and side > 0):
            raise BadLabel("center and scale are not finite, or scale is not positive")
        return centre, side

    def _given_keypoints(
        self, index: int, image: np.ndarray, centre: np.ndarray, side: float
    ) -> np.ndarray:
        """(17, 3) keypoints for the network, px of the picture and confidence."""
        if self._estimator is None:
            return self._stored_keypoints(index, ("openpose", "part"))
        half = side / BOX_SCALE_FACTOR / 2
        box = np.concatenate([centre - half, centre + half])[None].astype(np.float32)
        found = self._estimator.estimate(image, Detections(box, np.ones(1, np.float32)))
        return found.keypoints[0].astype(np.float64)

    def _stored_keypoints(self, index: int, fields: tuple[str, ...]) -> np.ndarray:
        """(17, 3) keypoints of the first of some fields that the file has."""
        order = {"part": PART_TO_COCO, "openpose": _OPENPOSE_TO_COCO}
        for name in fields:
            if name in self._labels:
                return self._labels[name][index][list(order[name])].astype(np.float64)
        return np.zeros((NUM_KEYPOINTS, 3))

    def _true_joints2d(self, index: int, matrix: np.ndarray) -> np.ndarray:
        """(17, 2) keypoints of the labels in the crop, NaN where they are not known."""
        stored = crop_keypoints(self._stored_keypoints(index, ("part", "openpose")), matrix)
        return np.where(stored[:, 2:] > 0, stored[:, :2], np.nan)

    def _body(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """(72,) pose and (10,) shape, NaN where they are not known."""
        known = "has_smpl" not in self._labels or bool(self._labels["has_smpl"][index])
        found = []
        for name, size in (("pose", 3 * NUM_JOINTS), ("shape", NUM_BETAS)):
            if not known or name not in self._labels:
                found.append(np.full(size, np.nan, np.float32))
                continue
            found.append(self._labels[name][index].astype(np.float32))
            if not np.isfinite(found[-1]).all():
                raise BadLabel(f"the {name} label holds NaN or infinity")
        return found[0], found[1]

    def _joints(self, index: int) -> np.ndarray | None:
        """(14, 3) joints from the pelvis, metres, camera frame; NaN where they are not known."""
        if "S" not in self._labels:
            return None
        joints = self._labels["S"][index].astype(np.float64)
        known = (joints[:, 3:] > 0) & np.isfinite(joints).all(-1, keepdims=True)
        if not known[_S_PELVIS]:
            return None
        places = np.where(known, joints[:, :3] - joints[_S_PELVIS, :3], np.nan)
        return places[list(S_TO_14)].astype(np.float32)


def _in_spin_names(labels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The labels with HMR 2.0's fields under SPIN's names; its `scale` is in px."""
    if not set(_HMR2) & set(labels):
        return labels
    scale = labels["scale"].reshape(len(labels["scale"]), -1)
    named = {name: values for name, values in labels.items() if name not in _HMR2}
    named |= {_HMR2[name]: labels[name] for name in _HMR2 if name in labels}
    for name in ("S", "part"):  # the last five of the 24, the face, are not there
        if name in named and named[name].shape[1:2] == (19,):
            named[name] = np.pad(named[name], ((0, 0), (0, 5), (0, 0)))
    return named | {"scale": scale.max(-1) / PIXELS_PER_SCALE}


def _check_shapes(path: str, labels: dict[str, np.ndarray]) -> None:
    """ArrayFileError where a field has rows of another shape than it should, or no numbers."""
    scale = labels["scale"]
    if scale.ndim == 2 and scale.shape[1] <= 2:
        scale = scale[:, 0]
    for name, shape in (*_SHAPES.items(), ("scale", ())):
        if name not in labels:
            continue
        rows = scale if name == "scale" else labels[name]
        if rows.shape[1:] != shape:
            raise ArrayFileError(f"{path}: {name} has rows of {rows.shape[1:]}, not {shape}.")
        if name != "gender" and rows.dtype.kind not in "fiub":
            raise ArrayFileError(f"{path}: {name} holds {rows.dtype}, not numbers.")


def _numbered(names: list[str]) -> list[str]:
    """Names that are unique: the second row of a picture has #person=1, the third #person=2."""
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        unique.append(f"{name}#person={seen[name]}" if seen[name] else name)
        seen[name] += 1
    return unique
