"""Work in the command's own process: what stops it is told, not raised."""

from __future__ import annotations

import errno
import os
import signal

import pytest

from hierprob3d.pipelines.command.termination import Terminated
from hierprob3d.pipelines.run.ending import RunStopped, attempt_here


def test_work_that_ends_well_leaves_nothing_to_tell() -> None:
    done: list[int] = []
    assert attempt_here(lambda: done.append(1)) is None and done == [1]


def test_a_defect_is_told_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    problem = attempt_here(lambda: [][0])
    assert isinstance(problem, RunStopped) and str(problem) == "list index out of range"
    assert "IndexError" in capsys.readouterr().err


def test_a_full_disk_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fill() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    assert "No space left" in str(attempt_here(fill))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_it_is_known(number: signal.Signals) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it
    problem = attempt_here(lambda: os.kill(os.getpid(), number))
    signal.signal(signal.SIGINT, before)
    assert isinstance(problem, KeyboardInterrupt)
    assert isinstance(problem, Terminated) == (number == signal.SIGTERM)
