"""A run over inputs that would cost it its memory or hours: an error row each, the others done."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tools.soak.inputs import (
    write_endless_jpeg,
    write_growing_clip,
    write_heavy_png,
    write_playlist,
)

from hierprob3d.transforms.prediction import shard_worker
from tests.pipelines.conftest import copy_person, read_rows, status_by_name

BUDGET_BYTES = 30_000_000
ONLY_FOR_THE_PROCESS = 2 * 2**30
HEAVY_SIDE = 7000
REASONS = {
    "heavy.png": "memory",
    "endless.jpg": "1001 scans",
    "growing.avi": "megapixels",
    "playlist.mp4": "not a readable video",
    "unknown.avi": "codec",
}


def test_each_is_one_error_row_and_the_others_are_done(
    predict: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_worker, "decode_budget_bytes", lambda num_processes: BUDGET_BYTES)
    inputs, output = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    copy_person(inputs / "person.png")
    write_heavy_png(inputs / "heavy.png", side=3000)
    write_endless_jpeg(inputs / "endless.jpg", side=160, num_scans=1000)
    write_growing_clip(inputs / "growing.avi", (64, 64, 1200, 64))
    write_playlist(inputs / "playlist.mp4")
    write_growing_clip(inputs / "unknown.avi", (64, 64))
    unknown = (inputs / "unknown.avi").read_bytes().replace(b"MJPG", b"CRAW")
    (inputs / "unknown.avi").write_bytes(unknown)
    words = (inputs, "--max-megapixels", 10, "--shard-size", 2, "--no-uncertainty")
    assert predict(*words, "--max-failed-ratio", 0.9, "--output", output) == 0
    expected = {name: "failed" for name in REASONS if name != "growing.avi"}
    expected |= {f"growing.avi#{number}": "no_person" for number in (0, 1, 3)}
    assert status_by_name(output) == expected | {"person.png": "ok", "growing.avi#2": "failed"}
    errors = read_rows(output, "errors").to_pylist()
    messages = {Path(row["uri"]).name: row["message"] for row in errors}
    assert len(errors) == len(REASONS)
    for name, reason in REASONS.items():
        assert reason in messages[name], messages[name]


@contextmanager
def control_group(num_bytes: int) -> Iterator[Path]:
    """This process in a control group of its own with so much memory, or a skip."""
    own = dict(
        line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines()
    )
    layouts = {"memory": ("memory", "memory.limit_in_bytes"), "": ("", "memory.max")}
    for controllers, (mount, limit) in layouts.items():
        before = Path("/sys/fs/cgroup", mount, own.get(controllers, "/").lstrip("/"))
        group = before / f"hierprob3d-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(str(num_bytes))
            (group / "cgroup.procs").write_text(str(os.getpid()))
        except OSError:
            group.rmdir()
            continue
        try:
            yield group
        finally:
            (before / "cgroup.procs").write_text(str(os.getpid()))
            group.rmdir()
        return
    pytest.skip("no control group with a memory limit can be made here")


def test_what_a_control_group_has_no_memory_for_is_an_error_row(
    predict: Callable[..., int], tmp_path: Path
) -> None:
    inputs, output = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    copy_person(inputs / "person.png")
    write_heavy_png(inputs / "heavy.png", side=HEAVY_SIDE)
    with control_group(ONLY_FOR_THE_PROCESS):
        assert predict(inputs, "--no-uncertainty", "--output", output) == 0
    assert status_by_name(output) == {"heavy.png": "failed", "person.png": "ok"}
    (error,) = read_rows(output, "errors").to_pylist()
    assert "memory" in error["message"]


@pytest.mark.parametrize("content", [5, None, [1, [2.5]], {"v_template": None}])
def test_a_pickle_of_something_else_is_no_body(
    content: object, predict: Callable[..., int], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "body.pkl").write_bytes(pickle.dumps(content, 2))
    words = (copy_person(tmp_path / "person.png"), "--body-model", tmp_path / "body.pkl")
    assert predict(*words, "--output", tmp_path / "out") == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and "body.pkl" in errors and "Traceback" not in errors
