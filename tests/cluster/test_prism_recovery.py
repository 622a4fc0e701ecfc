"""An item that takes its worker down, on a portable engine that fails a job at the first lost one.

Needs Prism, Beam's portable engine in Go: `go install
github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0`.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hierprob3d.model.files.bundled import ASSETS
from hierprob3d.transforms.store.output_folder import OutputFolder

REPOSITORY = Path(__file__).resolve().parents[2]
PERSON = ASSETS / "demo" / "astronaut.png"
SECONDS_TO_START = 120

WORKER = """#!{python}
import os, sys
def poisoned(event, arguments):
    if event == "open" and str(arguments[0]).endswith("deadly.png"):
        os.kill(os.getpid(), 9)
sys.addaudithook(poisoned)
from apache_beam.runners.worker.sdk_worker import SdkHarness
told = dict(word[2:].split("=", 1) for word in sys.argv[1:])
SdkHarness(told["control_endpoint"], worker_id=told["id"], state_cache_size=0).run()
"""


def prism() -> str:
    """Where Prism is, or a skip."""
    found = shutil.which("prism", path=f"{os.environ['PATH']}:{Path.home() / 'go' / 'bin'}")
    return found or pytest.skip("Prism is not installed")


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        assert process.poll() is None
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nobody listens at {port}")


@contextmanager
def serving(words: list[str], port: int, log: Path) -> Iterator[int]:
    """A service, until the block is left."""
    with open(log, "wb") as said:
        process = subprocess.Popen(words, stdout=said, stderr=said, start_new_session=True)
    try:
        wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait()


def test_all_others_are_done_by_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY / "src"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    jobs, workers = free_port(), free_port()
    words = [prism(), f"-job_port={jobs}", f"-web_port={free_port()}"]
    script = tmp_path / "worker.py"
    script.write_text(WORKER.format(python=sys.executable))
    script.chmod(0o755)
    pool = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main",
            f"--service_port={workers}", f"--container_executable={script}"]  # fmt: skip
    (tmp_path / "in").mkdir()
    for name in ("a", "deadly", "z"):
        shutil.copy(PERSON, tmp_path / "in" / f"{name}.png")
    with (
        serving(words, jobs, tmp_path / "prism.log"),
        serving(pool, workers, tmp_path / "pool.log"),
    ):
        command = [sys.executable, "-m", "hierprob3d", "predict", tmp_path / "in",
                   "--output", tmp_path / "out", "--no-uncertainty", "--shard-size", "3",
                   "--runner", "PortableRunner", f"--job_endpoint=localhost:{jobs}",
                   "--environment_type=EXTERNAL",
                   f"--environment_config=localhost:{workers}"]  # fmt: skip
        ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "tried again, item by item" in ended.stderr and "Traceback" not in ended.stderr
    store = OutputFolder(str(tmp_path / "out"))
    statuses = {os.path.basename(item.name): item.status for item in store.finished_items()}
    assert statuses == {"a.png": "ok", "deadly.png": "failed", "z.png": "ok"}
    (part,) = store.parts("errors")
    (error,) = store.read_part(part).to_pylist()
    assert "it took its worker process down twice" in error["message"] and error["attempts"] == 2
    assert store.read_marks() == {}
