"""Worker processes of a local run: reached behind any proxy, heard when they end."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import apache_beam as beam
import pytest

from hierprob3d.pipelines.run import execution, worker_process
from hierprob3d.pipelines.run.execution import WorkerLost, attempt
from hierprob3d.pipelines.run.worker_plan import plan_workers
from hierprob3d.pipelines.run.worker_watch import WorkerWatch, no_proxy_for_workers

DEAD = "http://127.0.0.1:9"
PROXIES = ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY")
WORKERS = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


def run(flags: tuple[str, ...], act: beam.DoFn) -> BaseException | None:
    """Runs a pipeline of some elements; what stopped it."""

    def build(pipeline: beam.Pipeline) -> None:
        elements = pipeline | beam.Create(range(8), reshuffle=False) | beam.Reshuffle()
        _ = elements | "Act" >> beam.ParDo(act)

    return attempt(build, plan_workers(flags, 100, on_gpu=False))


class Touch(beam.DoFn):
    """Leaves a file per element, which says in which process it was."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def process(self, element: int) -> None:
        """One file."""
        (self.folder / str(element)).write_text(str(os.getpid()))


class Abort(beam.DoFn):
    """Ends its process as native code does."""

    def process(self, element: int) -> None:
        """Says something and aborts."""
        sys.stderr.write("native code is not amused\n")
        sys.stderr.flush()
        os.abort()


class Leave(beam.DoFn):
    """Ends its process as libraries do that call `exit`."""

    def process(self, element: int) -> None:
        """Leaves with the code of success."""
        os._exit(0)


def test_a_worker_that_leaves_without_a_word_is_noticed() -> None:
    problem = run((*WORKERS[:1], "--direct_num_workers=1"), Leave())
    assert isinstance(problem, WorkerLost)
    assert str(problem).startswith("a worker process ended (exit code 0)")


class Interrupt(beam.DoFn):
    """Is at work when somebody tells the run to stop."""

    def __init__(self, number: int) -> None:
        self.number = number

    def process(self, element: int) -> None:
        """Gets the signal."""
        os.kill(os.getpid(), self.number)
        time.sleep(5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_midst_of_an_item_stops_the_run(
    number: int, capfd: pytest.CaptureFixture[str]
) -> None:
    problem = run(("--direct_running_mode=in_memory",), Interrupt(number))
    assert isinstance(problem, KeyboardInterrupt)
    assert "Traceback" not in capfd.readouterr().err


def test_workers_reach_their_run_behind_dead_proxies_and_a_lost_one_ends_its_own_run_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in PROXIES:
        monkeypatch.setenv(name, DEAD)
    monkeypatch.setenv("no_proxy", "example.org")
    before = dict(os.environ)
    problems: list[BaseException | None] = []
    thread = threading.Thread(target=lambda: problems.append(run(WORKERS, Abort())), daemon=True)
    thread.start()  # a signal to the main thread could not end its waiting
    assert run(WORKERS, Touch(tmp_path)) is None
    assert len(list(tmp_path.iterdir())) == 8
    assert os.getpid() not in {int(path.read_text()) for path in tmp_path.iterdir()}
    thread.join(200)
    (problem,) = problems
    assert isinstance(problem, WorkerLost)
    assert str(problem) == "a worker process ended (signal SIGABRT): native code is not amused"
    assert capfd.readouterr().err == ""  # nothing of the connections that broke
    assert dict(os.environ) == before | {"OMP_NUM_THREADS": "1"}


def test_a_worker_that_cannot_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "_WORKER_MODULE", "hierprob3d.no_such_worker")
    problems: list[BaseException | None] = []
    thread = threading.Thread(
        target=lambda: problems.append(run(WORKERS, Touch(tmp_path))), daemon=True
    )
    thread.start()  # nor are there connections that could break
    thread.join(100)  # Beam would try to reach it for two minutes
    (problem,) = problems
    assert "exit code 1" in str(problem)
    assert "No module named 'hierprob3d.no_such_worker'" in str(problem)
    assert "memory" not in str(problem)


def test_a_worker_that_cannot_connect_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    monkeypatch.setenv("CONTROL_API_SERVICE_DESCRIPTOR", f'url: "{address}"')
    monkeypatch.setattr(worker_process, "_SECONDS_TO_CONNECT", 0.5)
    with pytest.raises(SystemExit, match=f"could not be reached at {address}"):
        worker_process._check_connection()


def test_exceptions_of_proxies_are_added_to_the_users() -> None:
    assert no_proxy_for_workers({}) == {"no_grpc_proxy": "localhost,127.0.0.1,::1"}
    listed = {"no_proxy": "a.org,b.org"}
    assert no_proxy_for_workers(listed)["no_grpc_proxy"].startswith("a.org,b.org,localhost")
    for_grpc = {"no_proxy": "a.org", "no_grpc_proxy": "c.org"}
    assert no_proxy_for_workers(for_grpc)["no_grpc_proxy"].startswith("c.org,localhost")


def test_a_run_in_a_notebook_loads_no_interactive_beam(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a kernel offers, as far as Beam looks at it; its interactive parts break with pandas 3.
    kernel = SimpleNamespace(config={"IPKernelApp": {}}, execution_count=3)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: kernel))
    assert run(("--direct_running_mode=in_memory",), Touch(tmp_path)) is None
    assert len(list(tmp_path.iterdir())) == 8
    assert "apache_beam.runners.interactive.interactive_environment" not in sys.modules


def test_a_watch_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "somewhere")
    before = dict(os.environ), signal.getsignal(signal.SIGINT), threading.excepthook
    with WorkerWatch() as watch:
        assert watch.variables()["PYTHONPATH"] is None
        assert signal.getsignal(signal.SIGINT) != before[1]
        assert watch.folder.is_dir()
    assert (dict(os.environ), signal.getsignal(signal.SIGINT), threading.excepthook) == before
    assert not watch.folder.exists()
