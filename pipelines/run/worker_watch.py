"""Looks after the worker processes of a local run: their environment and their end."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Protocol
from weakref import WeakValueDictionary

from hierprob3d.module_path import child_environment
from hierprob3d.pipelines.command.termination import Terminated
from hierprob3d.transforms.batch.memory import oom_kills

from .lost_worker import LostWorker
from .worker_process import STOP_FILE_VARIABLE

_ENDING = (signal.SIGINT, signal.SIGTERM)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_NO_GRPC_PROXY = "no_grpc_proxy"


class Waited(Protocol):
    """A worker process that a runner waits for."""

    def abort(self, reason: str) -> None:
        """Ends the waiting."""


class WorkerWatch:
    """Ends a run whose worker process died, and the workers of a run that ends early.

    Of its own run only: another of this process, in whichever thread, hears nothing of it.
    """

    _all: WeakValueDictionary[str, WorkerWatch] = WeakValueDictionary()

    def __init__(self) -> None:
        self.loss: LostWorker | None = None
        """How the first worker process that was lost ended, None as long as all are well."""

        self.interruption: KeyboardInterrupt | None = None
        """What ended the run from outside. Beam hides it if it comes while a DoFn is at work."""

        self._folder = tempfile.TemporaryDirectory(prefix="hierprob3d-")
        self.folder = Path(self._folder.name)
        """Where the workers' last words are kept while the run lasts."""

        self.key = self._folder.name
        """By which the handlers of its workers find it."""

        self._all[self.key] = self
        self._stop_file = self.folder / "stop"
        self._oom_kills = oom_kills()
        self._handlers: dict[signal.Signals, Any] = {}
        self._lock = threading.Lock()
        self._workers: list[Waited] = []

    @classmethod
    def of_key(cls, key: str) -> WorkerWatch:
        """The watch of this process with that key."""
        return cls._all[key]

    def __enter__(self) -> WorkerWatch:
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
            self.end_workers()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._folder.cleanup()

    def variables(self) -> dict[str, str | None]:
        """Environment variables of the workers that differ from this process's; None: not set."""
        proxies = no_proxy_for_workers(os.environ)
        return child_environment() | proxies | {STOP_FILE_VARIABLE: str(self._stop_file)}

    def add(self, worker: Waited) -> None:
        """Notes a worker that the run is going to wait for."""
        with self._lock:
            self._workers.append(worker)
            loss = self.loss
        if loss is not None:
            worker.abort(str(loss))

    def lose(self, exit_code: int, log: Path) -> None:
        """Takes in that a worker process ended by itself: the run waits for no other either.

        Args:
            exit_code: Of the process, negative for a signal.
            log: What it wrote to stderr.
        """
        with self._lock:
            if self.loss is not None or self._stop_file.exists():
                return
            self.loss = LostWorker.of(exit_code, log, oom_kills() > self._oom_kills)
            workers = list(self._workers)
        sys.stderr.write(self.loss.traceback)
        self.end_workers()
        for worker in workers:
            worker.abort(str(self.loss))

    def end_workers(self) -> None:
        """Tells the workers to leave, whatever they are at."""
        if self.folder.exists():
            self._stop_file.touch()
        # What Beam has to say about connections that end is no news now.
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL + 1)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """Lets the workers leave first: Beam waits for them before it lets an exception through."""
        self.end_workers()
        self.interruption = Terminated() if number == signal.SIGTERM else KeyboardInterrupt()
        raise self.interruption


def no_proxy_for_workers(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables by which gRPC reaches this machine without a proxy.

    gRPC asks the proxies of `http_proxy` and its like even for the runner on this machine. The
    exceptions are made under the name that gRPC alone reads, and reads in place of `no_proxy`:
    proxies serve the stores of inputs and outputs as before.
    """
    listed = environment.get(_NO_GRPC_PROXY) or environment.get("no_proxy") or ""
    return {_NO_GRPC_PROXY: ",".join([*filter(None, listed.split(",")), *_LOOPBACK])}
