"""Runs that end early: the next one completes the work, nothing lost and nothing twice.

Kills of real processes are those of `make soak`, of which `tests/tools` makes a few.
"""

from __future__ import annotations

import json
import os
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
from PIL import Image

from tests.pipelines.conftest import PEDESTRIANS, copy_person, read_rows

NUM_PICTURES = 5
IN_A_WORKER = ("--direct_running_mode", "multi_processing", "--direct_num_workers", "1")
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
    """A run with a worker process that has just published its first shard."""
    words = [*command, str(inputs), str(PEDESTRIANS), "--output", str(tmp_path), *IN_A_WORKER,
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
    _, errors = long_run.communicate(timeout=200)
    assert long_run.returncode == (75 if kind == signal.SIGTERM else 130), errors.decode()
    assert "the same command goes on from here" in errors.decode()
    assert "Traceback" not in errors.decode()
    manifest = manifest_of(tmp_path)
    assert manifest["status"] == "stopped"
    assert 0 < manifest["counts"]["items"] < manifest["items_planned"]
