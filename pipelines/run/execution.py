"""Runs Beam pipelines: with the workers of a plan, and to an end that can be reported."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from .worker_plan import MODE, WorkerPlan
from .worker_process import STOP_FILE_VARIABLE

_BEAM_WORKER_THREAD = "run_worker"
"""Name of the threads in which Beam's local runner waits for its worker processes."""

_SECONDS_TO_LEAVE = 10.0
_ENDING = (signal.SIGINT, signal.SIGTERM)


class RunStopped(RuntimeError):
    """The pipeline ended before all shards were done."""


class WorkerWatch:
    """Ends a run whose worker process died, and the workers of a run that ends early.

    Beam would wait for ever for the answer of a lost worker: it learns of the loss in a thread
    that nobody asks, where it raises. Here that wakes the main thread, by a real signal: the mere
    note of one (`_thread.interrupt_main`) is not seen by a thread that waits for a lock.
    """

    def __init__(self) -> None:
        self.loss: str | None = None
        """How a worker process ended, None as long as all are well."""

        self._folder = tempfile.TemporaryDirectory(prefix="hierprob3d-")
        self._stop_file = Path(self._folder.name) / "stop"
        self._other_hook = threading.excepthook
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> WorkerWatch:
        os.environ[STOP_FILE_VARIABLE] = str(self._stop_file)
        threading.excepthook = self._notice
        if threading.current_thread() is threading.main_thread():
            self._handlers = {kind: signal.signal(kind, self._interrupt) for kind in _ENDING}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._end_workers()
            for thread in threading.enumerate():
                if thread.name == _BEAM_WORKER_THREAD:
                    thread.join(_SECONDS_TO_LEAVE)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        threading.excepthook = self._other_hook
        os.environ.pop(STOP_FILE_VARIABLE)
        self._folder.cleanup()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """Lets the workers leave first: Beam waits for them before it lets an exception through."""
        self._end_workers()
        raise KeyboardInterrupt

    def _end_workers(self) -> None:
        self._stop_file.touch()
        # What Beam has to say about connections that end is no news now.
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL + 1)

    def _notice(self, failure: threading.ExceptHookArgs) -> None:
        """Called by Python with what a thread raised."""
        if self._stop_file.exists():
            return  # threads of Beam whose worker was told to leave
        if failure.thread is None or failure.thread.name != _BEAM_WORKER_THREAD:
            self._other_hook(failure)
            return
        self.loss = str(failure.exc_value)
        self._end_workers()
        main_thread = threading.main_thread().ident
        assert main_thread is not None  # it has been started
        signal.pthread_kill(main_thread, signal.SIGINT)


def attempt(run_pipeline: Callable[[], None], num_threads: int) -> BaseException | None:
    """Runs a pipeline to its end; what stopped it, None if nothing did.

    Not raised, because what was published until then is to be counted first. The traceback is
    printed: no item fails a pipeline, so this is a full disk or a defect.

    Args:
        run_pipeline: Builds the pipeline and waits for its end.
        num_threads: Threads of numeric libraries in each worker process.
    """
    prepare_processes(num_threads)
    watch = WorkerWatch()
    try:
        with watch:
            run_pipeline()
    except KeyboardInterrupt as interruption:
        return interruption if watch.loss is None else RunStopped(_explain(watch.loss))
    except Exception as error:
        traceback.print_exc()
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return RunStopped(lines[-1])
    return None


def _explain(loss: str) -> str:
    return (
        f"a worker process ended ({loss}), often for want of memory: try fewer with "
        "--direct_num_workers, or a smaller --batch-size"
    )


def new_pipeline(plan: WorkerPlan) -> beam.Pipeline:
    """An empty pipeline for the planned runner and workers.

    Beam's local runner gets worker processes of ours, see `run.worker_process`. The command goes
    through a shell, which `exec` replaces: so the worker's parent is this process.
    """
    if not plan.starts_processes:
        return beam.Pipeline(options=PipelineOptions(list(plan.flags)))
    flags = [flag for flag in plan.flags if not flag.startswith(MODE)]
    command = f"exec {shlex.quote(sys.executable)} -m hierprob3d.pipelines.run.worker_process"
    environment = SubprocessSDKEnvironment.from_command_string(command)
    runner = FnApiRunner(default_environment=environment)
    return beam.Pipeline(runner=runner, options=PipelineOptions(flags))


def prepare_processes(num_threads: int) -> None:
    """Keeps Beam's chatter off the progress."""
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    os.environ["OMP_NUM_THREADS"] = str(num_threads)
