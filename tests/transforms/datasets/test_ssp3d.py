from __future__ import annotations

import shutil
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from PIL import Image

from hierprob3d.configs.evaluation import DATASETS
from hierprob3d.transforms.datasets.labels import VisibilityRule
from hierprob3d.transforms.datasets.ssp3d import Ssp3dDataset
from tests.oracles.heatmaps import joints2d_to_heatmaps

RULES = DATASETS["ssp3d"]
VISIBILITY = VisibilityRule(RULES.keypoint_threshold, ())


def dataset_of(folder: Path) -> Ssp3dDataset:
    return Ssp3dDataset(str(folder), RULES, VISIBILITY)


@pytest.fixture
def copy(golden: Path, tmp_path: Path) -> Path:
    return Path(
        shutil.copytree(golden / "h2_ssp3d", tmp_path / "ssp3d", copy_function=shutil.copyfile)
    )


@pytest.mark.parametrize("index", range(3))
def test_rows_equal_the_original(golden: Path, index: int) -> None:
    item = dataset_of(golden / "h2_ssp3d").load(index)
    with np.load(golden / "h2_ssp3d_items.npz") as stored:
        expected = {
            k.removeprefix(f"{index}_"): stored[k] for k in stored.files if k[0] == str(index)
        }
        poses, shapes, genders = (
            stored[f"label_{k}"][index] for k in ("poses", "shapes", "genders")
        )
    image = item.image.transpose(2, 0, 1).astype(int)
    assert np.abs(image - expected["image_uint8"].astype(int)).max() <= 1
    np.testing.assert_array_equal(item.joints2d, expected["keypoints"])
    np.testing.assert_array_equal(item.silhouette, expected["sil"].astype(bool))
    heatmaps = joints2d_to_heatmaps(torch.from_numpy(item.joints2d), rounding="truncate")
    flat = heatmaps.numpy().reshape(17, -1)
    np.testing.assert_array_equal(flat.argmax(1), expected["heat_argmax"])
    np.testing.assert_allclose(flat.max(1), expected["heat_max"], atol=1e-6)
    np.testing.assert_array_equal(item.pose, poses.astype(np.float32))
    np.testing.assert_array_equal(item.betas, shapes.astype(np.float32))
    assert item.gender == {"m": "male", "f": "female"}[str(genders)]
    assert item.drawn.all() and item.confident.all()


def test_any_file_system_serves(golden: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(golden / "h2_ssp3d"), "/ssp3d", recursive=True)
    found = Ssp3dDataset("memory://ssp3d", RULES, VISIBILITY).load(1)
    expected = dataset_of(golden / "h2_ssp3d").load(1)
    np.testing.assert_array_equal(found.image, expected.image)
    assert found.item_id == expected.item_id


def test_a_silhouette_of_another_size_is_refused(copy: Path) -> None:
    Image.new("L", (50, 60)).save(copy / "silhouettes" / "ssp_1.png")
    dataset = dataset_of(copy)
    with pytest.raises(ValueError, match="silhouette has 50 x 60 px, the picture 180 x 200"):
        dataset.load(1)
    assert dataset.load(0).silhouette is not None


def test_a_missing_picture_fails_its_row(copy: Path) -> None:
    (copy / "images" / "ssp_1.png").unlink()
    with pytest.raises(FileNotFoundError):
        dataset_of(copy).load(1)


def change(folder: Path, **arrays: np.ndarray | None) -> None:
    with np.load(folder / "labels.npz") as stored:
        labels = {**stored, **arrays}
    np.savez(folder / "labels.npz", **{k: v for k, v in labels.items() if v is not None})


def test_lengths_that_disagree_are_refused(copy: Path) -> None:
    change(copy, genders=np.array(["m", "f"]))
    with pytest.raises(ValueError, match="disagree on the number of rows: .*genders 2"):
        dataset_of(copy)


def test_a_missing_array_is_named(copy: Path) -> None:
    change(copy, bbox_whs=None)
    with pytest.raises(ValueError, match="no array 'bbox_whs'"):
        dataset_of(copy)


def test_labels_that_are_no_archive_are_refused(copy: Path) -> None:
    (copy / "labels.npz").write_bytes(b"not an archive")
    with pytest.raises(ValueError, match="labels.npz cannot be read"):
        dataset_of(copy)


def test_pickled_objects_are_refused(copy: Path) -> None:
    change(copy, genders=np.array(["m", None, "f"], dtype=object))
    with pytest.raises(ValueError, match="cannot be read"):
        dataset_of(copy)


def test_a_box_without_size_fails_its_row(copy: Path) -> None:
    change(copy, bbox_whs=np.array([170.0, 0.0, 199.0]))
    with pytest.raises(ValueError, match="box label"):
        dataset_of(copy).load(1)


def test_missing_labels_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="labels.npz do not exist"):
        dataset_of(tmp_path)
