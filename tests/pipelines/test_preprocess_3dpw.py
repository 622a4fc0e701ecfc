from __future__ import annotations

import hashlib
import pickle
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from hierprob3d.configs.evaluation import DATASETS
from hierprob3d.model.files.safe_pickle import load_pickle
from hierprob3d.pipelines.command.cli import main
from hierprob3d.transforms.datasets.labels import VisibilityRule
from hierprob3d.transforms.datasets.pw3d import Pw3dDataset
from tests.pipelines.trials import PW3D_SEQUENCE, copy_pw3d


@pytest.fixture
def pw3d(golden: Path, tmp_path: Path) -> Path:
    """The golden sequence in 3DPW's own layout."""
    return copy_pw3d(golden, tmp_path / "3DPW")


def command(pw3d: Path, smpl: Path, output: Path, *more: str) -> list[str]:
    return [
        "preprocess-3dpw", "--data", str(pw3d), "--output", str(output), "--body-model", str(smpl),
        "--shard-size", "2", *more,
    ]  # fmt: skip


def rows(folder: Path) -> list[dict]:
    return [
        row for part in sorted(folder.glob("*.parquet")) for row in pq.read_table(part).to_pylist()
    ]


@pytest.fixture
def output(pw3d: Path, golden_smpl: Path, tmp_path: Path) -> Path:
    output = tmp_path / "out"
    assert main(command(pw3d, golden_smpl, output)) == 0
    return output


def test_everything_equals_the_original(golden: Path, output: Path) -> None:
    expected = np.load(golden / "h_pw3d" / "3dpw_test.npz")
    found = np.load(output / "3dpw_test.npz")
    assert found.files == expected.files
    for name in expected.files:
        assert found[name].dtype == expected[name].dtype
        if name in ("center", "wh"):
            np.testing.assert_allclose(found[name], expected[name], atol=1e-3)
        else:
            np.testing.assert_array_equal(found[name], expected[name])
    crops = sorted(path.name for path in (output / "cropped_frames").iterdir())
    assert crops == sorted(expected["imgname"].tolist())
    hashes = np.load(golden / "h_pw3d" / "intermediates.npz")["crop_sha"].tolist()
    same = [
        hashlib.sha256(cv2.imread(str(output / "cropped_frames" / name)).tobytes()).hexdigest()
        == sha
        for name, sha in zip(expected["imgname"], hashes, strict=True)
    ]
    assert sum(same) >= 5  # a box may differ in its last float32 digit
    for path in (golden / "h_pw3d" / "cropped_frames").iterdir():
        ours, theirs = (
            cv2.imread(str(p)).astype(int) for p in (output / "cropped_frames" / path.name, path)
        )
        assert (np.abs(ours - theirs) > 1).mean() < 1e-3


def test_parquet_holds_every_label_and_camera(output: Path) -> None:
    people = rows(output / "people")
    assert len(people) == 8
    row = people[0]
    assert len(row["camera_rotation"]) == 9 and len(row["camera_intrinsics"]) == 9
    assert row["crop"][2] == pytest.approx(1.2 * row["wh"], rel=1e-6)
    x0, y0, x1, y1 = row["bbox"]
    assert row["wh"] == pytest.approx(max(x1 - x0, y1 - y0))
    rotation = np.array(row["camera_rotation"]).reshape(3, 3)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)


def test_a_second_run_does_nothing(pw3d: Path, golden_smpl: Path, output: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in output.glob("*/part-*.parquet")}
    assert main(command(pw3d, golden_smpl, output)) == 0
    assert {path: path.stat().st_mtime_ns for path in output.glob("*/part-*.parquet")} == before


def test_an_interrupted_run_is_completed(
    pw3d: Path, golden_smpl: Path, output: Path, tmp_path: Path
) -> None:
    whole = dict(np.load(output / "3dpw_test.npz"))
    other = tmp_path / "other"
    assert main(command(pw3d, golden_smpl, other, "--limit", "3")) == 0
    assert len(np.load(other / "3dpw_test.npz")["wh"]) == 3
    assert main(command(pw3d, golden_smpl, other)) == 0
    resumed = np.load(other / "3dpw_test.npz")
    for name, array in whole.items():
        np.testing.assert_array_equal(resumed[name], array)


def test_missing_and_broken_inputs_become_error_rows(
    pw3d: Path, golden_smpl: Path, tmp_path: Path
) -> None:
    pictures = pw3d / "imageFiles" / PW3D_SEQUENCE
    (pictures / "image_00000.jpg").unlink()
    (pictures / "image_00001.jpg").write_bytes(b"no picture")
    sequences = pw3d / "sequenceFiles" / "test"
    (sequences / "broken.pkl").write_bytes(b"\x80\x02no pickle")
    (sequences / "evil.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    output = tmp_path / "out"
    assert main(command(pw3d, golden_smpl, output, "--max-failed-ratio", "1")) == 0
    errors = rows(output / "errors")
    stages = sorted({(row["stage"], row["uri"].rsplit("/", 1)[-1]) for row in errors})
    assert stages == [
        ("crop", "image_00000.jpg"), ("crop", "image_00001.jpg"),
        ("sequence", "broken.pkl"), ("sequence", "evil.pkl"),
    ]  # fmt: skip
    statuses = [row["status"] for row in rows(output / "frames")]
    labels = np.load(output / "3dpw_test.npz")
    assert statuses.count("ok") == len(labels["wh"]) < 8
    assert statuses.count("failed") == len(errors)


def test_a_refused_sequence_counts_by_its_frames_and_the_good_ones_are_done(
    pw3d: Path, golden_smpl: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sequences = pw3d / "sequenceFiles" / "test"
    good = load_pickle(sequences / f"{PW3D_SEQUENCE}.pkl")
    bad = {
        "climbing": {"sequence": "../../elsewhere"},
        "copy": {},  # of the same name as the good one
        "none": {"poses": None},
        "ragged": {"poses": [[[1.0, 2.0], [3.0]]] * 2},
    }
    for name, change in bad.items():
        (sequences / f"z_{name}.pkl").write_bytes(pickle.dumps(good | change, 2))
    (sequences / "z_number.pkl").write_bytes(pickle.dumps(5, 2))
    longer = good | {"sequence": "longer", "cam_poses": np.concatenate([good["cam_poses"]] * 2)}
    (sequences / "longer.pkl").write_bytes(pickle.dumps(longer, 2))
    shutil.copytree(pw3d / "imageFiles" / PW3D_SEQUENCE, pw3d / "imageFiles" / "longer")
    shutil.copytree(pw3d / "imageFiles" / PW3D_SEQUENCE, tmp_path / "elsewhere")
    output = tmp_path / "deep" / "out"
    assert main(command(pw3d, golden_smpl, output)) == 1  # more than half failed
    labels = np.load(output / "3dpw_test.npz")
    assert len(labels["wh"]) == 16 and not (tmp_path / "deep" / "elsewhere").exists()
    assert len(list((output / "cropped_frames").iterdir())) == 16
    failed = Counter(row["uri"].rsplit("/", 1)[-1] for row in rows(output / "errors"))
    assert failed == {f"z_{name}.pkl": 8 for name in bad} | {"z_number.pkl": 1}
    frames = rows(output / "frames")
    assert Counter(row["status"] for row in frames) == {"ok": 16, "failed": 33}
    assert len({row["item_id"] for row in frames}) == 49
    assert sum("the first 5 frames" in (row["warning"] or "") for row in frames) == 8
    assert "longer.pkl: the first 5 frames are used" in caplog.text


def test_a_person_of_unknown_gender_never_gets_another_ones_body(
    pw3d: Path, golden_smpl: Path, tmp_path: Path
) -> None:
    path = pw3d / "sequenceFiles" / "test" / f"{PW3D_SEQUENCE}.pkl"
    data = load_pickle(path)
    data["genders"] = ["m", "x"]
    path.write_bytes(pickle.dumps(data, protocol=2))
    output = tmp_path / "out"
    assert main(command(pw3d, golden_smpl, output)) == 0
    errors = rows(output / "errors")
    assert {(row["person_index"], row["stage"]) for row in errors} == {(1, "labels")}
    assert all("gender 'x'" in row["message"] for row in errors)
    labels = np.load(output / "3dpw_test.npz")
    assert set(labels["gender"]) == {"m"} and len(labels["wh"]) == 8 - len(errors)


def test_failed_frames_are_done_again_when_asked(
    pw3d: Path, golden_smpl: Path, tmp_path: Path
) -> None:
    output, picture = tmp_path / "out", pw3d / "imageFiles" / PW3D_SEQUENCE / "image_00000.jpg"
    away = picture.rename(pw3d / "away.jpg")
    assert main(command(pw3d, golden_smpl, output)) == 0
    num_rows = len(np.load(output / "3dpw_test.npz")["wh"])
    away.rename(picture)
    assert main(command(pw3d, golden_smpl, output)) == 0
    assert len(np.load(output / "3dpw_test.npz")["wh"]) == num_rows
    assert main(command(pw3d, golden_smpl, output, "--retry-failed")) == 0
    assert len(np.load(output / "3dpw_test.npz")["wh"]) == 8 > num_rows


def test_keypoints_get_a_file_that_the_dataset_reads(
    pw3d: Path, golden_smpl: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    assert main(command(pw3d, golden_smpl, output, "--keypoints", "movenet")) == 0
    keypoints = np.load(output / "movenet_results_centred.npy")
    assert keypoints.shape == (8, 17, 3) and keypoints.dtype == np.float64
    dataset = Pw3dDataset(str(output), "test", "movenet", DATASETS["3dpw"], VisibilityRule(0.3, ()))
    np.testing.assert_allclose(dataset.load(5).joints2d, keypoints[5, :, :2] / 2)


def test_a_folder_without_keypoints_is_not_mixed(
    pw3d: Path, golden_smpl: Path, output: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(command(pw3d, golden_smpl, output, "--keypoints", "movenet")) == 2
    assert "without --keypoints (now with --keypoints movenet)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change, message",
    [
        (["--split", "train"], "no sequence file"),
        (["--split", "tset"], "invalid choice"),
        (["--keypoints", "hrnet"], "--keypoint-weights"),
        (["--body-model", "/nowhere"], "does not exist"),
        (["--shardsize", "3"], "Did you mean --shard-size"),
    ],
)
def test_bad_usage_is_one_line(
    pw3d: Path, golden_smpl: Path, tmp_path: Path, capsys: pytest.CaptureFixture,
    change: list[str], message: str,
) -> None:  # fmt: skip
    assert main(command(pw3d, golden_smpl, tmp_path / "out", *change)) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
