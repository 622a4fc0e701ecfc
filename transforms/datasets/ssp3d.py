"""SSP-3D, and any dataset in its layout: labels.npz, images/ and silhouettes/."""

from __future__ import annotations

import numpy as np

from hierprob3d.configs.evaluation import DatasetRules
from hierprob3d.model.files.inner_paths import path_below
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
    check_row_shapes,
    checked_item,
    crop_keypoints,
    load_arrays,
    row_id,
    texts,
)

_ARRAYS = ("fnames", "shapes", "poses", "joints2D", "bbox_centres", "bbox_whs", "genders")
_CROP = (PROXY_SIZE, PROXY_SIZE)


class Ssp3dDataset:
    """Rows of a folder in SSP-3D's layout, cropped as the paper's evaluation does.

    Boxes are given as centre (vertical, horizontal) and side in the full picture; they are enlarged
    by 1.2. Keypoints are in the full picture, silhouettes of its size.

    Args:
        folder: with labels.npz, images/ and silhouettes/; any fsspec path.
        rules: of the dataset.
        visibility: which keypoints are drawn.
    """

    def __init__(self, folder: str, rules: DatasetRules, visibility: VisibilityRule) -> None:
        self.folder = absolute(folder)
        self.rules = rules
        self.visibility = visibility
        path = f"{self.folder}/labels.npz"
        labels = load_arrays(path, _ARRAYS)
        self._pose, self._betas, self._keypoints = (
            labels[name] for name in ("poses", "shapes", "joints2D")
        )
        rows = {"pose": self._pose, "betas": self._betas, "keypoints": self._keypoints}
        boxes = {"box centres": labels["bbox_centres"], "box sides": labels["bbox_whs"]}
        check_row_shapes(path, rows | boxes)
        self._names, self._genders = texts(labels["fnames"]), texts(labels["genders"])
        self._centres, self._sides = labels["bbox_centres"][:, ::-1], labels["bbox_whs"]

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        """File name of a row's picture."""
        return self._names[index]

    def load(self, index: int) -> EvalItem:
        """A row; see `EvalDataset.load`."""
        name = self.name(index)
        matrix = self._crop_matrix(index)
        image = read_picture(path_below(f"{self.folder}/images", name), MAX_MEGAPIXELS).image
        return checked_item(
            self.rules,
            self.visibility,
            item_id=row_id(self.rules.name, "", name),
            image=warp_fixed_point(image, matrix, _CROP),
            keypoints=crop_keypoints(self._keypoints[index], matrix),
            pose=self._pose[index],
            betas=self._betas[index],
            gender=self._genders[index],
            silhouette=self._silhouette(name, image.shape[:2], matrix),
        )

    def _crop_matrix(self, index: int) -> np.ndarray:
        """(2, 3) map from picture to crop."""
        side = self._sides[index] * BOX_SCALE_FACTOR
        if not (np.isfinite(self._centres[index]).all() and np.isfinite(side) and side > 0):
            raise BadLabel("the box label has no finite centre and positive side")
        return opencv_matrix(self._centres[index], (side, side), _CROP)

    def _silhouette(self, name: str, size: tuple[int, ...], matrix: np.ndarray) -> np.ndarray:
        """(256, 256) bool crop of a row's silhouette."""
        path = path_below(f"{self.folder}/silhouettes", name)
        mask = read_picture(path, MAX_MEGAPIXELS).image.max(-1)
        if mask.shape != size:
            raise BadLabel(
                f"the silhouette has {mask.shape[1]} x {mask.shape[0]} px, "
                f"the picture {size[1]} x {size[0]}"
            )
        return warp_fixed_point(mask, matrix, _CROP, nearest=True) != 0
