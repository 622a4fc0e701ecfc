"""An annotation file is evaluated with what truth it has, and says over how many rows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from hierprob3d.configs.evaluation import EvaluateConfig
from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.pipelines.command.cli import main
from hierprob3d.training.assessment.evaluation_set import make_evaluation_set
from hierprob3d.transforms.datasets.annotation_file import _OPENPOSE_TO_COCO, PART_TO_COCO
from hierprob3d.transforms.evaluation.evaluation_models import open_dataset

NUM_ROWS = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_evaluation_set(tmp_path_factory.mktemp("synthetic"), NUM_ROWS)


Write = Callable[..., Path]


@pytest.fixture
def write(data: Path, tmp_path: Path) -> Write:
    """Writes the synthetic set's labels as an annotation file; None leaves a field out."""

    def written(**changes: np.ndarray | None) -> Path:
        with np.load(data / "labels.npz") as labels:
            part = np.zeros((NUM_ROWS, 24, 3))
            part[:, list(PART_TO_COCO)] = labels["joints2D"]
            fields = {
                "imgname": labels["fnames"], "center": labels["bbox_centres"][:, ::-1],
                "scale": labels["bbox_whs"] * 1.2 / 200, "pose": labels["poses"],
                "shape": labels["shapes"], "gender": labels["genders"], "part": part,
            } | changes  # fmt: skip
        path = tmp_path / "labels.npz"
        np.savez(path, **{name: value for name, value in fields.items() if value is not None})
        return path

    return written


def evaluate(file: Path, data: Path, output: Path, *more: str) -> tuple[int, dict]:
    words = ["--keypoints", "file", "--keypoint-threshold", "0.5", *more]
    code = main([
        "evaluate", "--dataset", "npz", "--data", str(file), "--images", str(data / "images"),
        "--output", str(output), "--num-samples", "2", "--device", "cpu", *words,
    ])  # fmt: skip
    path = output / "metrics.json"
    return code, json.loads(path.read_text()) if path.exists() else {}


def test_the_same_people_have_the_same_numbers_as_in_ssp3d_s_layout(
    write: Write, data: Path, tmp_path: Path
) -> None:
    code, record = evaluate(write(), data, tmp_path / "npz", "--per-frame-files")
    assert code == 0 and set(record["counted_rows"].values()) == {NUM_ROWS}
    assert main([
        "evaluate", "--dataset", "synthetic", "--data", str(data), "--output",
        str(tmp_path / "synthetic"), "--num-samples", "2", "--device", "cpu",
    ]) == 0  # fmt: skip
    same = json.loads((tmp_path / "synthetic" / "metrics.json").read_text())["metrics"]
    for name in ("PVE", "PVE-PA", "PVE-T-SC", "MPJPE", "MPJPE-SC", "MPJPE-PA", "joints2D-L2E"):
        assert record["metrics"][name] == pytest.approx(same[name], rel=1e-5), name
    errors = np.load(tmp_path / "npz" / "MPJPE-PA_per_frame.npy")
    assert errors.mean() == pytest.approx(record["metrics"]["MPJPE-PA"], rel=1e-6)
    shapes = {
        name: np.load(tmp_path / "npz" / f"{name}_per_frame.npy").shape
        for name in ("fname", "pose", "shape", "cam")
    }
    assert shapes == {"fname": (4,), "pose": (4, 24, 3, 3), "shape": (4, 10), "cam": (4, 3)}


def test_hmr2_s_names_and_pixels_mean_the_same(write: Write, data: Path, tmp_path: Path) -> None:
    few = ("--metrics", "PVE,MPJPE-PA")
    _, spin = evaluate(write(), data, tmp_path / "spin", *few)
    with np.load(write()) as spins:
        openpose = np.zeros((NUM_ROWS, 25, 3))
        openpose[:, list(_OPENPOSE_TO_COCO)] = spins["part"][:, list(PART_TO_COCO)]
        fields = {
            "scale": np.repeat(200 * spins["scale"][:, None], 2, axis=1),
            "body_pose": spins["pose"], "betas": spins["shape"], "pose": None, "shape": None,
            "has_body_pose": np.ones(NUM_ROWS), "has_betas": np.ones(NUM_ROWS),
            "extra_keypoints_2d": spins["part"][:, :19], "body_keypoints_2d": openpose,
            "extra_keypoints_3d": np.zeros((NUM_ROWS, 19, 4)), "part": None,
        }  # fmt: skip
    _, hmr2 = evaluate(write(**fields), data, tmp_path / "hmr2", *few)
    assert hmr2["metrics"] == pytest.approx(spin["metrics"], rel=1e-6)


def joints_of(file: Path, data: Path) -> np.ndarray:
    """(rows, 14, 3) joints of the true bodies from the pelvis, metres, camera frame."""
    config = EvaluateConfig(
        dataset="npz", data=str(file), images=str(data / "images"), output="o",
        keypoints="file", protocol="spin", device="cpu",
    )  # fmt: skip
    body, dataset = load_body("open"), open_dataset(config)
    items = [dataset.load(row) for row in range(NUM_ROWS)]
    rotvec = torch.tensor(np.stack([item.pose for item in items])).unflatten(1, (24, 3))
    betas = torch.tensor(np.stack([item.betas for item in items]))
    rotmats = rotvec_to_rotmat(rotvec)
    vertices, _ = body(betas, rotmats[:, 1:], rotmats[:, 0])
    return (body.h36m_joints14(vertices) - body.h36m_joints(vertices)[:, :1]).numpy()


def test_joints_alone_are_a_truth_from_the_pelvis(write: Write, data: Path, tmp_path: Path) -> None:
    spin = ("--protocol", "spin", "--per-frame-files")
    file = write()
    S = np.ones((NUM_ROWS, 24, 4))
    S[:, [*range(13), 18], :3] += joints_of(file, data)
    S[1, :3, 3] = 0  # three joints are not visible
    S[3, 14, 3] = 0  # without its pelvis there is no saying where it stands
    assert evaluate(file, data, tmp_path / "bodies", *spin)[0] == 0
    code, record = evaluate(
        write(S=S, pose=None, shape=None, gender=None), data, tmp_path / "joints", *spin
    )
    counted = record["counted_rows"]
    assert code == 0 and counted["MPJPE"] == counted["MPJPE-PA_samples_min"] == 3
    assert counted["PVE"] == 0 and record["metrics"]["PVE"] is None
    assert "calibration" not in record and record["likelihood"]["pose_nll"] is None
    assert "NaN" not in (tmp_path / "joints" / "metrics.json").read_text()
    assert "(3 rows)" in (tmp_path / "joints" / "evaluation.md").read_text()
    for name in ("MPJPE", "MPJPE-PA"):
        ours, theirs = (
            np.load(tmp_path / folder / f"{name}_per_frame.npy") for folder in ("joints", "bodies")
        )
        np.testing.assert_allclose(ours[[0, 2]], theirs[[0, 2]], rtol=1e-4)
        assert np.isfinite(ours[1]) and ours[1] != pytest.approx(theirs[1], rel=1e-6)
        assert np.isnan(ours[3])


def test_missing_pictures_and_names_that_lead_away_are_error_rows(
    write: Write, data: Path, tmp_path: Path
) -> None:
    with np.load(data / "labels.npz") as labels:
        names = labels["fnames"].astype("U64")
    names[0], names[1], names[3] = "nowhere.png", "../labels.npz", names[2]
    code, record = evaluate(write(imgname=names), data, tmp_path / "out", "--metrics", "PVE-PA")
    assert code == 0 and record["rows_by_status"] == {"failed": 2, "ok": 2}
    errors = pq.read_table(tmp_path / "out" / "errors").to_pylist()
    said = {row["uri"]: row["message"] for row in errors}
    assert "is no name of a file below a folder" in said["../labels.npz"]
    assert "nowhere.png" in said["nowhere.png"]
    done = pq.read_table(tmp_path / "out" / "frames").to_pylist()
    assert {row["uri"] for row in done} >= {names[2], f"{names[2]}#person=1"}


def test_movenet_finds_the_keypoints_that_a_file_lacks(
    write: Write, data: Path, tmp_path: Path
) -> None:
    file = write(part=None)
    found = ("--keypoints", "movenet", "--keypoint-threshold", "0.3", "--limit", "2")
    code = main([
        "evaluate", "--dataset", "npz", "--data", str(file), "--images", str(data / "images"),
        "--output", str(tmp_path / "out"), "--num-samples", "2", "--device", "cpu", *found,
    ])  # fmt: skip
    record = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert code == 0 and record["counted_rows"]["PVE"] == 2
    assert record["counted_rows"]["joints2D-L2E"] == 0  # nobody knows where they truly are
    assert "keypoints" in record["run"]["model_files"]


@pytest.mark.parametrize(
    ("changes", "more", "said"),
    [
        ({"scale": None}, (), "has no array 'scale'"),
        ({"part": None}, (), "hold no keypoints .openpose, part.*--keypoints movenet"),
        ({"part": np.zeros((4, 17, 3))}, (), r"part has rows of \(17, 3\), not \(24, 3\)"),
        ({"gender": np.array(["x"] * 4)}, (), "gender 'x'; known are m, f and n"),
        ({"pose": None, "S": np.ones((4, 24, 4))}, (), "give --protocol spin"),
        ({}, ("--keypoints", "hrnet"), "--keypoint-weights for HRNet's"),
    ],
)
def test_bad_files_are_one_line(
    write: Write, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    changes: dict, more: tuple[str, ...], said: str,
) -> None:  # fmt: skip
    words = more or ("--keypoints", "file")
    code = main([
        "evaluate", "--dataset", "npz", "--data", str(write(**changes)), "--images",
        str(data / "images"), "--output", str(tmp_path / "out"), "--device", "cpu", *words,
    ])  # fmt: skip
    lines = capsys.readouterr().err.strip().splitlines()
    assert code == 2 and re.search(said, lines[-1]) and len(lines) == 1
