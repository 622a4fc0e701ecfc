"""`hierprob3d predict` on real files, good and bad, with seeded weights and the bundled models."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.estimate.intersecting_samples import intersects
from hierprob3d.model.estimate.reconstruction import rebuild_samples
from hierprob3d.model.estimate.uncertainty import sample_spread
from hierprob3d.model.network.checkpoints import default_weights_path
from hierprob3d.pipelines.results.run_folder import read_run
from hierprob3d.transforms.batch.isolation import People
from hierprob3d.transforms.prediction.annotator import Annotator
from hierprob3d.transforms.tables.schema import (
    PeopleLayout,
    errors_schema,
    frames_schema,
    people_schema,
)
from tests.pipelines.conftest import PEDESTRIANS, PERSON, copy_person, read_rows, status_by_name

Predict = Callable[..., int]

BAD = {
    "empty.jpg": "the file is empty",
    "text.jpg": "not a picture of a known format",
    "truncated.png": "damaged picture",
    "huge.png": "20000 x 20000 px are more than the limit of 100 megapixels",
    "broken.mp4": "not a readable video",
}
SAVED = ("--save", "samples,vertices,intersections", "--drop-intersecting")
GOOD = ("person.png", "Jürgen läuft 走.PNG", "cmyk.JPEG", "rotated.jpg", "deep.tiff")


def make_zoo(folder: Path) -> None:
    """One file of every kind that was ever trouble."""
    person = Image.open(PERSON).convert("RGB")
    copy_person(folder / "person.png")
    person.save(folder / "Jürgen läuft 走.PNG")
    person.convert("CMYK").save(folder / "cmyk.JPEG", format="JPEG")
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: shown upright after a quarter turn clockwise
    person.rotate(90).save(folder / "rotated.jpg", exif=exif, quality=95)
    deep = np.asarray(person.convert("L")).astype(np.uint16) * 257
    Image.fromarray(deep).save(folder / "deep.tiff")
    Image.new("RGBA", (90, 60), (0, 0, 0, 0)).save(folder / "nobody.webp")
    Image.new("RGB", (1, 1)).save(folder / "dot.bmp")
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("this is no picture")
    (folder / "truncated.png").write_bytes(PERSON.read_bytes()[:100_000])
    Image.new("1", (20_000, 20_000)).save(folder / "huge.png")
    (folder / "broken.mp4").write_bytes(b"\0" * 1000)
    (folder / "notes.md").write_text("not an input")
    (folder / ".hidden.jpg").touch()


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory, predict: Predict) -> tuple[Path, Path, int]:
    """Inputs, results and exit code of one run over the zoo and a clip."""
    inputs, output = tmp_path_factory.mktemp("zoo with space"), tmp_path_factory.mktemp("out")
    make_zoo(inputs)
    code = predict(inputs, PEDESTRIANS, "--frame-step", 20, "--output", output,
                   *SAVED, "--visualise", "crops")  # fmt: skip
    return inputs, output, code


def test_every_input_has_one_row_and_its_status(zoo: tuple[Path, Path, int]) -> None:
    _, output, code = zoo
    expected = dict.fromkeys(GOOD, "ok") | dict.fromkeys(BAD, "failed")
    expected |= {"nobody.webp": "no_person", "dot.bmp": "no_person"}
    expected |= {"pedestrians.mp4#0": "ok", "pedestrians.mp4#20": "ok"}
    assert status_by_name(output) == expected
    assert code == 0  # 5 of 14 failed: below the default ratio of a half


def test_bad_files_become_error_rows_that_say_why(zoo: tuple[Path, Path, int]) -> None:
    rows = read_rows(zoo[1], "errors").to_pylist()
    messages = {Path(row["uri"]).name: row["message"] for row in rows}
    assert set(messages) == set(BAD)
    for name, reason in BAD.items():
        assert reason in messages[name]
    assert {row["stage"] for row in rows} == {"decode"}


def test_tables_have_exactly_the_columns_of_the_schema(zoo: tuple[Path, Path, int]) -> None:
    layout = PeopleLayout(
        num_vertices=6880, num_samples=4, drop_intersecting=True,
        save=frozenset({"samples", "vertices", "intersections"}),
    )  # fmt: skip
    for table, schema in {
        "people": people_schema(layout), "frames": frames_schema(), "errors": errors_schema()
    }.items():  # fmt: skip
        written = read_rows(zoo[1], table).schema
        assert written.equals(schema), table
        for field in schema:
            assert written.field(field.name).metadata == field.metadata
    metadata = read_rows(zoo[1], "people").schema.metadata
    assert metadata[b"body_family"] == b"openbody"
    assert json.loads(metadata[b"joint_names"])[0] == "pelvis"


def test_a_person_keeps_its_place_however_the_picture_is_stored(
    zoo: tuple[Path, Path, int],
) -> None:
    rows = {Path(row["uri"]).name: row for row in read_rows(zoo[1], "people").to_pylist()}
    faces = {name: np.reshape(rows[name]["keypoints"], (17, 3))[:5, :2] for name in GOOD}
    for name in GOOD:
        # Grey, JPEG and CMYK move nose, eyes and ears by a few pixels; a wrong turn by hundreds.
        assert np.abs(faces[name] - faces["person.png"]).max() < 15, name


def test_joints2d_are_the_stored_body_seen_by_the_stored_camera(
    zoo: tuple[Path, Path, int],
) -> None:
    # The full-frame formula of the README, written out: pelvis + joints3d through `camera`, `crop`.
    body = load_body("open")
    for row in read_rows(zoo[1], "people").to_pylist():
        scale, tx, ty = row["camera"]
        centre_x, centre_y, side = row["crop"]
        vertices = np.reshape(row["vertices"], (-1, 3)) + row["pelvis"]
        # The regressor works in any frame that is linear in the body's.
        coco = body.coco_regressor.numpy() @ vertices
        x = centre_x + side / 2 * scale * (coco[:, 0] + tx)
        y = centre_y + side / 2 * scale * (coco[:, 1] + ty)
        stored = np.reshape(row["joints2d"], (17, 2))
        np.testing.assert_allclose(stored, np.stack([x, y], 1), atol=0.05)
        keypoints = np.reshape(row["keypoints"], (17, 3))
        seen = keypoints[:, 2] > 0.5
        distance = np.linalg.norm(stored - keypoints[:, :2], axis=1)[seen].mean()
        assert row["reprojection_px"] == pytest.approx(distance, rel=1e-4)


def test_stored_samples_can_be_drawn_again_and_are_sorted(zoo: tuple[Path, Path, int]) -> None:
    row = next(read_run(zoo[1]).rows())
    assert list(row["samples_fit_px"]) == sorted(row["samples_fit_px"])
    _, joints = rebuild_samples(row)
    turned = joints.numpy() * (1, -1, -1)
    again = turned - turned[:, :1]
    stored = np.reshape(row["samples_joints3d"], (4, 24, 3))
    for sample in again:  # the stored ones are in another order
        assert np.abs(stored - sample).max(axis=(1, 2)).min() < 1e-4


def test_rows_tell_of_intersections(zoo: tuple[Path, Path, int]) -> None:
    people = read_rows(zoo[1], "people")
    depth, share, left = (
        people[name].to_numpy()
        for name in ("self_intersection_m", "intersecting_share", "intersecting_left")
    )
    assert (depth >= 0).all() and depth.max() < 0.3
    assert set(share) <= {0, 0.25, 0.5, 0.75, 1} and (left <= share).all()
    poses = torch.tensor(people["samples_pose"].to_pylist()).view(-1, 4, 23, 3, 3)
    still = intersects(poses).float().mean(1).numpy()
    np.testing.assert_array_equal(still, left)


def test_pictures_are_drawn_for_every_person(zoo: tuple[Path, Path, int]) -> None:
    num_people = read_rows(zoo[1], "people").num_rows
    pictures = sorted((zoo[1] / "pictures").iterdir())
    assert len(pictures) == num_people
    assert Image.open(pictures[0]).size[0] == 1024  # two squares of 512


def test_manifest_names_models_and_counts(zoo: tuple[Path, Path, int]) -> None:
    (path,) = (zoo[1] / "runs").glob("*.json")
    manifest = json.loads(path.read_text())
    assert manifest["status"] == "finished"
    assert manifest["counts"]["items"] == 14
    assert manifest["counts"]["failed"] == len(BAD)
    assert manifest["errors_by_stage"] == {"decode": len(BAD)}
    assert set(manifest["model_files"]) == {"weights", "body_model", "detector", "keypoints"}
    assert all(len(file["sha256"]) == 64 for file in manifest["model_files"].values())
    assert {"decode", "detect", "keypoints", "proxy", "distribution", "body", "sample"} <= set(
        manifest["stage_seconds"]
    )
    assert manifest["config"]["sampling"]["seed"] == 0
    assert manifest["keypoint_threshold"] == 0.5


def test_rerun_does_only_what_is_missing(
    zoo: tuple[Path, Path, int], predict: Predict, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    inputs, output = tmp_path / "in", tmp_path / "out"
    shutil.copytree(zoo[1], output)
    before = read_rows(output, "people")
    shutil.copytree(zoo[0], inputs)
    # Same files under new names are new items; the old ones are done wherever they are listed.
    (tmp_path / "list.txt").write_text(f"{zoo[0]}/person.png\n{zoo[0]}/text.jpg\nin/person.png\n")
    assert predict(tmp_path / "list.txt", "--output", output, *SAVED) == 0
    after = read_rows(output, "people")
    assert after.num_rows == before.num_rows + 1
    assert len(set(after["run_id"].to_pylist())) == 2
    assert predict(tmp_path / "list.txt", "--output", output, *SAVED) == 0
    assert "all 3 items are finished" in capsys.readouterr().out
    assert read_rows(output, "people").equals(after)


def test_retry_failed_replaces_the_error_by_its_result(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    picture = tmp_path / "in" / "late.png"
    whole = PERSON.read_bytes()
    picture.write_bytes(whole[:50_000] + bytes(len(whole) - 50_000))
    copy_person(tmp_path / "in" / "fine.png")
    options = (tmp_path / "in", "--output", tmp_path / "out", "--max-failed-ratio", 0.4)
    assert predict(*options) == 1  # one of two failed
    kept = read_rows(tmp_path / "out", "people")
    written = picture.stat().st_mtime_ns
    copy_person(picture)
    os.utime(picture, ns=(written, written))  # as a store that was out of order for a while
    assert predict(*options) == 1  # nothing new to do, and what is finished is as before
    assert status_by_name(tmp_path / "out") == {"late.png": "failed", "fine.png": "ok"}
    assert predict(*options, "--retry-failed") == 0
    assert status_by_name(tmp_path / "out") == {"late.png": "ok", "fine.png": "ok"}
    assert not list((tmp_path / "out" / "errors").glob("*.parquet"))
    people = read_rows(tmp_path / "out", "people")
    assert people.num_rows == 2
    (row,) = [row for row in people.to_pylist() if row["uri"].endswith("fine.png")]
    assert row == kept.to_pylist()[0]  # untouched


def test_overwrite_replaces_rows_of_the_inputs_only(predict: Predict, tmp_path: Path) -> None:
    first, second = copy_person(tmp_path / "1.png"), copy_person(tmp_path / "2.png")
    assert predict(first, second, "--output", tmp_path / "out") == 0
    assert predict(first, "--output", tmp_path / "out", "--overwrite", "--seed", 7) == 0
    seeds = {
        Path(row["uri"]).name: row["seed"]
        for row in read_rows(tmp_path / "out", "people").to_pylist()
    }
    assert seeds == {"1.png": 7, "2.png": 0}
    assert status_by_name(tmp_path / "out") == {"1.png": "ok", "2.png": "ok"}


def test_a_person_does_not_depend_on_the_others_of_its_batch(
    predict: Predict, tmp_path: Path
) -> None:
    options = ("--limit", 3, "--save", "samples")
    assert predict(PEDESTRIANS, "--output", tmp_path / "a", *options, "--batch-size", 16) == 0
    assert predict(PEDESTRIANS, "--output", tmp_path / "b", *options, "--batch-size", 1) == 0
    a, b = (read_rows(tmp_path / name, "people") for name in "ab")
    assert_same_people(a, b)


def assert_same_people(a: pa.Table, b: pa.Table) -> None:
    """The same people with the same numbers, up to rounding (a network of random weights)."""
    assert a["item_id"].equals(b["item_id"]) and a["person_index"].equals(b["person_index"])
    for name in ("bbox", "keypoints", "pose_F", "pose_mode", "joints3d", "joint_spread_m"):
        left, right = (np.stack(t[name].to_pylist()).astype(float) for t in (a, b))
        np.testing.assert_allclose(left, right, atol=5e-3 * np.abs(left).max(), err_msg=name)


def test_nan_fails_only_its_person(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hierprob3d.transforms.prediction import stages

    make_proxies = stages.make_proxies

    def spoil_second_person(people: People, *rest: object) -> dict:
        columns = make_proxies(people, *rest)
        columns["proxy"][[index == 1 for index in people.person_indices]] = float("nan")
        return columns

    assert predict(PEDESTRIANS, "--limit", 1, "--output", tmp_path / "good") == 0
    monkeypatch.setattr(stages, "make_proxies", spoil_second_person)
    assert predict(PEDESTRIANS, "--limit", 1, "--output", tmp_path / "bad") == 0
    good, bad = (read_rows(tmp_path / name, "people") for name in ("good", "bad"))
    (error,) = read_rows(tmp_path / "bad", "errors").to_pylist()
    assert (error["person_index"], error["stage"]) == (1, "proxy")
    assert error["error"] == "NotFinite"
    others = good.filter(pa.array([row != 1 for row in good["person_index"].to_pylist()]))
    assert_same_people(others, bad)
    assert status_by_name(tmp_path / "bad") == {"pedestrians.mp4#0": "ok"}


def test_an_exception_in_a_batch_fails_only_the_guilty(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hierprob3d.transforms.prediction import distributions as distribution

    place_bodies = distribution.place_bodies

    def refuse_third_person(people: People, *rest: object) -> dict:
        if 2 in people.person_indices:
            raise RuntimeError("third person")
        return place_bodies(people, *rest)

    monkeypatch.setattr(distribution, "place_bodies", refuse_third_person)
    assert predict(PEDESTRIANS, "--limit", 1, "--output", tmp_path) == 0
    (error,) = read_rows(tmp_path, "errors").to_pylist()
    assert (error["person_index"], error["stage"], error["error"]) == (2, "body", "RuntimeError")
    assert error["traceback"].endswith("RuntimeError: third person") and error["attempts"] == 1
    assert "in refuse_third_person" in error["traceback"]
    indices = read_rows(tmp_path, "people")["person_index"].to_pylist()
    assert 2 not in indices and len(indices) >= 3


def test_a_frame_that_breaks_the_detector_leaves_the_others(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hierprob3d.model.people.person_detectors import MoveNetDetector

    detect_batch = MoveNetDetector.detect_batch

    def refuse_small(self: MoveNetDetector, images: list[np.ndarray]) -> list:
        if any(image.shape[0] == 40 for image in images):
            raise RuntimeError("too small for me")
        return detect_batch(self, images)

    monkeypatch.setattr(MoveNetDetector, "detect_batch", refuse_small)
    Image.new("RGB", (40, 40)).save(tmp_path / "small.png")
    copy_person(tmp_path / "person.png")
    assert predict(tmp_path, "--output", tmp_path / "out") == 0
    assert status_by_name(tmp_path / "out") == {"small.png": "failed", "person.png": "ok"}
    assert read_rows(tmp_path / "out", "errors")["stage"].to_pylist() == ["detect"]


def test_cropped_images_need_no_detector_and_any_size_passes(
    predict: Predict, tmp_path: Path
) -> None:
    copy_person(tmp_path / "person.png")
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    options = ("--cropped-images", "--no-uncertainty")
    assert predict(tmp_path, "--output", tmp_path / "out", *options) == 0
    rows = {Path(r["uri"]).name: r for r in read_rows(tmp_path / "out", "people").to_pylist()}
    assert rows["person.png"]["bbox"] == [0, 0, 512, 512]
    # The paper enlarges a cropped picture all the same: 512 to 3:4 and by 1.2.
    assert rows["person.png"]["crop"] == pytest.approx([256, 256, 512 * 4 / 3 * 1.2])
    assert "joint_spread_m" not in rows["person.png"]
    assert "dot.png" in rows


def test_people_centre_keeps_one_per_picture(predict: Predict, tmp_path: Path) -> None:
    assert predict(PEDESTRIANS, "--limit", 2, "--people", "centre", "--output", tmp_path) == 0
    assert read_rows(tmp_path, "people")["person_index"].to_pylist() == [0, 0]


def test_paper_uncertainty_is_smaller_than_with_sampled_shape_and_root(
    predict: Predict, tmp_path: Path
) -> None:
    # Draws depend on where the picture lies: only weights sure of the pose show the difference.
    sure = ("--weights", default_weights_path(), "--num-samples", "50")
    assert predict(PERSON, "--output", tmp_path / "a", *sure) == 0
    assert predict(PERSON, "--output", tmp_path / "b", *sure, "--paper-uncertainty") == 0
    sampled, mean = (
        np.mean(read_rows(tmp_path / name, "people")["joint_spread_m"].to_pylist()[0])
        for name in "ab"
    )
    assert 0 < mean < sampled
    # A row alone gives the samples back, by the rule of its run.
    for name in "ab":
        for row in read_run(tmp_path / name).rows():
            _, joints = rebuild_samples(row)
            assert joints.shape == (50, 24, 3)
            spread = sample_spread((joints - joints[:, :1])[None])[0].numpy()
            np.testing.assert_allclose(spread, row["joint_spread_m"], atol=1e-5)


def test_dry_run_writes_nothing(
    predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(PERSON, PEDESTRIANS, "--output", tmp_path / "out", "--dry-run") == 0
    assert "1 picture and 28 frames of 1 video would" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_empty_folder_is_nothing_processed(
    predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.md").touch()
    assert predict(tmp_path / "in", "--output", tmp_path / "out") == 1
    assert "no picture or video (1 other file skipped)" in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("*.parquet"))


def test_memory_filesystem_as_input_and_output(predict: Predict) -> None:
    import fsspec

    fs = fsspec.filesystem("memory")
    fs.pipe_file("/in/person.png", PERSON.read_bytes())
    try:
        assert predict("memory://in", "--output", "memory://out") == 0
        assert len(fs.glob("/out/people/part-*.parquet")) == 1
        assert predict("memory://in/*.png", "--output", "memory://out") == 0  # the same item
        assert len(fs.glob("/out/frames/part-*.parquet")) == 1
    finally:
        fs.rm("/", recursive=True)


def test_annotator_is_usable_without_beam() -> None:
    # The stages are plain functions: nothing of Beam is needed to call them.
    assert "apache_beam" not in Annotator.__init__.__globals__
