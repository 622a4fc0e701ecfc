"""`--refine`: bodies moved onto the keypoints, from the command line to pictures and exports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.estimate.reconstruction import (
    parameters_of_rows,
    rebuild_mode,
    with_refined_body,
)
from hierprob3d.model.picture.cameras import half_turn_x, project_body
from hierprob3d.pipelines.command.cli import main
from hierprob3d.pipelines.results.person_table import person_table
from hierprob3d.pipelines.results.report_pictures import NUM_VERTICES, STEP_M, coarse_body, gallery
from hierprob3d.pipelines.results.run_folder import RunFolder
from hierprob3d.transforms.tables.schema import PeopleLayout, people_schema
from tests.pipelines.conftest import PEDESTRIANS, PERSON, copy_person, read_rows

Predict = Callable[..., int]
OPTIONS = ("--refine", "--save", "samples,vertices", "--frame-step", "20")


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with the bundled weights, whose bodies are near enough to be worth refining."""
    folder = tmp_path_factory.mktemp("refined")
    inputs = (str(PERSON), str(PEDESTRIANS), "--output", str(folder), "--num-samples", "4")
    assert main(["predict", *inputs, *OPTIONS, "--visualise", "crops,uncropped"]) == 0
    return folder


@pytest.fixture(scope="module")
def rows(output: Path) -> list[dict[str, Any]]:
    return read_rows(output, "people").to_pylist()


def test_refined_bodies_lie_nearer_to_the_keypoints(rows: list[dict[str, Any]]) -> None:
    before = np.array([row["reprojection_px"] for row in rows])
    after = np.array([row["refined_reprojection_px"] for row in rows])
    assert len(rows) > 5 and (after < before).mean() > 0.9
    assert np.median(after / before) < 0.8


def test_refined_columns_describe_one_body(rows: list[dict[str, Any]]) -> None:
    body = load_body("open")
    refined = [with_refined_body(row) for row in rows]
    vertices, joints = rebuild_mode(refined, body)
    parameters = parameters_of_rows(refined)
    joints2d = project_body(body.coco_joints(vertices, joints), parameters.camera, parameters.crop)
    pelvis = half_turn_x(joints[:, :1])
    expected = {
        "refined_joints3d": half_turn_x(joints) - pelvis,
        "refined_vertices": half_turn_x(vertices) - pelvis,
        "refined_pelvis": pelvis,
        "refined_joints2d": joints2d,
    }
    for name, values in expected.items():
        stored = torch.tensor(np.array([row[name] for row in rows], np.float32))
        torch.testing.assert_close(
            stored.view(values.shape), values, atol=2e-3 if "2d" in name else 1e-4, rtol=1e-4
        )


def test_all_other_columns_are_those_of_a_run_without(
    output: Path, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    plain = ["predict", str(PERSON), "--output", str(tmp_path), "--num-samples", "4"]
    assert main([*plain, "--save", "samples,vertices"]) == 0
    (row,) = read_rows(tmp_path, "people").to_pylist()
    (refined,) = [other for other in rows if other["item_id"] == row["item_id"]]
    for name in set(row) - {"run_id"}:
        if isinstance(row[name], list):
            np.testing.assert_allclose(refined[name], row[name], atol=1e-3, err_msg=name)
        else:
            assert refined[name] == pytest.approx(row[name]), name
    layout = PeopleLayout(
        num_vertices=6880, num_samples=4, save=frozenset({"samples", "vertices"}),
        global_spread=True, refined=True,
    )  # fmt: skip
    assert read_rows(output, "people").schema.equals(people_schema(layout))


def test_pictures_show_mode_and_refined_body(output: Path, rows: list[dict[str, Any]]) -> None:
    crops = sorted(output.glob("pictures/*-crop.jpg"))
    assert len(crops) == len(rows)
    strip = np.asarray(Image.open(crops[0])).astype(int)
    assert strip.shape[1] == 3 * 512  # keypoints, mode, refined body
    mode, refined = strip[:400, 512:1024], strip[:400, 1024:]
    assert np.abs(mode - refined).mean() > 1


def test_whole_pictures_show_the_refined_body(output: Path, tmp_path: Path) -> None:
    options = ("--num-samples", "4", "--visualise", "uncropped")
    assert main(["predict", str(PERSON), "--output", str(tmp_path), *options]) == 0
    (plain,) = (tmp_path / "pictures").iterdir()
    pictures = [Image.open(folder / "pictures" / plain.name) for folder in (tmp_path, output)]
    with_mode, with_refined = (np.asarray(picture).astype(int) for picture in pictures)
    assert np.abs(with_mode - with_refined).mean() > 1


def test_the_report_shows_the_refined_bodies(output: Path) -> None:
    folder = RunFolder(str(output))
    person = gallery(folder, person_table(folder), 1, None).people[0]
    shown = torch.from_numpy(person.meshes[0] * STEP_M)
    body = coarse_body(load_body("open"), NUM_VERTICES)
    of = {"refined": with_refined_body(person.row), "mode": person.row}
    off = {}
    for name, row in of.items():
        mode = rebuild_mode(row, body)[0]
        middle = (mode.amin(0) + mode.amax(0)) / 2
        off[name] = (shown - (mode - middle)).norm(dim=-1).mean()
    assert off["refined"] < 2 * STEP_M < off["mode"]


def test_threshold_and_errors_decide_how_far_bodies_move(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    options = {"unseen": ("--keypoint-threshold", "1"), "unsure": ("--keypoint-error", "50")}
    found = {}
    for name, words in options.items():
        output = str(tmp_path / name)
        plain = ["predict", str(PERSON), "--output", output, "--no-uncertainty", "--refine"]
        assert main([*plain, *words]) == 0
        (found[name],) = read_rows(tmp_path / name, "people").to_pylist()
    (usual,) = [row for row in rows if row["uri"] == str(PERSON)]
    np.testing.assert_allclose(
        found["unseen"]["refined_pose"], found["unseen"]["pose_mode"], atol=1e-5
    )
    assert found["unseen"]["refined_reprojection_px"] is None
    error = "refined_reprojection_px"
    assert usual[error] < 0.8 * found["unsure"][error] < found["unsure"]["reprojection_px"]


def test_a_config_file_can_ask_for_it(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("refine: true\nkeypoint-error: 2\nno-uncertainty: true\n")
    options = ["--config", str(tmp_path / "run.yaml"), "--output", str(tmp_path / "out")]
    assert main(["predict", str(PERSON), *options]) == 0
    assert "refined_pose" in read_rows(tmp_path / "out", "people").column_names


def test_export_of_refined_bodies(
    output: Path, rows: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--output", str(tmp_path), "--format", "smpl-npz", "--filter", "uri=*.png"]
    assert main(["export", str(output), *options, "--refined"]) == 0
    (row,) = [row for row in rows if row["uri"].endswith(".png")]
    with np.load(next(tmp_path.glob("*.npz"))) as arrays:
        np.testing.assert_allclose(arrays["betas"], row["refined_betas"], atol=1e-5)
    assert main(["export", str(output), *options, "--refined", "--samples", "2"]) == 2
    assert "--refined and --samples exclude each other" in capsys.readouterr().err


def test_export_of_refined_bodies_needs_a_run_that_made_them(
    predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(PERSON, "--output", tmp_path / "plain") == 0
    options = ["--output", str(tmp_path / "meshes"), "--format", "ply", "--refined"]
    assert main(["export", str(tmp_path / "plain"), *options]) == 2
    assert "no column refined_pose" in capsys.readouterr().err


def test_rows_without_it_do_not_join(
    output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = copy_person(tmp_path / "another.png")
    plain = ["predict", str(picture), "--output", str(output), "--num-samples", "4"]
    assert main([*plain, "--save", "samples,vertices"]) == 2
    assert "with --refine (now without --refine)" in capsys.readouterr().err


def test_rows_refined_with_another_error_do_not_join(
    output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = copy_person(tmp_path / "another.png")
    inputs = ["predict", str(picture), "--output", str(output), "--num-samples", "4"]
    assert main([*inputs, *OPTIONS, "--keypoint-error", "2"]) == 2
    assert "--keypoint-error 1 (now with --keypoint-error 2)" in capsys.readouterr().err


@pytest.mark.parametrize("error", ["0", "-1", "nan", "inf", "1e-20"])
def test_keypoint_error_must_be_a_size(
    predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str], error: str
) -> None:
    options = ("--refine", "--keypoint-error", error, "--output", tmp_path)
    assert predict(PERSON, *options) == 2
    assert "--keypoint-error must lie between 0.01 and 100" in capsys.readouterr().err


def test_keypoint_error_alone_is_refused(
    predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(PERSON, "--keypoint-error", "2", "--output", tmp_path) == 2
    assert "--keypoint-error needs --refine" in capsys.readouterr().err
