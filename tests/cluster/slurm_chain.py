"""A command in parts as a chain of jobs, followed to its end and compared with one run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster.slurm_cluster import SlurmCluster
from tests.pipelines.trials import Trial

PROGRAM = [sys.executable, "-m", "hierprob3d"]


class Chain:
    """A command in parts, submitted.

    Args:
        cluster: To which.
        trial: The command.
        folder: For its output.
        parts: In how many.
    """

    def __init__(self, cluster: SlurmCluster, trial: Trial, folder: Path, parts: int) -> None:
        self.output = folder / "out"
        self._cluster, self._trial, self._parts, self._folder = cluster, trial, parts, folder
        words = ["--parts", str(parts), "--", *trial.words, "--output", str(self.output)]
        done = subprocess.run([*PROGRAM, "slurm", *words], env=cluster.environment,
                              capture_output=True, text=True)  # fmt: skip
        assert done.returncode == 0, done.stderr
        self.jobs = dict(line.split() for line in done.stdout.splitlines())

    def wait(self, seconds: float = 900) -> None:
        """Returns once no job is left."""

        def is_over() -> bool:
            self._cluster.hurry()
            return not self._cluster.tasks()

        self._wait_until(is_over, seconds)

    def wait_for_state(self, task: str, state: str) -> None:
        """Returns once a task is in a state."""
        self._wait_until(lambda: self._cluster.tasks().get(task) == state, 300)

    def _wait_until(self, condition: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{self._cluster.tasks()}\n{self.logs('')}"
            time.sleep(0.2)

    def logs(self, name: str = "") -> str:
        """What its jobs, those of that name or all, have said."""
        folder = self.output / "slurm" / "logs"
        return "\n".join(
            path.read_text() for path in sorted(folder.glob("*.log")) if name in path.name
        )

    def check(self, num_attempts: int) -> None:
        """Raises AssertionError unless all is done, in at least so many attempts, as by one run."""
        plan_id = json.loads((self.output / "plan" / "plan.json").read_text())["plan_id"]
        record = json.loads((self.output / "runs" / f"{plan_id}.json").read_text())
        assert record["status"] == "finished", self.logs()
        assert record["parts"]["done"] == self._parts, self.logs()
        assert len(list(self.output.glob("runs/*-p*-*.json"))) >= num_attempts, self.logs()
        assert not list(self.output.rglob(".tmp-*"))
        whole = self._folder / "whole"
        if not whole.exists():
            done = subprocess.run([*PROGRAM, *self._trial.words, "--output", str(whole)],
                                  env=self._cluster.environment)  # fmt: skip
            assert done.returncode == 0
        self._trial.compare(self.output, whole)
