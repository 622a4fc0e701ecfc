"""Arrays in, people out, with the numbers of a run's tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hierprob3d import Annotator, ModelsConfig, RefinementConfig, SamplingConfig
from hierprob3d.model.body.skeleton import SMPL_JOINT_NAMES
from hierprob3d.model.files.bundled import ASSETS
from hierprob3d.transforms.tables.schema import every_people_column

SAMPLING = SamplingConfig(num_samples=3, save=frozenset({"samples"}))


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.asarray(Image.open(ASSETS / "demo" / "astronaut.png").convert("RGB"))


@pytest.fixture(scope="module")
def annotator() -> Annotator:
    return Annotator(sampling=SAMPLING, refinement=RefinementConfig(refine=True))


def test_people_have_the_tables_columns_in_natural_shapes(
    annotator: Annotator, picture: np.ndarray
) -> None:
    (person,) = annotator.annotate(picture)
    shapes = {"pose_F": (23, 3, 3), "pose_mode": (23, 3, 3), "keypoints": (17, 3), "bbox": (4,),
              "joints3d": (24, 3), "joint_spread_m": (24,), "shape_mean": (10,), "camera": (3,),
              "samples_pose": (3, 23, 3, 3), "refined_pose": (23, 3, 3)}  # fmt: skip
    assert {name: person[name].shape for name in shapes} == shapes
    assert all(np.isfinite(person[name]).all() for name in shapes)
    assert set(person) <= {column.name for column in every_people_column()}


def test_people_stand_before_a_camera_of_the_whole_picture(
    annotator: Annotator, picture: np.ndarray
) -> None:
    small = picture[:, :400]
    (person,) = annotator.annotate(small)
    focal = float(person["focal_px"])
    assert focal == pytest.approx(np.hypot(400, 512)) and person["focal_assumed"]
    for kind in ("", "refined_"):
        place = person[f"{kind}pelvis"] + person[f"{kind}translation"]
        x, y, z = (person[f"{kind}joints3d"] + place).T
        seen = np.stack([200 + focal * x / z, 256 + focal * y / z], -1)
        hips, found = seen[[1, 2]].mean(0), person[f"{kind}joints2d"][[11, 12]].mean(0)
        assert np.abs(hips - found).max() < 0.08 * person["crop"][2], "near its weak perspective"
    assert 0.3 < person["truncation"] < 0.9, "the picture ends above the knees"
    visibility = dict(zip(SMPL_JOINT_NAMES, person["visibility"], strict=True))
    assert visibility["head"] > 0.5 and visibility["left_foot"] == 0
    assert 0 < person["quality"] < 1


def test_draws_belong_to_the_content_not_to_the_call(
    annotator: Annotator, picture: np.ndarray
) -> None:
    first, second = annotator.annotate_batch([picture, picture[:, ::-1]])
    (again,) = annotator.annotate(picture)
    assert len(first) == len(second) == 1
    np.testing.assert_allclose(first[0]["samples_pose"], again["samples_pose"], atol=1e-4)
    assert not np.allclose(first[0]["samples_pose"], second[0]["samples_pose"], atol=1e-2)


def test_nobody_is_no_people(annotator: Annotator) -> None:
    assert annotator.annotate(np.zeros((64, 64, 3), np.uint8)) == []


def test_the_centre_person_of_nobody_is_the_whole_picture(picture: np.ndarray) -> None:
    everybody = SamplingConfig(uncertainty=False)
    centre = Annotator(ModelsConfig(people="centre"), everybody)
    (found,), (whole,) = centre.annotate_batch([picture, np.zeros((40, 60, 3), np.uint8)])
    assert whole["whole_picture"].item() is True and found["whole_picture"].item() is False
    assert whole["bbox"].tolist() == [0, 0, 60, 40] and whole["bbox_score"].item() == 0
    assert whole["crop"].tolist() == pytest.approx([30, 20, 96])  # 1.2 x (60 x 80), as the box is


def test_landmarks_are_there_where_the_keypoint_model_finds_them(
    annotator: Annotator, picture: np.ndarray
) -> None:
    (found,) = annotator.annotate(picture)
    assert found["landmarks"].shape == (33, 5) and found["keypoints"].shape == (17, 3)
    np.testing.assert_array_equal(found["landmarks"][11:13, :2], found["keypoints"][5:7, :2])
    movenet = Annotator(ModelsConfig(keypoints="movenet"), SamplingConfig(uncertainty=False))
    assert "landmarks" not in movenet.annotate(picture)[0]


@pytest.mark.parametrize("wrong", [
    np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8),
    np.zeros((4, 4, 4), np.uint8), [[[0, 0, 0]]],
])  # fmt: skip
def test_other_arrays_are_refused_by_name(annotator: Annotator, wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"picture 0 must be an \(H, W, 3\) uint8 RGB array"):
        annotator.annotate(wrong)


def test_beam_is_not_loaded(tmp_path: Path) -> None:
    script = "import sys, hierprob3d; hierprob3d.Annotator; assert 'apache_beam' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
