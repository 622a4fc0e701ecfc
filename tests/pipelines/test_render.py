"""Pictures drawn afterwards are those that the run draws; what is gone is named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from earlier_run import SCHEMA1_RUN
from example_run import ASTRONAUT, write_example_run

from hierprob3d.pipelines import render
from hierprob3d.pipelines.command.cli import main
from hierprob3d.transforms.store.output_folder import OutputFolder
from tests.pipelines.conftest import PEDESTRIANS, PERSON

KINDS = "crops,figure,uncropped,samples"
OPTIONS = ("--frame-step", "20", "--refine", "--picture-format", "png")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for path in (PERSON, PEDESTRIANS):
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def run(
    inputs: Path, predict: Callable[..., int], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run that drew everything."""
    output = tmp_path_factory.mktemp("render") / "out"
    assert predict(inputs, "--output", output, "--visualise", KINDS, *OPTIONS) == 0
    return output


def drawn(folder: Path) -> dict[str, np.ndarray]:
    return {p.name: cv2.imread(str(p)).astype(int) for p in sorted(folder.glob("*.png"))}


def frames_of(video: Path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(video)) as container:
        return [
            (frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)
        ]


def test_pictures_are_those_of_the_run(run: Path, tmp_path: Path) -> None:
    words = ["--output", str(tmp_path), "--visualise", KINDS, "--frames", "--picture-format", "png"]
    assert main(["render", str(run), *words]) == 0
    expected, found = drawn(run / "pictures"), drawn(tmp_path)
    assert found.keys() == expected.keys() and len(found) > 10
    for name, picture in found.items():
        assert np.abs(picture - expected[name]).mean() < 0.05, name
    [video] = tmp_path.glob("*.mp4")
    frames = frames_of(video)
    [stem] = {name.split("-frame")[0] for name in found if "-frame" in name}
    assert video.name.startswith(f"{stem}-")
    uncropped = [
        picture[..., ::-1]
        for name, picture in found.items()
        if "-frame" in name and name.endswith("uncropped.png")
    ]
    assert len(frames) == len(uncropped)
    for (_, frame), picture in zip(frames, uncropped, strict=True):
        height, width = frame.shape[:2]
        assert np.abs(frame - picture[:height, :width]).mean() < 4, "as encoded"
    steps = np.diff([time for time, _ in frames])
    assert np.allclose(steps, steps[0], atol=1e-3) and steps[0] > 0.3, "played at its own pace"


def test_what_is_gone_is_named_and_its_people_stand_on_plain_ground(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_example_run(tmp_path, moved={ASTRONAUT: "/gone/astronaut.png"})
    words = ["--visualise", "uncropped,samples", "--uri", "/gone/*", "--picture-format", "png"]
    assert main(["render", str(tmp_path), *words]) == 0
    out, error = capsys.readouterr()
    assert "/gone/astronaut.png" in error and "plain ground" in error and error.count("\n") == 1
    assert out.startswith("2 pictures and 0 videos written to")
    pictures = drawn(tmp_path / "pictures")
    [whole] = [picture for name, picture in pictures.items() if "uncropped" in name]
    assert whole.shape[1] == 512
    ground = (whole == np.array([244, 240, 238])).all(-1).mean()
    assert 0.4 < ground < 0.95, "a body on plain ground"


def test_processes_draw_what_one_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_example_run(tmp_path / "run")
    words = ["render", str(tmp_path / "run"), "--picture-format", "png", "--output"]
    assert main([*words, str(tmp_path / "one")]) == 0
    alone = capsys.readouterr().out
    monkeypatch.setattr(render, "_MIN_FRAMES_FOR_PROCESSES", 1)
    monkeypatch.setattr(render, "default_workers", lambda *_, **__: 2)
    assert main([*words, str(tmp_path / "two")]) == 0
    assert capsys.readouterr().out == alone.replace("/one", "/two")
    expected, found = drawn(tmp_path / "one"), drawn(tmp_path / "two")
    assert found.keys() == expected.keys() and len(found) == 1
    for name, picture in found.items():
        np.testing.assert_array_equal(picture, expected[name])
    videos = [next((tmp_path / name).glob("*.mp4")).read_bytes() for name in ("one", "two")]
    assert videos[0] == videos[1]


def test_a_process_that_ends_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_example_run(tmp_path / "run")
    monkeypatch.setattr(render, "_MIN_FRAMES_FOR_PROCESSES", 1)
    monkeypatch.setattr(render, "default_workers", lambda *_, **__: 2)
    monkeypatch.setattr(render, "_open_renderer", os._exit)  # a configuration is no exit code
    assert main(["render", str(tmp_path / "run"), "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "a drawing process ended before its work" in error and error.count("\n") == 1


def test_a_run_of_schema_1_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--output", str(tmp_path), "--visualise", "crops,uncropped", "--uri", "*.png"]
    assert main(["render", str(SCHEMA1_RUN), *words]) == 0
    assert "/photos/astronaut.png" in capsys.readouterr().err
    names = [path.name for path in tmp_path.iterdir()]
    assert len(names) == 2 and all(name.startswith("astronaut-") for name in names)


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, empty, file = tmp_path / "run", tmp_path / "empty", tmp_path / "file"
    write_example_run(run)
    OutputFolder(str(empty)).create()
    file.write_text("")
    other = str(PERSON.parents[1] / "openbody" / "open_body_female.npz")
    cases = {
        ("nowhere",): "there is no folder",
        (str(tmp_path),): "is not the output of a prediction run",
        (str(empty),): "holds no people",
        (str(run), "--uri", "*.tif"): "matches --uri *.tif",
        (str(run), "--body-model", other): "SHA-256",
        (str(run), "--visualise", "meshes"): "meshes",
        (str(run), "--output", str(file / "below")): "file",
    }
    for words, said in cases.items():
        assert main(["render", *words]) == 2, words
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1, error
