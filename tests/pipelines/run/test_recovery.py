"""Items that take workers down become error rows; all others are done, by one command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from hierprob3d.model.files.bundled import ASSETS
from hierprob3d.pipelines.run import execution
from hierprob3d.pipelines.run.recovery import OVERDUE, Recovery, remaining
from hierprob3d.transforms.inputs.items import Item, Shard
from hierprob3d.transforms.store.marks import Mark, unpublished_marks, write_mark
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.tables.schema import frames_schema

PERSON = ASSETS / "demo" / "astronaut.png"
A, B, C = (Item(name, f"/{name}.png") for name in "abc")
SHARDS = [Shard(0, (A, B)), Shard(1, (C,))]


@pytest.fixture
def store(tmp_path: Path) -> OutputFolder:
    folder = OutputFolder(str(tmp_path / "out"))
    folder.create()
    return folder


def begun(store: OutputFolder, shard: str, *items: Item, overdue: str | None = None) -> None:
    write_mark(store, Mark("run", shard, tuple(item.item_id for item in items), overdue))


def alone(recovery: Recovery, done: set[str]) -> list[Item]:
    return [item for shard in recovery.shards_alone(iter(SHARDS), done) for item in shard.items]


def test_what_was_at_work_is_run_alone_and_refused_at_the_second_loss(store: OutputFolder) -> None:
    recovery = Recovery(store, "run")
    assert recovery.unsettled == set()
    begun(store, "00000", A, B)
    assert recovery.learn(set(), "killed", alone=False)
    assert alone(recovery, set()) == [A, B]
    begun(store, "00002", A)
    assert recovery.learn(set(), "killed", alone=True)
    assert alone(recovery, set()) == [replace(A, attempts=2), B]
    begun(store, "00004", A)
    assert recovery.learn(set(), "killed", alone=True)
    refused = replace(A, attempts=2, refusal="it took its worker process down twice: killed")
    assert alone(recovery, set()) == [refused, B]
    assert alone(recovery, {"a", "b"}) == []
    assert list(remaining(iter(SHARDS), {"a", "b"})) == [SHARDS[1]]


def test_what_ran_out_of_time_is_refused_at_once(store: OutputFolder) -> None:
    recovery = Recovery(store, "run")
    begun(store, "00000", A, overdue="a")
    assert recovery.learn(set(), "left", alone=False)
    assert alone(recovery, set()) == [replace(A, refusal=OVERDUE)]


def test_a_loss_of_which_nothing_can_be_learnt_ends_the_run(store: OutputFolder) -> None:
    assert not Recovery(store, "run").learn(set(), "could not start", alone=False)


def test_marks_of_published_shards_say_nothing(store: OutputFolder) -> None:
    begun(store, "00000", A)
    rows = pa.Table.from_pylist([{"item_id": "a", "status": "ok"}], frames_schema())
    store.write_table("frames/part-run-00000.parquet", rows)
    assert unpublished_marks(store) == [] and Recovery(store, "next").unsettled == set()
    begun(store, "00001", B)
    assert store.sweep() == 1 and list(store.read_marks()) == ["run-00001"]


def test_a_killed_run_leaves_its_suspects_to_the_next(store: OutputFolder) -> None:
    begun(store, "00001", C)
    store.write_mark("other", {"written": "by something else"})
    assert Recovery(store, "next").unsettled == {"c"}


POISONED = """
import ctypes, os, sys, time
from types import SimpleNamespace
from hierprob3d.transforms.batch import item_watch
from hierprob3d.transforms.prediction import decoding
read = decoding.read_picture
def poisoned(uri, *limits):
    if uri.endswith("deadly.png"):
        os.kill(os.getpid(), 9)
    if uri.endswith("stuck.png"):  # an hour passes at once: no test has to wait, nor to hurry
        later = lambda: time.monotonic() + 3600
        item_watch.time = SimpleNamespace(monotonic=later, sleep=time.sleep)
        ctypes.CDLL(None).sleep(600)
    return read(uri, *limits)
decoding.read_picture = poisoned
from {module} import main
sys.exit(main())
"""
IN_A_WORKER = POISONED.format(module="hierprob3d.pipelines.run.worker_process")
IN_THE_COMMAND = POISONED.format(module="hierprob3d.__main__")


def test_one_command_does_all_but_the_poisoned(
    predict: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = ["a", "b", "deadly", "stuck", "z"]
    (tmp_path / "in").mkdir()
    for name in names:
        shutil.copy(PERSON, tmp_path / "in" / f"{name}.png")
    script = f"import sys; sys.path[:] = {sys.path!r}\n{IN_A_WORKER}"
    monkeypatch.setattr(execution, "python_command", lambda module: [sys.executable, "-c", script])
    options = ("--direct_running_mode", "multi_processing", "--direct_num_workers", 1,
               "--shard-size", 2, "--no-uncertainty")  # fmt: skip
    assert predict(tmp_path / "in", "--output", tmp_path / "out", *options) == 0
    store = OutputFolder(str(tmp_path / "out"))
    statuses = {os.path.basename(item.name): item.status for item in store.finished_items()}
    expected = {f"{name}.png": "ok" for name in names}
    assert statuses == expected | {"deadly.png": "failed", "stuck.png": "failed"}
    (parts, said) = (store.parts("errors"), capsys.readouterr().err)
    errors = [row for part in parts for row in store.read_part(part).to_pylist()]
    by_name = {os.path.basename(row["uri"]): row for row in errors}
    assert "twice: a worker process ended (signal SIGKILL)" in by_name["deadly.png"]["message"]
    assert by_name["deadly.png"]["attempts"] == 2
    assert by_name["stuck.png"]["message"] == OVERDUE
    assert "a worker process ended (signal SIGKILL)" in said and "--direct_num_workers" in said
    assert "tried again, item by item" in said and "Traceback" not in said
    (record,) = (tmp_path / "out" / "runs").glob("[!.]*.json")
    assert json.loads(record.read_text())["status"] == "finished"
    assert store.read_marks() == {} and store.names("runs") != []


def test_a_command_that_is_stuck_itself_begins_anew(
    command: list[str], process_environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "stuck", "z"):
        shutil.copy(PERSON, tmp_path / "in" / f"{name}.png")
    words = [
        *command[3:],
        str(tmp_path / "in"),
        "--output",
        str(tmp_path / "out"),
        "--no-uncertainty",
    ]
    ended = subprocess.run([sys.executable, "-c", IN_THE_COMMAND, *words], env=process_environment,
                           capture_output=True, text=True, timeout=250)  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "begins anew without it" in ended.stderr and "Traceback" not in ended.stderr
    store = OutputFolder(str(tmp_path / "out"))
    statuses = {os.path.basename(item.name): item.status for item in store.finished_items()}
    assert statuses == {"a.png": "ok", "stuck.png": "failed", "z.png": "ok"}
