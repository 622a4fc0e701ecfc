"""3DPW as `preprocess-3dpw` and the paper's code leave it: crops, labels and a keypoint file."""

from __future__ import annotations

import io

import cv2
import numpy as np

from hierprob3d.configs.evaluation import DatasetRules
from hierprob3d.model.body.skeleton import NUM_KEYPOINTS
from hierprob3d.model.files.file_errors import one_line_errors
from hierprob3d.model.files.inner_paths import path_below
from hierprob3d.model.files.npz_files import ArrayFileError, array_of_npy
from hierprob3d.model.picture.proxy import PROXY_SIZE
from hierprob3d.transforms.inputs.picture_files import read_picture
from hierprob3d.transforms.inputs.uris import absolute, open_uri

from .eval_item import EvalItem
from .labels import (
    MAX_MEGAPIXELS,
    BadLabel,
    VisibilityRule,
    check_row_shapes,
    checked_item,
    exists,
    load_arrays,
    row_id,
    texts,
)

CROPS = "cropped_frames"


def labels_name(split: str) -> str:
    """File of the labels of a split."""
    return f"3dpw_{split}.npz"


def keypoints_name(estimator: str) -> str:
    """File of the keypoints that an estimator found in the crops, (rows, 17, 3)."""
    return f"{estimator}_results_centred.npy"


class Pw3dDataset:
    """Rows of a preprocessed 3DPW folder.

    Args:
        folder: with 3dpw_<split>.npz, cropped_frames/ and the keypoint file, or with a sub-folder
            named after the split that holds them; any fsspec path.
        split: train, validation or test.
        keypoints: who made the keypoint file: hrnet or movenet.
        rules: of the dataset.
        visibility: which keypoints are drawn.

    Raises:
        FileNotFoundError: labels or keypoints are not there.
        ValueError: they cannot be read, or disagree on the number of rows.
    """

    def __init__(
        self,
        folder: str,
        split: str,
        keypoints: str,
        rules: DatasetRules,
        visibility: VisibilityRule,
    ) -> None:
        self.folder = find_folder(folder, split)
        self.split, self.rules, self.visibility = split, rules, visibility
        path = f"{self.folder}/{labels_name(split)}"
        labels = load_arrays(path, ("imgname", "pose", "shape", "gender"))
        self._names, self._genders = texts(labels["imgname"]), texts(labels["gender"])
        self._pose, self._betas = labels["pose"], labels["shape"]
        self._keypoints = load_keypoints(f"{self.folder}/{keypoints_name(keypoints)}")
        check_row_shapes(
            path, {"pose": self._pose, "betas": self._betas, "keypoints": self._keypoints}
        )
        if len(self._keypoints) != len(self._names):
            raise ValueError(
                f"{keypoints_name(keypoints)} has {len(self._keypoints)} rows and "
                f"{labels_name(split)} {len(self._names)}: they are not of the same preprocessing."
            )

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        """File name of a row's crop."""
        return self._names[index]

    def load(self, index: int) -> EvalItem:
        """A row; see `EvalDataset.load`."""
        name = self.name(index)
        image = read_picture(path_below(f"{self.folder}/{CROPS}", name), MAX_MEGAPIXELS).image
        height, width = image.shape[:2]
        if height != width:
            raise BadLabel(f"the crop has {width} x {height} px; crops are square")
        scale = np.array([PROXY_SIZE / width, PROXY_SIZE / height, 1.0])
        return checked_item(
            self.rules,
            self.visibility,
            item_id=row_id(self.rules.name, self.split, name),
            image=cv2.resize(image, (PROXY_SIZE, PROXY_SIZE), interpolation=cv2.INTER_LINEAR),
            keypoints=self._keypoints[index] * scale,
            pose=self._pose[index],
            betas=self._betas[index],
            gender=self._genders[index],
        )


def find_folder(folder: str, split: str) -> str:
    """Where the labels of a split lie: the folder itself, or its sub-folder of that name."""
    folder = absolute(folder).rstrip("/")
    for candidate in (folder, f"{folder}/{split}"):
        if exists(f"{candidate}/{labels_name(split)}"):
            return candidate
    raise FileNotFoundError(
        f"{folder} has no {labels_name(split)}; make it with `hierprob3d preprocess-3dpw`."
    )


def load_keypoints(path: str) -> np.ndarray:
    """(rows, 17, 3) keypoints of the crops.

    Raises:
        FileNotFoundError: no such file; the message says how to make it.
        ArrayFileError: not a .npy of that shape.
    """
    if not exists(path):
        raise FileNotFoundError(
            f"the keypoints {path} do not exist; make them with `hierprob3d preprocess-3dpw "
            "--keypoints hrnet` or take the file that the paper's authors offer."
        )
    with (
        one_line_errors(ArrayFileError, f"the keypoints {path}", "cannot be read"),
        open_uri(absolute(path)) as file,
    ):
        data = file.read()
        keypoints = array_of_npy(io.BytesIO(data), len(data))
    if keypoints.ndim != 3 or keypoints.shape[1:] != (NUM_KEYPOINTS, 3):
        raise ArrayFileError(f"{path} has shape {keypoints.shape}, not (rows, {NUM_KEYPOINTS}, 3).")
    return keypoints
