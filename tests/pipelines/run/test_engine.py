"""Jobs of engines: an interruption cancels them, and what is said of failures is what they say."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable

import grpc
import pytest
from apache_beam.runners.runner import PipelineState

from hierprob3d.pipelines.run import engine
from hierprob3d.pipelines.run.engine import EngineJob, failure_text


@pytest.fixture(autouse=True)
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Jobs that were stopped; those of this process are none of the test's."""
    jobs: list[str] = []
    monkeypatch.setattr(engine, "_stopped_jobs", jobs)
    return jobs


class _Job:
    """A job whose wait ends as it is told, and that takes two looks to be cancelled."""

    def __init__(self, end: BaseException | None) -> None:
        self.end, self.asked, self.looks = end, 0, 0
        self.is_gone = False
        self._cleanup_callbacks: tuple[Callable[[], None], ...] = ()

    def wait_until_finish(self, duration: int | None = None) -> str:
        if self.end is not None:
            raise self.end
        return PipelineState.DONE

    def cancel(self) -> None:
        if self.is_gone:
            raise ConnectionError("connection refused")
        self.asked += 1

    @property
    def state(self) -> str:
        self.looks += 1
        return PipelineState.CANCELLED if self.asked and self.looks > 2 else PipelineState.RUNNING


@pytest.mark.parametrize("end", [KeyboardInterrupt(), RuntimeError("lost")])
def test_an_interrupted_job_is_cancelled_to_its_end(end: BaseException) -> None:
    job = _Job(end)
    with pytest.raises(type(end)):
        EngineJob(job).wait_until_finish()
    assert job.asked == 1 and job.looks == 3


def test_workers_of_this_process_stay_until_the_job_is_cancelled() -> None:
    job = _Job(KeyboardInterrupt())
    asked: list[int] = []
    job._cleanup_callbacks = (lambda: asked.append(job.asked),)
    with pytest.raises(KeyboardInterrupt):
        EngineJob(job).wait_until_finish()
    assert asked == [1]


def test_the_process_of_a_stopped_job_ends_before_python_would(
    stopped: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[str] = []
    monkeypatch.setattr(engine.atexit, "_run_exitfuncs", lambda: left.append("exit functions"))
    engine.end_stopped_jobs()
    assert left == []
    stopped.append("by Ctrl-C")
    engine.end_stopped_jobs()
    assert left == ["exit functions"]


def test_what_was_printed_arrives_and_the_exit_code_with_it() -> None:
    program = r"""
import atexit, os, sys
from hierprob3d import __main__ as command
from hierprob3d.pipelines.command import cli
from hierprob3d.pipelines.run import engine
engine._stopped_jobs.append("by Ctrl-C")
def run():
    atexit.register(lambda: os.write(1, b"ended\n"))
    print("said", end="")
    print("warned", end="", file=sys.stderr)
    return 130
cli.main = run
sys.exit(command.main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 130 and done.stderr.endswith("warned")
    assert "said" in done.stdout and "ended\n" in done.stdout


@pytest.mark.parametrize(
    ("line", "is_told"),
    [
        ('{"level":"INFO","msg":"Serving JobManagement"}', False),
        ('{"level":"ERROR","msg":"Bundle Failed.","error":"no space left"}', True),
    ],
)
def test_of_a_job_servers_doings_only_errors_are_told(line: str, is_told: bool) -> None:
    record = logging.LogRecord("PrismJobServer", logging.INFO, "", 0, line, None, None)
    assert engine._is_error(record) == is_told


def test_a_finished_job_is_left_alone() -> None:
    job = _Job(None)
    assert EngineJob(job).wait_until_finish() == PipelineState.DONE
    assert job.asked == 0


def test_an_engine_that_is_gone_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    job = _Job(KeyboardInterrupt())
    job.is_gone = True
    with pytest.raises(KeyboardInterrupt):
        EngineJob(job).wait_until_finish()
    assert "could not be cancelled (connection refused)" in capsys.readouterr().err


class _Refusal(grpc.RpcError, grpc.Call):  # type: ignore[misc]
    """As gRPC raises it: its text ends in a line `>`."""

    def __str__(self) -> str:
        return "<_MultiThreadedRendezvous of RPC that terminated with:\n\tstatus = X\n>"

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return "Socket closed"


_Refusal.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]


def test_words_of_failures() -> None:
    assert failure_text(_Refusal()) == "the engine does not answer any more (Socket closed)"
    assert failure_text(RuntimeError("a\nb\n>\n")) == "b"
    assert failure_text(RuntimeError("")) == "RuntimeError"
    assert "want of memory" in failure_text(RuntimeError("SDK worker disconnected"))
    panic = "job failed: panic in stage: EOF\ngoroutine 257 [running]:\n\t/go/errgroup.go:78 +0x95"
    assert failure_text(RuntimeError(panic)) == "job failed: panic in stage: EOF"
