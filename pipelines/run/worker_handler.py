"""A worker process of a local run, as Beam's local runner handles it: started, heard, let go.

Beam's own handler waits for ever for the answers of a process that is gone. This one tells its
`WorkerWatch` how the process ended, and ends every wait for it: for answers, for data, and for room
to send. It is chosen by the environment of the pipeline, as Beam's are.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
from apache_beam.portability.api import endpoints_pb2
from apache_beam.runners.portability.fn_api_runner.worker_handlers import (
    SUBPROCESS_LOCK,
    BeamFnControlServicer,
    GrpcWorkerHandler,
    WorkerHandler,
)
from apache_beam.transforms.environments import Environment, SubprocessSDKEnvironment
from google.protobuf import json_format, text_format

from .worker_process import CONTROL_VARIABLE
from .worker_watch import WorkerWatch

_URN = "hierprob3d:env:watched_process:v1"
_SECONDS_TO_LEAVE = 60.0
"""Of a process that was told to: it looks for that twice a second, unless native code keeps it."""


class WorkerGone(RuntimeError):
    """Nobody is there to answer."""


def watched_environment(command: Sequence[str], watch: WorkerWatch) -> Environment:
    """Where DoFns run: in processes that this command starts and this watch hears of."""
    payload = json.dumps({"command": list(command), "watch": watch.key})
    return _WatchedEnvironment.from_command_string(payload)


@Environment.register_urn(_URN, bytes)
class _WatchedEnvironment(SubprocessSDKEnvironment):
    """Beam's environment of processes under another name, by which the handler below is found."""

    def to_runner_api_parameter(self, context: Any) -> tuple[str, bytes]:
        """The name and what the handler is given."""
        return _URN, self.command_string.encode()

    @staticmethod
    def from_runner_api_parameter(payload: bytes, *args: Any) -> _WatchedEnvironment:
        """The environment again."""
        return _WatchedEnvironment(payload.decode(), *args[:3])


@WorkerHandler.register_environment(_URN, bytes)
class WatchedWorkerHandler(GrpcWorkerHandler):
    """One worker process; its stderr is a file of its own in the watch's folder."""

    def __init__(self, payload: bytes, *args: Any) -> None:
        super().__init__(*args)
        told = json.loads(payload)
        self._command: list[str] = told["command"]
        self._watch = WorkerWatch.of_key(told["watch"])
        self._lock = threading.Lock()
        self._gone: WorkerGone | None = None
        self._is_over = threading.Event()
        self._is_let_go = False
        self._process: subprocess.Popen[bytes] | None = None
        self._push = _replace(self.control_conn, "push", self._push_unless_gone)
        self._send = _replace(self.data_conn, "_enqueue_to_send", self._send_unless_gone)
        for connection, name in ((self.control_conn, "set_input"), (self.data_conn, "set_inputs")):
            self._outlive(connection, name)

    def start_worker(self) -> None:
        """Starts the process, and a thread that waits for its end."""
        self._watch.add(self)
        log = self._watch.folder / f"{self.worker_id}.log"
        with open(log, "wb") as stderr, SUBPROCESS_LOCK:
            self._process = subprocess.Popen(
                self._command, env=self._environment(), stdin=subprocess.DEVNULL, stderr=stderr
            )
        waiting = threading.Thread(target=self._hear, args=(self._process, log), daemon=True)
        waiting.start()

    def stop_worker(self) -> None:
        """Returns once the process has ended; one that does not leave is ended."""
        self._let_go()
        if self._process is None:
            return
        try:
            self._process.wait(_SECONDS_TO_LEAVE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Lets the process go; at once where it still owes answers."""
        self._let_go()
        if self.control_conn._futures_by_id:
            self._watch.end_workers()
            self.abort("the run ends")
            self.stop_worker()
        self.data_conn._exception = None  # which Beam would raise again in place of stopping
        super().close()

    def abort(self, reason: str) -> None:
        """Ends every wait of Beam's for this process, those to come included."""
        with self._lock:
            self._gone = gone = WorkerGone(reason)
            futures = list(self.control_conn._futures_by_id.values())
        self._is_over.set()
        self.data_conn._exception = gone  # looked at every second by who waits for data
        for future in futures:
            future.abort(gone)
        for waiting in (self.data_conn._pending_send, self.data_conn._to_send):
            with suppress(queue.Empty):
                while True:
                    waiting.get_nowait()

    def _hear(self, process: subprocess.Popen[bytes], log: Path) -> None:
        """Waits for the end of the process, which is a loss unless it was let go."""
        code = process.wait()
        if not self._is_let_go:
            self._watch.lose(code, log)

    def _let_go(self) -> None:
        self._is_let_go = True
        self._is_over.set()

    def _outlive(self, connection: Any, method: str) -> None:
        """Lets what reads a connection wait, when that breaks, until it is known why."""
        read = getattr(connection, method)
        setattr(connection, method, lambda messages: read(self._until_over(messages)))

    def _until_over(self, messages: Iterable[Any]) -> Iterator[Any]:
        with suppress(grpc.RpcError):
            yield from messages
        self._is_over.wait()

    def _push_unless_gone(self, request: Any) -> Any:
        if request is BeamFnControlServicer._DONE_MARKER:
            return self._push(request)
        with self._lock:
            if self._gone is not None:
                raise self._gone
            return self._push(request)

    def _send_unless_gone(self, elements: Any) -> None:
        if self._gone is not None and elements is not self.data_conn._WRITES_FINISHED:
            raise self._gone
        self._send(elements)

    def _environment(self) -> dict[str, str]:
        """Environment variables of the process: where its runner is, and what the watch says."""
        control = endpoints_pb2.ApiServiceDescriptor(url=self.control_address)
        options = self.provision_info.provision_info.pipeline_options
        variables = {
            **os.environ,
            **self._watch.variables(),
            CONTROL_VARIABLE: text_format.MessageToString(control),
            "PIPELINE_OPTIONS": json_format.MessageToJson(options),
            "WORKER_ID": self.worker_id,
        }
        return {name: value for name, value in variables.items() if value is not None}


def _replace(connection: Any, method: str, other: Any) -> Any:
    """The method, in whose place the other is called from now on."""
    original = getattr(connection, method)
    setattr(connection, method, other)
    return original
