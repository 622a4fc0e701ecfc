from __future__ import annotations

import hashlib
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hierprob3d.configs.evaluation import DATASETS
from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.body.skeleton import ALWAYS_VISIBLE
from hierprob3d.transforms.datasets.labels import VisibilityRule
from hierprob3d.transforms.datasets.pw3d import Pw3dDataset, load_keypoints
from hierprob3d.transforms.datasets.pw3d_frame_labels import crop_person, label_frames
from hierprob3d.transforms.datasets.pw3d_sequences import (
    BadSequence,
    Pw3dSequence,
    body_gender,
    crop_name,
    frame_picture_name,
    read_sequence,
    sequence_of,
)
from tests.oracles.heatmaps import joints2d_to_heatmaps

RULES = DATASETS["3dpw"]
VISIBILITY = VisibilityRule(RULES.keypoint_threshold, ALWAYS_VISIBLE)


@pytest.fixture(scope="module")
def folder(golden: Path) -> Path:
    return golden / "h_pw3d"


@pytest.fixture(scope="module")
def sequence(folder: Path) -> Pw3dSequence:
    return read_sequence(str(folder / "downtown_fake_00.pkl"))


def test_labels_and_crops_equal_the_original(
    folder: Path, sequence: Pw3dSequence, golden_smpl: Path
) -> None:
    with np.load(folder / "3dpw_test.npz") as labels, np.load(folder / "intermediates.npz") as made:
        names, row = [], 0
        for person, track in enumerate(sequence.people):
            frames = np.flatnonzero(track.valid)
            found = label_frames(
                sequence, person, frames, load_body(golden_smpl, body_gender(track))
            )
            rows = slice(row, row + len(frames))
            np.testing.assert_array_equal(found.pose, labels["pose"][rows])
            assert found.pose.dtype == labels["pose"].dtype
            np.testing.assert_allclose(found.centre, labels["center"][rows], atol=1e-3)
            np.testing.assert_allclose(found.side, labels["wh"][rows], atol=1e-3)
            assert found.centre.dtype == found.side.dtype == np.float32
            np.testing.assert_array_equal(
                labels["shape"][rows], np.tile(track.betas, (len(frames), 1))
            )
            for place, frame in enumerate(frames):
                names.append(crop_name(sequence.name, frame, person))
                image = cv2.imread(
                    str(folder / "imageFiles" / sequence.name / frame_picture_name(frame))
                )
                crop = crop_person(image, found.centre[place], found.side[place])
                expected = made["crops_every8"][row + place].astype(int)
                differs = np.abs(crop[::8, ::8].astype(int) - expected)
                # The box may differ in its last float32 digit, which moves 1/32-px roundings.
                assert (differs > 1).mean() < 1e-3 and differs.max() <= 4
            row += len(frames)
        assert names == labels["imgname"].tolist()


@pytest.fixture
def preprocessed(folder: Path, sequence: Pw3dSequence, tmp_path: Path) -> Path:
    """The golden labels, with the crop of row 3 made from the golden box."""
    with np.load(folder / "3dpw_test.npz") as labels:
        name, centre, side = (labels[key][3] for key in ("imgname", "center", "wh"))
    for file in ("3dpw_test.npz", "hrnet_results_centred.npy"):
        shutil.copy(folder / file, tmp_path / file)
    image = cv2.imread(
        str(folder / "imageFiles" / sequence.name / f"image_{str(name)[-20:-15]}.jpg")
    )
    (tmp_path / "cropped_frames").mkdir()
    cv2.imwrite(str(tmp_path / "cropped_frames" / str(name)), crop_person(image, centre, side))
    return tmp_path


def dataset_of(folder: Path) -> Pw3dDataset:
    return Pw3dDataset(str(folder), "test", "hrnet", RULES, VISIBILITY)


def test_a_row_equals_the_original(folder: Path, preprocessed: Path) -> None:
    item = dataset_of(preprocessed).load(3)
    with np.load(folder / "dataset_item3.npz") as expected:
        image = item.image.transpose(2, 0, 1) / 255.0
        assert np.abs(image - expected["image_f16"]).max() <= 1.01 / 255
        heatmaps = joints2d_to_heatmaps(
            torch.from_numpy(item.joints2d), rounding="round", visible=torch.from_numpy(item.drawn)
        ).numpy()
        np.testing.assert_array_equal(
            heatmaps.reshape(17, -1).argmax(1), expected["heatmap_argmax"]
        )
        np.testing.assert_allclose(
            heatmaps.reshape(17, -1).max(1), expected["heatmap_max"], atol=1e-6
        )
        np.testing.assert_allclose(heatmaps.sum((1, 2)), expected["heatmaps_sum"], rtol=1e-5)
        np.testing.assert_array_equal(item.pose, expected["pose"])
        np.testing.assert_array_equal(item.betas, expected["shape"])
        assert (item.gender, str(expected["gender"])) == ("male", "m")


def test_the_identity_of_a_row_does_not_depend_on_the_folder(preprocessed: Path) -> None:
    expected = hashlib.sha1(b"3dpw/test/downtown_fake_00_image_00004_person_000.png").hexdigest()
    assert dataset_of(preprocessed).load(3).item_id == expected


def test_labels_are_found_in_a_folder_of_the_split(preprocessed: Path, tmp_path: Path) -> None:
    inner = tmp_path / "root" / "test"
    inner.parent.mkdir()
    shutil.copytree(preprocessed, inner, ignore=shutil.ignore_patterns("root"))
    assert len(dataset_of(tmp_path / "root")) == 8


def test_missing_keypoints_say_how_to_make_them(preprocessed: Path) -> None:
    (preprocessed / "hrnet_results_centred.npy").unlink()
    with pytest.raises(FileNotFoundError, match="preprocess-3dpw --keypoints hrnet"):
        dataset_of(preprocessed)


def test_missing_labels_say_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="3dpw_test.npz; make it with"):
        dataset_of(tmp_path)


def test_counts_that_disagree_are_refused(preprocessed: Path) -> None:
    np.save(preprocessed / "hrnet_results_centred.npy", np.zeros((7, 17, 3)))
    with pytest.raises(ValueError, match="7 rows and 3dpw_test.npz 8"):
        dataset_of(preprocessed)


def test_keypoints_of_another_shape_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", np.zeros((8, 19, 3)))
    with pytest.raises(ValueError, match=r"\(8, 19, 3\), not \(rows, 17, 3\)"):
        load_keypoints(str(tmp_path / "k.npy"))


@pytest.mark.parametrize(
    "array, value, message",
    [("pose", np.nan, "pose label holds NaN"), ("gender", "x", "gender 'x': 3dpw has m, f")],
)
def test_a_bad_label_spoils_its_row_only(
    preprocessed: Path, array: str, value: object, message: str
) -> None:
    with np.load(preprocessed / "3dpw_test.npz") as stored:
        labels = dict(stored)
    labels[array][3 if array == "gender" else (3, 5)] = value
    np.savez(preprocessed / "3dpw_test.npz", **labels)
    with pytest.raises(ValueError, match=message):
        dataset_of(preprocessed).load(3)


def raw(num_people: int = 2, num_frames: int = 3) -> dict:
    return {
        "sequence": "walk",
        "poses": [np.zeros((num_frames, 72))] * num_people,
        "betas": [np.zeros(300)] * num_people,
        "genders": ["m", "f"][:num_people],
        "campose_valid": [np.ones(num_frames)] * num_people,
        "trans": [np.zeros((num_frames, 3))] * num_people,
        "cam_poses": np.tile(np.eye(4), (num_frames, 1, 1)),
        "cam_intrinsics": np.eye(3),
    }


def test_of_300_betas_the_first_ten_are_taken() -> None:
    assert sequence_of(raw()).people[1].betas.shape == (10,)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"trans": None}, "has no 'trans'"),
        ({"genders": ["m"]}, "number of people: poses 2, betas 2, genders 1"),
        ({"cam_poses": np.zeros((2, 4, 4))}, "number of frames"),
        ({"cam_poses": np.zeros((3, 3, 4))}, "cam_poses"),
        ({"poses": [np.zeros((3, 71))] * 2}, "'poses' has shape"),
    ],
)
def test_a_broken_sequence_says_what_is_wrong(change: dict, message: str) -> None:
    data = raw() | change
    with pytest.raises(BadSequence, match=message):
        sequence_of({key: value for key, value in data.items() if value is not None})


def frames(num: int, size: tuple[int, ...]) -> list[np.ndarray]:
    return [np.zeros((num, *size))] * 2


@pytest.mark.parametrize(
    "change, said",
    [
        ({"cam_poses": np.tile(np.eye(4), (4, 1, 1))}, "cam_poses has 4"),
        ({"campose_valid": [np.ones(4)] * 2}, "campose_valid of person 0 has 4"),
        ({"trans": frames(4, (3,))}, "trans of person 1 has 4"),
        ({"poses": frames(5, (72,))}, "poses of person 0 has 5"),
    ],
)
def test_the_frames_are_those_that_all_arrays_have(change: dict, said: str) -> None:
    sequence = sequence_of(raw() | change)
    assert len(sequence.extrinsics) == 3
    assert all(len(part) == 3 for p in sequence.people for part in (p.pose, p.valid, p.translation))
    assert sequence.warning is not None and said in sequence.warning
    assert "the first 3 frames are used" in sequence.warning
    assert sequence_of(raw()).warning is None


def test_fewer_cameras_than_poses_do_where_the_flags_say_so() -> None:
    flags = [np.array([1, 1, 0])] * 2
    cameras = np.tile(np.eye(4), (2, 1, 1))
    assert len(sequence_of(raw() | {"campose_valid": flags, "cam_poses": cameras}).extrinsics) == 2


@pytest.mark.parametrize("shape", [(10, 1), (1, 10), (300, 1), (10,)])
def test_betas_may_be_a_column_or_a_row(shape: tuple[int, ...]) -> None:
    betas = np.arange(np.prod(shape), dtype=float).reshape(shape)
    people = sequence_of(raw() | {"betas": [betas, betas]}).people
    np.testing.assert_array_equal(people[1].betas, np.arange(10))


RAGGED = [[1.0, 2.0], [3.0]]


@pytest.mark.parametrize(
    "change",
    [
        {"poses": None}, {"poses": 5}, {"poses": [None, None]}, {"poses": [RAGGED, RAGGED]},
        {"poses": ["a" * 216] * 2}, {"poses": [np.full((3, 72), "x")] * 2}, {"poses": np.array(1)},
        {"poses": [np.zeros((3, 72), complex)] * 2}, {"poses": {"a": 1, "b": 2}},
        {"betas": [None, None]}, {"betas": [RAGGED, RAGGED]}, {"betas": [np.zeros((2, 10))] * 2},
        {"campose_valid": [None, None]}, {"campose_valid": [["yes"] * 3] * 2}, {"genders": None},
        {"trans": [RAGGED, RAGGED]}, {"cam_poses": RAGGED}, {"cam_poses": None}, {"cam_poses": "x"},
        {"cam_intrinsics": None}, {"cam_intrinsics": np.zeros((2, 2))}, {"sequence": None},
        {"sequence": 5}, {"sequence": ""}, {"sequence": ["walk"]}, {"sequence": "a" * 250},
        {key: [] for key in ("poses", "betas", "genders", "campose_valid", "trans")},
    ],
    ids=lambda change: str(change)[:40],
)  # fmt: skip
def test_anything_else_in_a_sequence_is_one_clear_error(tmp_path: Path, change: dict) -> None:
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(raw() | change, 2))
    with pytest.raises(BadSequence, match=r"bad\.pkl") as caught:
        read_sequence(str(tmp_path / "bad.pkl"))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    # Flags of two people, cameras, nobody, or unknown.
    assert caught.value.num_frames in (6, 3, 0, None)


@pytest.mark.parametrize("content", [5, None, [1], "text", np.zeros(3)], ids=str)
def test_pickles_of_something_else_are_one_clear_error(tmp_path: Path, content: object) -> None:
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(content, 2))
    with pytest.raises(BadSequence, match=r"bad\.pkl: it holds a .*, not a sequence of 3DPW"):
        read_sequence(str(tmp_path / "bad.pkl"))


def test_mutated_sequences_are_sequences_or_one_clear_error(tmp_path: Path) -> None:
    whole, rng = pickle.dumps(raw(), 2), np.random.default_rng(0)
    path = tmp_path / "walk.pkl"
    for number in range(200):
        content = bytearray(whole)
        for place in rng.integers(0, len(content), rng.integers(1, 5)):
            content[place] = rng.integers(0, 256)
        path.write_bytes(content[: rng.integers(1, len(content))] if number % 5 == 0 else content)
        try:
            read_sequence(str(path))
        except BadSequence as error:
            assert "\n" not in str(error) and len(str(error)) < 400


@pytest.mark.parametrize("name", ["../../x", "/etc", "a/b", "a\\b", "a\0", ".", "a::b"])
def test_the_name_of_a_sequence_stays_in_its_folder(name: str) -> None:
    with pytest.raises(BadSequence, match="'sequence': .* is no name of a file"):
        sequence_of(raw() | {"sequence": name})


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a/../../secret.png", "x\0.png"])
def test_the_name_of_a_crop_stays_in_its_folder(preprocessed: Path, name: str) -> None:
    with np.load(preprocessed / "3dpw_test.npz") as stored:
        labels = dict(stored)
    labels["imgname"] = labels["imgname"].astype("U100")
    labels["imgname"][3] = name
    np.savez(preprocessed / "3dpw_test.npz", **labels)
    crops = preprocessed / "cropped_frames"
    shutil.copyfile(next(crops.iterdir()), preprocessed / "secret.png")
    with pytest.raises(ValueError, match="is no name of a file"):
        dataset_of(preprocessed).load(3)


def test_an_unknown_gender_is_refused() -> None:
    track = sequence_of(raw() | {"genders": ["m", "n"]}).people[1]
    with pytest.raises(BadSequence, match="gender 'n'"):
        body_gender(track)


def test_a_body_without_a_finite_box_is_refused() -> None:
    with pytest.raises(BadSequence, match="no finite box"):
        crop_person(np.zeros((4, 4, 3), np.uint8), np.array([np.nan, 1]), 3.0)
