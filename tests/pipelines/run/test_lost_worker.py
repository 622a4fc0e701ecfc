"""What is said of a worker that ended: true cause, own last words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hierprob3d.pipelines.run.lost_worker import LostWorker

BEAM = "Worker subprocess exited with return code {}"
FAILED = "Traceback (most recent call last):\n  File x\nModuleNotFoundError: No module named 'y'\n"


@pytest.fixture
def dead() -> int:
    """Id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def write_log(folder: Path, process_id: int, text: str) -> None:
    (folder / f"worker-{process_id}.log").write_text(text)


def test_a_failing_worker_is_quoted_and_memory_is_not_blamed(tmp_path: Path, dead: int) -> None:
    write_log(tmp_path, dead, f"a warning\n{FAILED}")
    write_log(tmp_path, os.getpid(), "of one that is alive")
    lost = LostWorker.of(BEAM.format(1), tmp_path, kernel_killed=False)
    assert str(lost) == (
        "a worker process ended (exit code 1): ModuleNotFoundError: No module named 'y'"
    )
    assert lost.traceback == FAILED


def test_a_native_abort_is_named(tmp_path: Path, dead: int) -> None:
    write_log(tmp_path, dead, "terminate called without an active exception\n")
    lost = LostWorker.of(BEAM.format(-6), tmp_path, kernel_killed=False)
    assert str(lost) == (
        "a worker process ended (signal SIGABRT): terminate called without an active exception"
    )
    assert lost.traceback == ""


@pytest.mark.parametrize(
    ("code", "words", "kernel_killed", "said"),
    [
        (-9, "", False, "often for want of memory"),
        (137, "", False, "often for want of memory"),
        (-9, "", True, "the kernel ended it for want of memory"),
        (1, "MemoryError", False, "it wanted more memory than there is"),
    ],
)
def test_want_of_memory_is_named_where_it_was(
    code: int, words: str, kernel_killed: bool, said: str, tmp_path: Path, dead: int
) -> None:
    write_log(tmp_path, dead, words)
    lost = LostWorker.of(BEAM.format(code), tmp_path, kernel_killed)
    assert f"; {said}: try fewer with --direct_num_workers" in str(lost)


def test_nothing_written_and_bytes_that_are_no_text(tmp_path: Path, dead: int) -> None:
    assert str(LostWorker.of(BEAM.format(3), tmp_path, False)) == (
        "a worker process ended (exit code 3)"
    )
    (tmp_path / f"worker-{dead}.log").write_bytes(b"caf\xe9\n\n")
    assert str(LostWorker.of(BEAM.format(3), tmp_path, False)).endswith("(exit code 3): caf\ufffd")
