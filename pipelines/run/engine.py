"""Jobs on engines other than the local one: stopped for certain, failures in their own words."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.runners.runner import PipelineResult, PipelineState
from apache_beam.utils.subprocess_server import SubprocessServer

_SECONDS_TO_STOP = 30.0
_POLL_SECONDS = 0.5
_MEMORY_HINT = (
    "a worker of the engine ended, mostly for want of memory: give its machine more, or try a "
    "smaller --batch-size"
)
_DISCONNECTED = "worker disconnected"
PANIC = "\ngoroutine "
"""Begins the stack of an engine in Go that failed itself."""

_MAX_LINE = 300
_NO_WORDS = frozenset({"", ">", "unknown error"})
_SERVERS_LOGGER = "PrismJobServer"
"""What a Prism that the command starts itself prints."""

_CANCELLED = "pipeline canceled"
"""What Prism says of the bundles of a job that was cancelled."""

_stopped_jobs: list[str] = []
"""Those of this process that were interrupted: threads of this process may work for them still."""


class EnginePipeline(beam.Pipeline):
    """A pipeline whose job is cancelled if anything interrupts the wait for its end.

    The command holds the output folder as long as it lives: a job that went on without it would
    work for nobody, and perhaps beside the next one.
    """

    def run(self, test_runner_api: bool | str = "AUTO") -> PipelineResult:
        """Submits the job."""
        logging.getLogger(_SERVERS_LOGGER).addFilter(_is_error)
        with _own_interrupt():
            job = EngineJob(super().run(test_runner_api))
        atexit.unregister(_end_servers)
        atexit.register(_end_servers)  # called before what Beam has registered
        return job


class EngineJob(PipelineResult):
    """A submitted job.

    Args:
        job: As its runner knows it.
    """

    def __init__(self, job: Any) -> None:
        super().__init__(PipelineState.UNKNOWN)
        self._job = job

    def wait_until_finish(self, duration: int | None = None) -> str:
        """Waits for its end, at most so many milliseconds; its state."""
        # Workers in this process are there until the job has ended: it could not be cancelled else.
        callbacks = getattr(self._job, "_cleanup_callbacks", ())
        self._job._cleanup_callbacks = ()
        try:
            state: str = self._job.wait_until_finish(duration)
            return state
        except BaseException as error:
            _stopped_jobs.append(str(error))
            cancel(self._job)
            raise
        finally:
            for callback in callbacks:
                callback()


def end_stopped_jobs() -> None:
    """Does now what is to be done at exit, the end of the process last, if a job was stopped.

    Where an engine's workers are threads of the command they are in the midst of a stage, and
    Python's way of ending would take torch from under them: that aborts the process.
    """
    if not _stopped_jobs:
        return
    # Threads that finish a shard now find their run given up, which Beam would print.
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
        atexit._run_exitfuncs()  # engines that the command started end there


def _end_servers() -> None:
    """Ends the engines that this process started, and waits as long as they take.

    Beam would ask them to end, and look whether they have a second later.
    """
    for entry in list(SubprocessServer._cache._cache.values()):
        server: subprocess.Popen[bytes] = entry.obj[0]
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(_SECONDS_TO_STOP)


@contextmanager
def _own_interrupt() -> Iterator[None]:
    """Keeps our handler of Ctrl-C: Beam's would end the engine before the job is cancelled."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _is_error(record: logging.LogRecord) -> bool:
    """Drops what a job server says of its doings, which would cut into the progress."""
    text = record.getMessage()
    return '"level":"ERROR' in text and not (_stopped_jobs and _CANCELLED in text)


def cancel(job: Any) -> None:
    """Cancels a job and waits until its engine says that it has ended, for a while."""
    try:
        if PipelineState.is_terminal(job.state):
            return
        job.cancel()
        deadline = time.monotonic() + _SECONDS_TO_STOP
        while not PipelineState.is_terminal(job.state):
            if time.monotonic() > deadline:
                raise TimeoutError(f"it is {job.state} still")
            time.sleep(_POLL_SECONDS)
    except Exception as error:  # the engine may be what is gone
        print(
            f"warning: the engine's job could not be cancelled ({failure_text(error)}); its "
            "workers publish nothing more once this command has ended.",
            file=sys.stderr,
        )


def failure_text(error: BaseException) -> str:
    """What went wrong, in one line: what an engine says, not how it was asked."""
    details = error.details() if isinstance(error, grpc.Call) else None
    whole = details or str(error)
    said = [line for line in map(str.strip, whole.splitlines()) if line not in _NO_WORDS]
    text = (said[0 if PANIC in whole else -1] if said else type(error).__name__)[:_MAX_LINE]
    if isinstance(error, grpc.Call) and error.code() == grpc.StatusCode.UNAVAILABLE:
        text = f"the engine does not answer any more ({text})"
    return f"{text}; {_MEMORY_HINT}" if _DISCONNECTED in text.lower() else text
