"""Pipes that nobody reads: every command ends as it would have, and says nothing of it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hierprob3d.pipelines.command.output_streams import said_if_slow, unbroken_output
from hierprob3d.transforms.store.output_folder import OutputFolder


class Terminal(io.StringIO):
    """A stream that somebody looks at."""

    def isatty(self) -> bool:
        return True


def test_what_takes_long_is_said_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, limit, said in ((Terminal(), 0.01, True), (Terminal(), 9.0, False),
                                (io.StringIO(), 0.01, False)):  # fmt: skip
        monkeypatch.setattr(sys, "stderr", stream)
        with said_if_slow("loading ...", limit):
            time.sleep(0.1)
        assert (stream.getvalue() == "loading ...\n") is said


@pytest.fixture
def closed_pipe() -> int:
    """The writing end of a pipe whose reader has left, as `head -1` does."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize("words", [["--help"], ["inspect"], ["report", "--people", "0"]])
def test_commands_end_quietly(words: list[str], closed_pipe: int, tmp_path: Path) -> None:
    OutputFolder(str(tmp_path)).create()
    command = [sys.executable, "-m", "hierprob3d", *words]
    command += [str(tmp_path)] if words != ["--help"] else []
    run = subprocess.run(command, stdout=closed_pipe, stderr=subprocess.PIPE, text=True)
    os.close(closed_pipe)
    assert (run.returncode, run.stderr) == (0, "")


def test_what_is_printed_later_goes_nowhere(closed_pipe: int) -> None:
    before = sys.stdout
    with os.fdopen(closed_pipe, "w") as stream:
        sys.stdout = stream
        try:
            with unbroken_output():
                for _ in range(3):
                    print("x" * 100_000)
                    print("y", flush=True)
                assert sys.stdout.fileno() == closed_pipe
            assert sys.stdout is stream
        finally:
            sys.stdout = before


def test_a_reader_gets_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    with unbroken_output():
        print("out")
        print("err", file=sys.stderr)
    assert capsys.readouterr() == ("out\n", "err\n")


@pytest.mark.parametrize("stream", [1, 2])
def test_a_stream_that_was_closed_before_is_nowhere(stream: int, tmp_path: Path) -> None:
    OutputFolder(str(tmp_path)).create()
    words = [sys.executable, "-m", "hierprob3d", "inspect", str(tmp_path)]
    closing = ["sh", "-c", f'exec "$@" {stream}>&-', "sh", *words]
    run = subprocess.run(closing, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
