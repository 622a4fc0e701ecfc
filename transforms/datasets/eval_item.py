"""One person of a dataset, as an evaluation takes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class EvalItem:
    """One person of a dataset as the evaluation takes it."""

    item_id: str
    """Identity of the row, from the dataset's and the picture's name."""

    image: np.ndarray
    """(256, 256, 3) uint8 RGB crop around the person."""

    joints2d: np.ndarray
    """(17, 2) given COCO keypoints, px of the crop, before any snapping."""

    drawn: np.ndarray
    """(17,) bool, keypoints that enter the network."""

    confident: np.ndarray
    """(17,) bool, keypoints whose confidence exceeds the threshold."""

    pose: np.ndarray
    """(72,) true rotation vectors in the camera frame, pelvis first; NaN: not known."""

    betas: np.ndarray
    """(10,) true shape; NaN: not known."""

    gender: str
    """Body model of the truth: neutral, male or female."""

    silhouette: np.ndarray | None = None
    """(256, 256) bool, true body pixels of the crop."""

    true_joints3d: np.ndarray | None = None
    """(14, 3) joints of evaluation from the pelvis, metres, camera frame, NaN where one is not
    known: the truth in place of those of the body. None: the body's are."""

    true_joints2d: np.ndarray | None = None
    """(17, 2) true COCO keypoints, px of the crop, NaN where one is not known. None: those given
    to the network are taken as true."""
