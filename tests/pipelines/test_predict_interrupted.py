"""Runs that are killed: the next one completes the work, nothing lost and nothing twice."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conftest import PEDESTRIANS, copy_person, read_rows, status_by_name
from PIL import Image

NUM_PICTURES = 5
PARALLEL = ("--direct_running_mode", "multi_processing", "--direct_num_workers", "2")
OPTIONS = ("--frame-step", "9", "--shard-size", "1")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with and without a person, and one that cannot be read."""
    folder = tmp_path_factory.mktemp("inputs")
    for number in range(NUM_PICTURES):
        copy_person(folder / f"{number}.png")
    Image.new("RGB", (64, 64)).save(folder / "nobody.png")
    (folder / "bad.jpg").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def undisturbed(
    inputs: Path, predict: Callable[..., int], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Results of a run in this process that nobody stopped."""
    output = tmp_path_factory.mktemp("undisturbed")
    assert predict(inputs, PEDESTRIANS, *OPTIONS, "--output", output) == 0
    return output


def assert_equal_results(a: Path, b: Path) -> None:
    """The same rows in all tables, but for run ids and times."""
    for table in ("frames", "errors", "people"):
        left, right = (
            rows.drop_columns([name for name in ("run_id", "seconds") if name in rows.column_names])
            for rows in (read_rows(a, table), read_rows(b, table))
        )
        assert left.num_rows == right.num_rows, table
        for name in left.column_names:
            if pa.types.is_fixed_size_list(left[name].type):
                pairs = [np.stack(t[name].to_pylist()).astype(float) for t in (left, right)]
                np.testing.assert_allclose(*pairs, rtol=1e-3, atol=1e-3, err_msg=name)
            elif pa.types.is_floating(left[name].type):
                pairs = [np.array(t[name].to_pylist(), float) for t in (left, right)]
                np.testing.assert_allclose(*pairs, rtol=1e-3, err_msg=name)
            else:
                assert left[name].equals(right[name]), (table, name)


def kill_in_the_middle(command: list[str], environment: dict[str, str], output: Path) -> None:
    """Starts the command and kills it alone, at a random moment after its first shard."""
    process = subprocess.Popen(command, env=environment, start_new_session=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    deadline = time.monotonic() + 240
    while not list(output.glob("frames/part-*")):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "no shard was finished in time"
        time.sleep(0.02)
    time.sleep(random.uniform(0, 1.0))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_killed_and_rerun_equals_undisturbed(
    inputs: Path,
    undisturbed: Path,
    command: list[str],
    process_environment: dict[str, str],
    tmp_path: Path,
) -> None:
    # Also the equality of one process and several: the undisturbed run used one.
    words = [*command, str(inputs), str(PEDESTRIANS), *OPTIONS, "--output", str(tmp_path)]
    kill_in_the_middle([*words, *PARALLEL], process_environment, tmp_path)
    rerun = subprocess.run([*words, *PARALLEL], env=process_environment, capture_output=True)
    assert rerun.returncode == 0, rerun.stderr.decode()
    assert_equal_results(undisturbed, tmp_path)
    leftovers = [path.name for path in tmp_path.rglob(".tmp-*")]
    assert not leftovers


def test_leftovers_of_every_moment_are_swept(
    undisturbed: Path, inputs: Path, predict: Callable[..., int], tmp_path: Path
) -> None:
    """A shard stopped before any of its three files, or while one was written, is done again."""
    output = tmp_path / "out"
    shutil.copytree(undisturbed, output)
    marks = sorted((output / "frames").iterdir())
    for mark in marks[:3]:
        mark.unlink()  # stopped after people, before frames
    (output / "people" / marks[1].name).unlink(missing_ok=True)  # stopped before people
    (output / "people" / ".tmp-123-part-x-00001.parquet").write_bytes(b"half a file")
    assert predict(inputs, PEDESTRIANS, *OPTIONS, "--output", output) == 0
    assert_equal_results(undisturbed, output)
    assert not list(output.rglob(".tmp-*"))


def test_interrupted_dropping_is_completed(
    undisturbed: Path, inputs: Path, predict: Callable[..., int], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    shutil.copytree(undisturbed, output)
    ids = read_rows(output, "frames")["item_id"].to_pylist()[:2]
    # As if --overwrite had noted what to drop and was killed before dropping it.
    (output / "runs" / ".dropping.json").write_text(json.dumps(ids))
    assert predict(inputs, PEDESTRIANS, *OPTIONS, "--output", output) == 0
    assert_equal_results(undisturbed, output)


def test_second_run_into_a_folder_in_use_is_refused(
    undisturbed: Path, inputs: Path, predict: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from hierprob3d.transforms.store.output_folder import OutputFolder

    lock = OutputFolder(str(undisturbed)).lock_for_run()
    assert lock is not None
    try:
        assert predict(inputs, "--output", undisturbed) == 2
    finally:
        lock.release()
    assert "another run is writing" in capsys.readouterr().err


@pytest.fixture
def long_run(
    inputs: Path, command: list[str], process_environment: dict[str, str], tmp_path: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A run with two workers that has just published its first shard."""
    words = [*command, str(inputs), str(PEDESTRIANS), "--output", str(tmp_path), *PARALLEL,
             "--shard-size", "1"]  # fmt: skip
    process = subprocess.Popen(words, env=process_environment, stderr=subprocess.PIPE,
                               stdout=subprocess.PIPE, start_new_session=True)  # fmt: skip
    while not list(tmp_path.glob("frames/part-*")):
        assert process.poll() is None
        time.sleep(0.05)
    yield process
    process.kill()
    process.wait()


def manifest_of(output: Path) -> dict[str, Any]:
    (path,) = (output / "runs").glob("[!.]*.json")
    return json.loads(path.read_text())


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_so_and_takes_its_workers_along(
    kind: signal.Signals, long_run: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    os.kill(long_run.pid, kind)  # the run alone: its workers must learn of it from the run
    _, errors = long_run.communicate(timeout=60)
    assert long_run.returncode == (75 if kind == signal.SIGTERM else 130), errors.decode()
    assert "the same command goes on from here" in errors.decode()
    assert "Traceback" not in errors.decode()
    manifest = manifest_of(tmp_path)
    assert manifest["status"] == "stopped"
    assert 0 < manifest["counts"]["items"] < manifest["items_planned"]


def test_a_lost_worker_does_not_end_the_run(
    long_run: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    tasks = Path(f"/proc/{long_run.pid}/task")
    if not tasks.is_dir():
        pytest.skip("finding the workers needs /proc")
    workers = [int(pid) for task in tasks.iterdir()
               for pid in (task / "children").read_text().split()]  # fmt: skip
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)  # as the kernel does when memory is short
    _, errors = long_run.communicate(timeout=120)
    assert long_run.returncode == 0
    assert "a worker process ended" in errors.decode()
    assert "--direct_num_workers" in errors.decode()
    assert "tried again, item by item" in errors.decode()
    assert manifest_of(tmp_path)["status"] == "finished"
    statuses = status_by_name(tmp_path)
    assert {f"{number}.png" for number in range(NUM_PICTURES)} < set(statuses)
    assert statuses["pedestrians.mp4#27"] == "ok"
