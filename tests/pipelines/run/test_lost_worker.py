"""What is said of a worker that ended: true cause, own last words."""

from __future__ import annotations

from pathlib import Path

import pytest

from hierprob3d.pipelines.run.lost_worker import LostWorker

FAILED = "Traceback (most recent call last):\n  File x\nModuleNotFoundError: No module named 'y'\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Its stderr, empty."""
    (tmp_path / "worker_3.log").touch()
    return tmp_path / "worker_3.log"


def test_a_failing_worker_is_quoted_and_memory_is_not_blamed(log: Path) -> None:
    log.write_text(f"a warning\n{FAILED}")
    (log.parent / "worker_4.log").write_text("of another one")
    lost = LostWorker.of(1, log, kernel_killed=False)
    assert str(lost) == (
        "a worker process ended (exit code 1): ModuleNotFoundError: No module named 'y'"
    )
    assert lost.traceback == FAILED


def test_a_native_abort_is_named(log: Path) -> None:
    log.write_text("terminate called without an active exception\n")
    lost = LostWorker.of(-6, log, kernel_killed=False)
    assert str(lost) == (
        "a worker process ended (signal SIGABRT): terminate called without an active exception"
    )
    assert lost.traceback == ""


@pytest.mark.parametrize(
    ("code", "words", "kernel_killed", "said"),
    [
        (-9, "", False, "often for want of memory"),
        (-9, "", True, "the kernel ended it for want of memory"),
        (1, "MemoryError", False, "it wanted more memory than there is"),
    ],
)
def test_want_of_memory_is_named_where_it_was(
    code: int, words: str, kernel_killed: bool, said: str, log: Path
) -> None:
    log.write_text(words)
    lost = LostWorker.of(code, log, kernel_killed)
    assert f"; {said}: try fewer with --direct_num_workers" in str(lost)


def test_nothing_written_and_bytes_that_are_no_text(log: Path) -> None:
    assert str(LostWorker.of(3, log, False)) == "a worker process ended (exit code 3)"
    log.write_bytes(b"caf\xe9\n\n")
    assert str(LostWorker.of(3, log, False)).endswith("(exit code 3): caf\ufffd")
