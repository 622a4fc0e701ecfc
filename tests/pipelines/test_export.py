from __future__ import annotations

import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from example_run import write_example_run

from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.estimate.reconstruction import rebuild_samples
from hierprob3d.model.picture.cameras import half_turn_x
from hierprob3d.model.rotation.rotations import (
    rotmat_to_rotvec,
    rotmat_to_unitquat,
    rotvec_to_rotmat,
)
from hierprob3d.pipelines.command import cli
from hierprob3d.pipelines.export import source_name
from hierprob3d.transforms.store.output_folder import OutputFolder
from tests.glb_reader import Glb


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("run [1]")  # a bracket must not be taken for a glob
    return folder, write_example_run(folder)


def export(folder: Path, output: Path, *options: str) -> int:
    return cli.main(["export", str(folder), "--output", str(output), *options])


def read_ply(path: Path, num_vertices: int) -> np.ndarray:
    body = path.read_bytes().split(b"end_header\n")[1]
    return np.frombuffer(body[: 12 * num_vertices], "<f4").reshape(-1, 3)


def stored_joints(row: dict[str, Any]) -> torch.Tensor:
    """The row's joints in the body frame."""
    joints = torch.tensor(row["joints3d"]).view(24, 3) + torch.tensor(row["pelvis"])
    return half_turn_x(joints)


def test_one_upright_mesh_per_finished_person(example: Any, tmp_path: Path) -> None:
    folder, rows = example
    body = load_body("open")
    assert export(folder, tmp_path, "--format", "ply") == 0
    files = sorted(path.name for path in tmp_path.iterdir())
    assert len(files) == 4 and not any("lost" in name for name in files)
    mesh = torch.from_numpy(read_ply(next(tmp_path.glob("astronaut*")), body.num_vertices).copy())
    # The mesh's own joints are those of the row; the head is above the feet.
    rest = body.joint_template
    assert rest.shape == (24, 3)
    joints = stored_joints(rows[0])
    assert joints[15, 1] > joints[7, 1] + 1
    distance = torch.cdist(joints, mesh).amin(1)
    assert distance.max() < 0.2 and mesh[:, 1].max() > joints[15, 1]


@pytest.mark.parametrize("kind", ["obj", "ply", "glb"])
def test_samples_are_those_the_run_drew(example: Any, tmp_path: Path, kind: str) -> None:
    folder, rows = example
    pattern = "--filter", "uri=*astronaut.png"
    assert export(folder, tmp_path, "--format", kind, "--samples", "2", *pattern) == 0
    names = sorted(path.name.split("_", 2)[2] for path in tmp_path.iterdir())
    assert names == [f"person0.{kind}", f"person0_sample00.{kind}", f"person0_sample01.{kind}"]
    if kind == "ply":
        body = load_body("open")
        expected = rebuild_samples(rows[:1], body, 2)[0][0, 1]
        mesh = read_ply(next(tmp_path.glob("*sample01.ply")), body.num_vertices)
        np.testing.assert_allclose(mesh, expected, atol=1e-6)


def test_people_are_chosen_by_numbers_and_files_from_before_are_told(
    example: Any, tmp_path: Path, capsys: Any
) -> None:
    words = ["--format", "ply", "--filter", "track_confidence<0.9", "--filter"]
    assert export(example[0], tmp_path, *words, "frame_index<1") == 0
    first = [path.name for path in tmp_path.iterdir()]
    assert len(first) == 1 and "note" not in capsys.readouterr().err
    assert export(example[0], tmp_path, *words, "quality>0.7") == 0
    assert len(list(tmp_path.iterdir())) == 2
    assert export(example[0], tmp_path, *words[:-3], "--filter", "quality<0.7") == 0
    assert "note: 2 files that" in capsys.readouterr().err


def test_glb_opens_with_its_magic(example: Any, tmp_path: Path) -> None:
    folder, _ = example
    export(folder, tmp_path, "--format", "glb", "--filter", "person_index=1")
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()
    assert struct.unpack("<4sII", data[:12]) == (b"glTF", 2, len(data))


def test_smpl_npz_holds_one_file_per_track_and_rebuilds_the_joints(
    example: Any, tmp_path: Path
) -> None:
    folder, rows = example
    assert export(folder, tmp_path, "--format", "smpl-npz") == 0
    assert len(list(tmp_path.iterdir())) == 3  # astronaut, track of two frames, untracked person
    with np.load(next(tmp_path.glob("*track3.npz"))) as track:
        assert track["poses"].shape == (2, 72) and track["trans"].shape == (2, 3)
        assert track["betas"].shape == (10,) and str(track["gender"]) == "neutral"
        # Frames are 0.1 s apart.
        assert float(track["mocap_framerate"]) == pytest.approx(10.0)
        poses = torch.from_numpy(track["poses"]).view(2, 24, 3)
    body = load_body("open")
    rotmats = rotvec_to_rotmat(poses)
    shape = torch.tensor([row["shape_mean"] for row in rows[1:3]])
    _, joints = body(shape, rotmats[:, 1:], rotmats[:, 0])
    for found, row in zip(joints, rows[1:3], strict=True):
        torch.testing.assert_close(found, stored_joints(row), atol=1e-4, rtol=0)


def test_a_track_in_glb_is_one_body_that_moves_smoothed(example: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(example[0], run, ignore=shutil.ignore_patterns("tracks", "*bbbb*"))
    assert cli.main(["track", str(run), "--smoothing", "0"]) == 0
    assert export(run, tmp_path / "out", "--format", "glb") == 0
    files = {path.name.split("_", 2)[2]: path for path in (tmp_path / "out").iterdir()}
    assert sorted(files) == ["person0.glb", "track0.glb", "track1.glb"]
    file = Glb(files["track0.glb"].read_bytes())
    (animation,) = file.description["animations"]
    times = file.array(animation["samplers"][0]["input"])[:, 0]
    np.testing.assert_allclose(times, [0, 0.1], atol=1e-6)
    turns = file.array(animation["samplers"][1]["output"])
    rotmats = torch.tensor([row["global_rotmat"] for row in example[1][1:3]]).view(2, 3, 3)
    expected = rotmat_to_unitquat(rotmats).roll(-1, -1).numpy()
    np.testing.assert_allclose(np.abs((turns * expected).sum(1)), 1, atol=1e-5)
    assert "animations" not in Glb(files["person0.glb"].read_bytes()).description
    # Without tracks every row is by itself, as it was predicted.
    assert export(run, tmp_path / "raw", "--format", "glb", "--no-tracks") == 0
    assert len(list((tmp_path / "raw").iterdir())) == 4


def test_a_motion_at_another_rate(example: Any, tmp_path: Path) -> None:
    words = ["--format", "smpl-npz", "--filter", "track_id=3", "--fps", "40"]
    assert export(example[0], tmp_path, *words) == 0
    (path,) = tmp_path.iterdir()
    track = np.load(path)
    assert float(track["mocap_framerate"]) == 40 and track["poses"].shape == (5, 72)
    assert track["is_seen"].tolist() == [True, False, False, False, True]
    assert track["frame_index"].tolist() == [0, -1, -1, -1, 1]


def test_annotations_name_pictures_and_frames_are_left_out(
    example: Any, tmp_path: Path, capsys: Any
) -> None:
    folder, rows = example
    assert export(folder, tmp_path, "--format", "spin-npz") == 0
    assert "3 people of video frames left out" in capsys.readouterr().err
    labels = np.load(tmp_path / "annotations.npz")
    assert labels["imgname"].tolist() == ["astronaut.png"]
    assert labels["center"].tolist() == [[220, 260]]
    assert labels["scale"] == pytest.approx(480 / 200)
    np.testing.assert_allclose(labels["part"][0, 19], np.reshape(rows[0]["keypoints"], (17, 3))[0])
    assert export(folder, tmp_path / "x", "--format", "spin-npz", "--filter", "uri=*.mp4") == 2
    assert "annotation files name pictures, and there is none" in capsys.readouterr().err


def test_betas_of_a_track_are_weighted_by_precision(example: Any, tmp_path: Path) -> None:
    folder, rows = example
    export(folder, tmp_path, "--format", "smpl-npz", "--filter", "track_id=3")
    (path,) = tmp_path.iterdir()
    # Both frames are equally sure, so the weighted mean is the plain one.
    expected = np.mean([row["shape_mean"] for row in rows[1:3]], axis=0)
    np.testing.assert_allclose(np.load(path)["betas"], expected, atol=1e-6)


def test_smplh_npz_puts_the_body_joints_first_and_hands_at_rest(
    example: Any, tmp_path: Path
) -> None:
    folder, rows = example
    export(folder, tmp_path, "--format", "smplh-npz", "--filter", "uri=*astronaut.png")
    (path,) = tmp_path.iterdir()
    poses = np.load(path)["poses"]
    # SMPL-H: pelvis, 21 body joints, 30 finger joints; (1 + 21 + 30) * 3 = 156.
    assert poses.shape == (1, 156) and not poses[:, 66:].any()
    pose = rotmat_to_rotvec(torch.tensor(rows[0]["pose_mode"]).view(23, 3, 3))
    np.testing.assert_allclose(poses[0, 3:66], pose[:21].flatten(), atol=1e-5)


def test_npz_samples_have_a_row_per_frame_and_sample(example: Any, tmp_path: Path) -> None:
    folder, _ = example
    export(folder, tmp_path, "--format", "smpl-npz", "--samples", "4", "--filter", "track_id=3")
    (path,) = tmp_path.iterdir()
    arrays = np.load(path)
    assert arrays["sample_poses"].shape == (2, 4, 72)
    assert arrays["sample_betas"].shape == (2, 4, 10)


def test_in_camera_moves_the_mesh_by_trans(example: Any, tmp_path: Path) -> None:
    folder, _ = example
    pattern = "--filter", "uri=*astronaut.png", "--focal-length", "800"
    export(folder, tmp_path / "own", "--format", "ply", *pattern)
    export(folder, tmp_path / "camera", "--format", "ply", "--in-camera", *pattern)
    export(folder, tmp_path / "npz", "--format", "smpl-npz", *pattern)
    (own,), (moved,), (npz,) = ((tmp_path / n).iterdir() for n in ("own", "camera", "npz"))
    shift = read_ply(moved, 6880) - read_ply(own, 6880)
    trans = np.load(npz)["trans"][0]
    np.testing.assert_allclose(shift, np.broadcast_to(trans, shift.shape), atol=1e-5)
    # Crop of 480 px at scale 0.8: 192 px per metre, so 800 / 192 m away, along -z.
    assert trans[2] == pytest.approx(-800 / 192, rel=1e-5)


def test_namesakes_of_different_folders_have_different_names() -> None:
    assert source_name("/a/one.png") != source_name("/b/one.png")
    assert "/" not in source_name("/a/b c?.png") and " " not in source_name("/a/b c?.png")
    long = source_name("/a/" + "走" * 80 + ".png")
    assert len(long.encode()) < 100 and long.startswith("走走")


def test_ten_thousand_namesakes_have_different_names() -> None:
    assert len({source_name(f"/{folder}/one.png") for folder in range(10_000)}) == 10_000


def test_pictures_whose_names_print_the_same_have_files_of_their_own(
    example: Any, tmp_path: Path
) -> None:
    _twin_run(example[0], tmp_path / "run")
    assert export(tmp_path / "run", tmp_path / "out", "--format", "smpl-npz") == 0
    assert len(list((tmp_path / "out").iterdir())) == 2


def _twin_run(source: Path, target: Path) -> None:
    """A run of one picture, there twice: as of two files whose names no text can tell apart."""
    shutil.copytree(source, target)
    for table in ("people", "frames"):
        parts = list((target / table).iterdir())
        rows = pa.concat_tables([pq.read_table(part) for part in parts])
        row = rows.filter(pc.match_substring(rows["uri"], "astronaut")).slice(0, 1)
        place = rows.schema.get_field_index("item_id")
        twins = pa.concat_tables([row, row])
        twins = twins.set_column(place, rows.schema.field(place), pa.array(["one", "other"]))
        for part in parts[1:]:
            part.unlink()
        pq.write_table(twins, parts[0])


def test_a_file_never_takes_the_place_of_an_earlier_one(
    example: Any, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hierprob3d.pipelines.export._person_name", lambda row: "one")
    assert export(example[0], tmp_path, "--format", "ply") == 2
    assert "two people would be written to one.ply" in capsys.readouterr().err
    monkeypatch.setattr("hierprob3d.pipelines.export._person_name", lambda row: "../one")
    assert export(example[0], tmp_path / "out", "--format", "ply") == 2
    assert "'../one.ply' is no name of a file" in capsys.readouterr().err


def test_folders_with_special_characters(example: Any, tmp_path: Path) -> None:
    odd = tmp_path / "a::b {x} %20"
    shutil.copytree(example[0], odd)
    assert export(odd, odd / "out", "--format", "obj", "--filter", "person_index=1") == 0
    assert len(list((odd / "out").iterdir())) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--filter", "uri=*nobody*"], "matches"),
        (
            ["--filter", "height=2"],
            "no run has people with a column 'height'. Did you mean height_m?",
        ),
        (["--filter", "intersecting_left<1"], "no column intersecting_left to filter by"),
        (["--samples", "-1"], "--samples"),
        (["--focal-length", "0"], "--focal-length"),
        (["--focal-length", "nan"], "--focal-length"),
        (["--focal-length", "inf"], "--focal-length"),
        (["--body-model", "/no/such/SMPL_NEUTRAL.pkl"], "/no/such/SMPL_NEUTRAL.pkl"),
    ],
)
def test_bad_usage_is_one_line_and_code_2(
    example: Any, tmp_path: Path, capsys: Any, options: list[str], message: str
) -> None:
    folder, _ = example
    assert export(folder, tmp_path / "out", "--format", "obj", *options) == 2
    assert not (tmp_path / "out").exists()
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_track_of_a_run_without_tracks(example: Any, tmp_path: Path, capsys: Any) -> None:
    shutil.copytree(example[0], tmp_path / "run", ignore=shutil.ignore_patterns("tracks"))
    words = ["--format", "smpl-npz", "--filter", "track_id=3"]
    assert export(tmp_path / "run", tmp_path / "out", *words) == 2
    assert (
        "run has no tracks for --filter track_id: run `hierprob3d track" in capsys.readouterr().err
    )


def test_missing_folder_other_folder_and_empty_run(tmp_path: Path, capsys: Any) -> None:
    assert export(tmp_path / "nowhere", tmp_path / "out", "--format", "obj") == 2
    assert "there is no folder" in capsys.readouterr().err
    (tmp_path / "photos").mkdir()
    assert export(tmp_path / "photos", tmp_path / "out", "--format", "obj") == 2
    assert "not the output of a prediction run" in capsys.readouterr().err
    OutputFolder(str(tmp_path / "empty")).create()
    assert export(tmp_path / "empty", tmp_path / "out", "--format", "obj") == 2
    assert "holds no people" in capsys.readouterr().err


def test_a_target_that_cannot_be_written_is_one_line(
    example: Any, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "file").write_text("")
    assert export(example[0], tmp_path / "file" / "below", "--format", "smpl-npz") == 2
    error = capsys.readouterr().err
    assert "file" in error and error.count("\n") == 1


def test_another_body_than_the_recorded_one_is_refused(
    example: Any, tmp_path: Path, capsys: Any
) -> None:
    folder, _ = example
    other = Path(load_body("open", "male").path)
    assert export(folder, tmp_path, "--format", "obj", "--body-model", str(other)) == 2
    error = capsys.readouterr().err
    assert load_body("open").sha256[:12] in error and load_body("open", "male").sha256[:12] in error
    assert not list(tmp_path.iterdir())
