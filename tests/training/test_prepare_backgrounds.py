from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from hierprob3d.pipelines.command.cli import main
from hierprob3d.training.prepare_backgrounds import KEPT, PEOPLE, RECORD, TOO_SMALL, UNREADABLE

DEMO = Path(__file__).parents[2] / "model" / "assets" / "demo"


@pytest.fixture()
def lsun(tmp_path: Path) -> Path:
    """Eight bedrooms as nested webp, two kitchens as jpg, and three files of no use."""
    folder = tmp_path / "lsun"
    for number in range(8):
        _save(folder / "bedroom_train" / "a" / str(number) / f"{number}.webp", (10, 10, 200))
    for number in range(2):
        _save(folder / "kitchen_train" / f"{number}.jpg", (200, 200, 10))
    _save(folder / "kitchen_train" / "strip.png", (0, 200, 10), (400, 40))
    (folder / "kitchen_train" / "broken.jpg").write_bytes(b"not a picture")
    whole = (folder / "kitchen_train" / "0.jpg").read_bytes()
    (folder / "kitchen_train" / "torn.jpg").write_bytes(whole[: len(whole) // 2])
    return folder


def _save(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (400, 300)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def _prepare(folder: Path, output: Path, *options: str) -> int:
    return main(["prepare-backgrounds", str(folder), "--output", str(output), *options])


def _outcomes(output: Path) -> dict[str, str]:
    return dict(json.loads(line) for line in (output / RECORD).read_text().splitlines()[1:])


def test_usable_pictures_are_shrunk_and_numbered(
    lsun: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    output = tmp_path / "out"
    assert _prepare(lsun, output, "--size", "150") == 0
    pictures = sorted(output.glob("*.jpg"))
    assert [path.stem for path in pictures] == [f"{number:06d}" for number in range(10)]
    assert {Image.open(path).size for path in pictures} == {(200, 150)}
    assert "10 kept" in capsys.readouterr().out
    reasons = {Path(source).name: reason for source, reason in _outcomes(output).items()}
    assert reasons["broken.jpg"] == reasons["torn.jpg"] == UNREADABLE
    assert reasons["strip.png"] == TOO_SMALL


def test_a_few_are_drawn_evenly_and_a_higher_limit_adds_to_them(lsun: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert _prepare(lsun, output, "--limit", "4") == 0
    scenes = [Path(source).parts[0] for source in _outcomes(output)]
    assert scenes[:4] == ["bedroom_train", "kitchen_train"] * 2
    assert len(list(output.glob("*.jpg"))) == 4
    first = (output / "000003.jpg").stat().st_mtime_ns
    assert _prepare(lsun, output, "--limit", "6") == 0
    assert len(list(output.glob("*.jpg"))) == 6
    assert (output / "000003.jpg").stat().st_mtime_ns == first


def test_a_killed_run_goes_on(lsun: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert _prepare(lsun, whole) == 0
    shutil.copytree(whole, killed)
    text = (killed / RECORD).read_text()
    (killed / RECORD).write_text(text[: len(text) // 2])  # the last line is torn
    assert _prepare(lsun, killed) == 0
    assert (killed / RECORD).read_text() == text
    for picture in whole.glob("*.jpg"):
        assert (killed / picture.name).read_bytes() == picture.read_bytes()


def test_only_the_named_scenes(lsun: Path, tmp_path: Path) -> None:
    assert _prepare(lsun, tmp_path / "out", "--scenes", "kitchen*") == 0
    assert {Path(source).parts[0] for source in _outcomes(tmp_path / "out")} == {"kitchen_train"}


def test_pictures_with_people_are_left_out(lsun: Path, tmp_path: Path) -> None:
    shutil.copy(DEMO / "astronaut.png", lsun / "kitchen_train")
    options = ("--without-people", "--scenes", "kitchen*")
    assert _prepare(lsun, tmp_path / "out", *options) == 0
    outcomes = {Path(source).name: end for source, end in _outcomes(tmp_path / "out").items()}
    assert outcomes["astronaut.png"] == PEOPLE and outcomes["0.jpg"] == KEPT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--size", "200"], "choose another --output"),
        (["--limit", "0"], "--limit must be at least 1"),
        (["--size", "20"], "--size must be at least 128"),
        (["--scenes", "cellar*"], "in a sub-folder cellar*"),
    ],
)
def test_a_wrong_request_is_one_line(
    lsun: Path, tmp_path: Path, capsys: pytest.CaptureFixture, change: list[str], message: str
) -> None:
    assert _prepare(lsun, tmp_path / "out", "--limit", "1") == 0
    capsys.readouterr()
    assert _prepare(lsun, tmp_path / "out", *change) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_folders_without_use_are_named(
    lsun: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    cases = (
        (empty, tmp_path / "out", "LSUN's lmdb files must be exported"),
        (tmp_path / "nowhere", tmp_path / "out", "no folder"),
        (lsun, lsun / "out", "choose an --output outside"),
    )
    for folder, output, message in cases:
        assert _prepare(folder, output) == 2
        assert message in capsys.readouterr().err
    (empty / "broken.jpg").write_bytes(b"not a picture")
    assert _prepare(empty, tmp_path / "out") == 2
    assert "can be used: {'unreadable': 1}" in capsys.readouterr().err
    other = tmp_path / "other"
    shutil.copytree(lsun / "kitchen_train", other)
    assert _prepare(lsun, other) == 2
    assert "holds other pictures" in capsys.readouterr().err
