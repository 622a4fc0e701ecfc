"""Waits for a worker process end with it, whatever Beam waits for; it leaves when it is let go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from apache_beam.portability.api import beam_fn_api_pb2, beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner.worker_handlers import BeamFnControlServicer
from apache_beam.runners.worker.data_plane import BeamFnDataServicer

from hierprob3d.pipelines.run import worker_handler
from hierprob3d.pipelines.run.worker_handler import WatchedWorkerHandler, WorkerGone
from hierprob3d.pipelines.run.worker_watch import WorkerWatch

MORE_THAN_FITS = 30_000


@pytest.fixture
def watch() -> Iterator[WorkerWatch]:
    with WorkerWatch() as watch:
        yield watch


@pytest.fixture
def handler(watch: WorkerWatch, monkeypatch: pytest.MonkeyPatch) -> WatchedWorkerHandler:
    """Of a process that connects to nothing, and is deaf to being told to leave."""
    monkeypatch.setattr(worker_handler, "_SECONDS_TO_LEAVE", 0.2)
    payload = json.dumps({"command": ["sleep", "600"], "watch": watch.key}).encode()
    servers = SimpleNamespace(
        control_handler=BeamFnControlServicer(None),
        data_plane_handler=BeamFnDataServicer(),
        control_port=9,
    )
    provision = SimpleNamespace(provision_info=beam_provision_api_pb2.ProvisionInfo())
    handler = WatchedWorkerHandler(payload, None, provision, servers)
    handler.start_worker()
    return handler


def request(name: str) -> beam_fn_api_pb2.InstructionRequest:
    return beam_fn_api_pb2.InstructionRequest(instruction_id=name)


def test_every_wait_for_a_worker_ends_with_it(
    handler: WatchedWorkerHandler, watch: WorkerWatch
) -> None:
    def send() -> None:
        for _ in range(MORE_THAN_FITS):
            handler.data_conn._enqueue_to_send(beam_fn_api_pb2.Elements.Data(data=b"x"))

    answer = handler.control_conn.push(request("a"))
    with ThreadPoolExecutor() as pool:
        waits = [
            pool.submit(answer.get),
            pool.submit(lambda: list(handler.data_conn.input_elements("a", ["x"]))),
            pool.submit(send),
        ]
        assert handler._process is not None
        handler._process.kill()
        for wait in waits:
            with pytest.raises(WorkerGone, match="SIGKILL"):
                wait.result(200)
    with pytest.raises(WorkerGone, match="SIGKILL"):
        handler.control_conn.push(request("b"))
    handler.close()
    assert watch.loss is not None and watch.loss.how == "signal SIGKILL"


def test_a_deaf_worker_is_ended_when_the_run_ends_early(
    handler: WatchedWorkerHandler, watch: WorkerWatch
) -> None:
    answer = handler.control_conn.push(request("a"))
    handler.close()
    assert handler._process is not None and handler._process.poll() == -9
    with pytest.raises(WorkerGone, match="the run ends"):
        answer.get()
    assert watch.loss is None


def test_a_worker_that_is_started_after_a_loss_is_not_waited_for(
    handler: WatchedWorkerHandler, watch: WorkerWatch
) -> None:
    (watch.folder / "log").touch()
    watch.lose(3, watch.folder / "log")
    watch.add(handler)
    with pytest.raises(WorkerGone, match="exit code 3"):
        handler.control_conn.push(request("a"))
    handler.close()
