"""Beam's Prism as a service, and its workers' host in a network namespace of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import grpc
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

from tests.cluster.processes import descendants

JOB_PORT = 8073
"""Prism tells its workers this port of `localhost`, whatever it listens on."""

_POOL_PORT = 50000
_NAMESPACE, _LINK = "hierprob3d", "hp3d"
_HERE, _THERE = "10.77.31.1", "10.77.31.2"


def prism_path() -> str | None:
    """The program, as `go install` leaves it."""
    return shutil.which("prism", path=f"{os.environ['PATH']}:{Path.home() / 'go' / 'bin'}")


def why_not() -> str:
    """What is missing here; empty where nothing is."""
    if prism_path() is None:
        return "no prism here: go install github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0"
    missing = [name for name in ("ip", "socat") if shutil.which(name) is None]
    if missing:
        return f"no {', '.join(missing)} here (Debian: apt-get install iproute2 socat)"
    return "" if os.geteuid() == 0 else "network namespaces need root"


class PrismEngine:
    """Prism and a host for its workers, from `start` to `stop`.

    Args:
        folder: For logs.
        source: Folder that workers import the package from.
    """

    def __init__(self, folder: Path, source: Path) -> None:
        self._folder = folder
        self._source = source
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.words = ["--runner", "PortableRunner", "--job_endpoint", f"localhost:{JOB_PORT}",
                      "--environment_type", "EXTERNAL",
                      "--environment_config", f"{_THERE}:{_POOL_PORT}"]  # fmt: skip

    def start(self) -> None:
        """Joins the two hosts by a wire, with Prism on this and a pool of workers on that."""
        self._remove_namespace()
        for line in (
            f"netns add {_NAMESPACE}",
            f"link add {_LINK}0 type veth peer name {_LINK}1 netns {_NAMESPACE}",
            f"addr add {_HERE}/24 dev {_LINK}0",
            f"link set {_LINK}0 up",
            f"-n {_NAMESPACE} addr add {_THERE}/24 dev {_LINK}1",
            f"-n {_NAMESPACE} link set {_LINK}1 up",
            f"-n {_NAMESPACE} link set lo up",
        ):
            subprocess.run(["ip", *line.split()], check=True)
        self._run("prism", [str(prism_path()), "-job_port", str(JOB_PORT)])
        inside = ["ip", "netns", "exec", _NAMESPACE]
        tunnel = f"TCP-LISTEN:{JOB_PORT},bind=127.0.0.1,fork,reuseaddr"
        self._run("tunnel", [*inside, "socat", tunnel, f"TCP:{_HERE}:{JOB_PORT}"])
        pool = ["-m", "apache_beam.runners.worker.worker_pool_main",
                "--service_port", str(_POOL_PORT)]  # fmt: skip
        self._run("pool", [*inside, sys.executable, *pool])
        time.sleep(5)  # until all of them listen; nobody tells when
        assert all(process.poll() is None for process in self._processes.values())

    def job_states(self) -> list[str]:
        """States of all jobs that it was ever given, such as RUNNING, in their order."""
        with grpc.insecure_channel(f"localhost:{JOB_PORT}") as channel:
            service = beam_job_api_pb2_grpc.JobServiceStub(channel)
            jobs = service.GetJobs(beam_job_api_pb2.GetJobsRequest()).job_info
        ordered = sorted(jobs, key=lambda job: job.job_id)
        return [beam_job_api_pb2.JobState.Enum.Name(job.state) for job in ordered]

    def kill_workers(self) -> int:
        """Kills the worker processes as want of memory would; how many there were."""
        return len(self._signal_workers(signal.SIGKILL))

    def hold_workers(self) -> list[int]:
        """Lets the worker processes stand still; their numbers."""
        return self._signal_workers(signal.SIGSTOP)

    def _signal_workers(self, kind: signal.Signals) -> list[int]:
        workers = [p for p in descendants(self._processes["pool"].pid)
                   if b"SdkHarness" in Path(f"/proc/{p}/cmdline").read_bytes()]  # fmt: skip
        for process in workers:
            os.kill(process, kind)
        return workers

    def stop(self) -> None:
        """Ends everything that was started."""
        for process in self._processes.values():
            for child in [*descendants(process.pid), process.pid]:
                try:
                    os.kill(child, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            process.wait()
        self._remove_namespace()

    def _run(self, name: str, words: list[str]) -> None:
        environment = {**os.environ, "PYTHONPATH": str(self._source), "OMP_NUM_THREADS": "1"}
        # The pool starts `python` from its PATH.
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        with open(self._folder / f"{name}.log", "wb") as log:
            self._processes[name] = subprocess.Popen(
                words, env=environment, stdout=log, stderr=subprocess.STDOUT
            )

    def _remove_namespace(self) -> None:
        subprocess.run(["ip", "netns", "del", _NAMESPACE], stderr=subprocess.DEVNULL, check=False)
        subprocess.run(["ip", "link", "del", f"{_LINK}0"], stderr=subprocess.DEVNULL, check=False)
