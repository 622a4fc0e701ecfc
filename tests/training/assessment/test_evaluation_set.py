from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.training.assessment.evaluation_set import make_evaluation_set


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_evaluation_set(tmp_path_factory.mktemp("set"), num=5, seed=3)


def test_the_same_seed_gives_the_same_set(folder: Path, tmp_path: Path) -> None:
    again = make_evaluation_set(tmp_path, num=5, seed=3)
    first, second = (np.load(f / "labels.npz") for f in (folder, again))
    for name in first.files:
        np.testing.assert_array_equal(first[name], second[name])
    assert (folder / "images" / "00004.png").read_bytes() == (
        again / "images" / "00004.png"
    ).read_bytes()


def test_a_set_that_is_there_is_kept(folder: Path) -> None:
    before = (folder / "labels.npz").stat().st_mtime_ns
    make_evaluation_set(folder, num=5, seed=3)
    assert (folder / "labels.npz").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="another set"):
        make_evaluation_set(folder, num=6, seed=3)


def test_labels_are_in_the_camera_frame(folder: Path) -> None:
    """The true body of the labels, seen from the front, lies over its silhouette and keypoints."""
    labels = np.load(folder / "labels.npz")
    rotmats = rotvec_to_rotmat(torch.from_numpy(labels["poses"]).float().unflatten(-1, (24, 3)))
    body = load_body("open")
    vertices, joints = body(
        torch.from_numpy(labels["shapes"]).float(), rotmats[:, 1:], rotmats[:, 0]
    )
    seen = body.coco_joints(vertices, joints)[..., :2].numpy()
    for person, given in zip(seen, labels["joints2D"][..., :2], strict=True):
        # A scale and a shift remain free; a mirrored or upside-down body would not fit.
        design = np.stack([np.r_[person[:, 0], person[:, 1]], np.r_[np.ones(17), np.zeros(17)],
                           np.r_[np.zeros(17), np.ones(17)]], 1)  # fmt: skip
        solution, *_ = np.linalg.lstsq(design, np.r_[given[:, 0], given[:, 1]], rcond=None)
        assert solution[0] > 0
        residual = design @ solution - np.r_[given[:, 0], given[:, 1]]
        assert np.abs(residual).mean() < 0.06 * solution[0]  # 6 cm: perspective and keypoint noise


def test_silhouettes_show_the_body(folder: Path) -> None:
    labels = np.load(folder / "labels.npz")
    for name, keypoints in zip(labels["fnames"], labels["joints2D"], strict=True):
        mask = cv2.imread(str(folder / "silhouettes" / str(name)), 0)
        assert mask.shape == (256, 256) and set(np.unique(mask)) <= {0, 255}
        column, row = keypoints[[11, 12], :2].mean(0).round().astype(int)  # between the hips
        if 0 <= row < 256 and 0 <= column < 256:
            assert mask[row, column] == 255
