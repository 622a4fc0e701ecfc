"""A disk that fills while a run works: exit code 1 and one message; later the run goes on."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from hierprob3d.pipelines.command.cli import main
from hierprob3d.transforms.store.output_folder import OutputFolder
from tests.pipelines.conftest import copy_person, status_by_name

NearlyFullDisk = Callable[[int], AbstractContextManager[None]]


def test_a_disk_that_fills_midway(
    predict: Callable[..., int],
    nearly_full_disk: NearlyFullDisk,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy_person(tmp_path / "0.png")
    words = (tmp_path / "0.png", "--output", tmp_path / "out")
    with nearly_full_disk(6000):  # enough for the record of a run, not for people
        assert predict(*words) == 1
    errors = capsys.readouterr().err
    assert "The run stopped: " in errors and "File too large" in errors
    assert "Traceback" not in errors
    assert predict(*words) == 0
    assert status_by_name(tmp_path / "out") == {"0.png": "ok"}


def test_a_disk_that_is_full_from_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_space(self: OutputFolder, name: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", name)

    OutputFolder(str(tmp_path)).create()
    monkeypatch.setattr(OutputFolder, "names", no_space)
    assert main(["inspect", str(tmp_path)]) == 1
    assert "No space left on device" in capsys.readouterr().err
