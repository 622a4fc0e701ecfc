from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch
from PIL import Image

from hierprob3d.configs.evaluation import DATASETS
from hierprob3d.model.files.npz_files import ArrayFileError
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


def with_labels(folder: Path, **changes: Any) -> None:
    """Replaces arrays of the labels; None leaves one out."""
    with np.load(folder / "labels.npz") as stored:
        labels = {**stored, **changes}
    kept = {name: array for name, array in labels.items() if array is not None}
    np.savez(folder / "labels.npz", **kept)


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a/../../secret.png", "x\\..\\y"])
def test_names_of_pictures_stay_in_their_folders(copy: Path, name: str) -> None:
    shutil.copyfile(next((copy / "images").iterdir()), copy / "secret.png")
    names = [name, *dataset_of(copy)._names[1:]]
    with_labels(copy, fnames=np.array(names))
    dataset = dataset_of(copy)
    with pytest.raises(ValueError, match="is no name of a file below a folder"):
        dataset.load(0)
    assert dataset.load(1).image.shape == (256, 256, 3)


def test_names_may_be_bytes_as_python_2_wrote_them(copy: Path) -> None:
    expected = dataset_of(copy).load(1)
    names = np.array([name.encode() for name in dataset_of(copy)._names])
    with_labels(copy, fnames=names, genders=np.array([b"m", b"m", b"m"]))
    assert dataset_of(copy).load(1).item_id == expected.item_id


def test_pictures_may_be_links_of_their_owner(copy: Path, tmp_path: Path) -> None:
    (copy / "images").rename(tmp_path / "elsewhere")
    (copy / "images").symlink_to(tmp_path / "elsewhere")
    assert dataset_of(copy).load(0).image.shape == (256, 256, 3)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"poses": np.array(1.0)}, "its array 'poses' has no rows"),
        ({"poses": np.array([["a"] * 72] * 3)}, "pose holds <U1, not numbers"),
        ({"poses": np.array([None] * 3)}, "labels.npz cannot be read .*object"),
        ({"bbox_centres": np.zeros(3)}, "box centres has rows of"),
        ({"bbox_whs": np.zeros((3, 2))}, "box sides has rows of"),
        ({"bbox_whs": None}, "it has no array 'bbox_whs', only"),
        ({"shapes": np.zeros((2, 10))}, "disagree on the number of rows"),
    ],
)
def test_labels_of_another_kind_are_one_clear_error(
    copy: Path, changes: dict[str, Any], message: str
) -> None:
    with_labels(copy, **changes)
    with pytest.raises(ArrayFileError, match=message) as caught:
        dataset_of(copy)
    assert "\n" not in str(caught.value)


def test_mutated_labels_are_labels_or_one_clear_error(copy: Path) -> None:
    whole, rng = (copy / "labels.npz").read_bytes(), np.random.default_rng(0)
    for number in range(200):
        content = bytearray(whole)
        for place in rng.integers(0, len(content), rng.integers(1, 9)):
            content[place] = rng.integers(0, 256)
        cut = rng.integers(1, len(whole)) if number % 5 == 0 else len(whole)
        (copy / "labels.npz").write_bytes(content[:cut])
        try:
            dataset_of(copy)
        except ArrayFileError as error:
            assert "\n" not in str(error) and len(str(error)) < 500
