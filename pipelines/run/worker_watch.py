"""Looks after the worker processes of a local run: their environment and their end."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import grpc
from apache_beam.runners.portability.fn_api_runner.worker_handlers import ControlConnection

from hierprob3d.module_path import child_environment
from hierprob3d.pipelines.command.termination import Terminated
from hierprob3d.transforms.batch.memory import oom_kills

from .lost_worker import LostWorker, quiet_ends
from .worker_process import LOG_FOLDER_VARIABLE, STOP_FILE_VARIABLE

_BEAM_WORKER_THREAD = "run_worker"
"""Name of the threads in which Beam's local runner waits for its worker processes."""

_BEAM_READING_THREADS = ("read_grpc_client_inputs", "beam_control_read")
"""Names of the threads that read what workers send; with a lost worker they end in an error."""

_BEAM_READING_LOGGER = "apache_beam.runners.worker.data_plane"
"""Where the first of them says so too, before it is known that a worker is lost."""

_SECONDS_TO_LEAVE = 10.0
_POLL_SECONDS = 1.0
_ENDING = (signal.SIGINT, signal.SIGTERM)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_NO_GRPC_PROXY = "no_grpc_proxy"


class WorkerWatch:
    """Ends a run whose worker process died, and the workers of a run that ends early.

    Beam would wait for ever for the answer of a lost worker: it learns of the loss in a thread
    that nobody asks, where it raises. Here that wakes the main thread, by a real signal: the mere
    note of one (`_thread.interrupt_main`) is not seen by a thread that waits for a lock. Where
    another thread runs the pipeline, the answers it waits for are given: there will be none. Of a
    worker that ends with exit code 0, as where a library calls `exit`, Beam learns nothing at all:
    a thread of ours looks for those.
    """

    def __init__(self) -> None:
        self.loss: LostWorker | None = None
        """How a worker process ended, None as long as all are well."""

        self.interruption: KeyboardInterrupt | None = None
        """What ended the run from outside. Beam hides it if it comes while a DoFn is at work."""

        self._folder = tempfile.TemporaryDirectory(prefix="hierprob3d-")
        self._stop_file = Path(self._folder.name) / "stop"
        self._oom_kills = oom_kills()
        self._other_hook = threading.excepthook
        self._handlers: dict[signal.Signals, Any] = {}
        self._environment: dict[str, str | None] = {}
        self._is_over = threading.Event()

    def __enter__(self) -> WorkerWatch:
        self._environment = _exchange_environment(
            child_environment()
            | no_proxy_for_workers(os.environ)
            | {STOP_FILE_VARIABLE: str(self._stop_file), LOG_FOLDER_VARIABLE: self._folder.name}
        )
        self._other_hook, threading.excepthook = threading.excepthook, self._notice
        logging.getLogger(_BEAM_READING_LOGGER).setLevel(logging.CRITICAL + 1)
        if threading.current_thread() is threading.main_thread():
            self._handlers = {kind: signal.signal(kind, self._interrupt) for kind in _ENDING}
        threading.Thread(target=self._look_for_quiet_ends, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over.set()
        if error is not None:
            self._end_workers()
            _wait_for_threads(_BEAM_WORKER_THREAD)
            _wait_for_threads(*_BEAM_READING_THREADS)  # the last of which a late worker started
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        threading.excepthook = self._other_hook
        logging.getLogger(_BEAM_READING_LOGGER).setLevel(logging.NOTSET)
        _exchange_environment(self._environment)
        self._folder.cleanup()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """Lets the workers leave first: Beam waits for them before it lets an exception through."""
        self._end_workers()
        self.interruption = Terminated() if number == signal.SIGTERM else KeyboardInterrupt()
        raise self.interruption

    def _end_workers(self) -> None:
        self._stop_file.touch()
        # What Beam has to say about connections that end is no news now.
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL + 1)

    def _notice(self, failure: threading.ExceptHookArgs) -> None:
        """Called by Python with what a thread raised."""
        if self._stop_file.exists():
            return  # threads of Beam whose worker was told to leave
        thread = failure.thread.name if failure.thread else ""
        if thread in _BEAM_READING_THREADS and isinstance(failure.exc_value, grpc.RpcError):
            return  # the loss itself is told below, by the thread that waits for the worker
        if thread != _BEAM_WORKER_THREAD:
            self._other_hook(failure)
            return
        self._lose(str(failure.exc_value))

    def _look_for_quiet_ends(self) -> None:
        """Notices workers that ended without a word; those of which Beam tells come first."""
        before = set[int]()
        while not self._is_over.wait(_POLL_SECONDS):
            ended = quiet_ends(Path(self._folder.name))
            if self.loss is not None or self._stop_file.exists():
                return
            if ended & before:
                self._lose("exit code 0")
                return
            before = ended

    def _lose(self, beams_words: str) -> None:
        """Tells the thread that runs the pipeline of a worker that ended."""
        self.loss = LostWorker.of(
            beams_words, Path(self._folder.name), oom_kills() > self._oom_kills
        )
        sys.stderr.write(self.loss.traceback)
        self._end_workers()
        if not self._handlers:  # no signal reaches the thread of this run
            self._end_waiting()
            return
        main_thread = threading.main_thread().ident
        assert main_thread is not None  # it has been started
        signal.pthread_kill(main_thread, signal.SIGINT)

    def _end_waiting(self) -> None:
        """Lets Beam's waits for workers that are gone end in an error, until the run is over."""
        while not self._is_over.wait(_POLL_SECONDS):
            for connection in [o for o in gc.get_objects() if type(o) is ControlConnection]:
                if not connection._read_thread.is_alive():  # nobody will answer
                    for future in list(connection._futures_by_id.values()):
                        future.abort(RuntimeError(str(self.loss)))


def _wait_for_threads(*names: str) -> None:
    """Waits until the threads of these names have ended, for a while."""
    deadline = time.monotonic() + _SECONDS_TO_LEAVE
    for thread in threading.enumerate():
        if thread.name in names:
            thread.join(max(0.0, deadline - time.monotonic()))


def no_proxy_for_workers(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables by which gRPC reaches this machine without a proxy.

    gRPC asks the proxies of `http_proxy` and its like even for the runner on this machine. The
    exceptions are made under the name that gRPC alone reads, and reads in place of `no_proxy`:
    proxies serve the stores of inputs and outputs as before.
    """
    listed = environment.get(_NO_GRPC_PROXY) or environment.get("no_proxy") or ""
    return {_NO_GRPC_PROXY: ",".join([*filter(None, listed.split(",")), *_LOOPBACK])}


def _exchange_environment(variables: Mapping[str, str | None]) -> dict[str, str | None]:
    """Sets environment variables, or removes those that are None; what they were before."""
    before = {name: os.environ.get(name) for name in variables}
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    return before
