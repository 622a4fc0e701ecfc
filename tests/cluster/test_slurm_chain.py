"""Chains of jobs on a real Slurm: a node lost, a part stopped, and every number as of one run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.slurm_cluster import SlurmCluster, why_not
from tests.pipelines.conftest import PEDESTRIANS, copy_person
from tests.pipelines.parts.test_work_part import tables_of

pytestmark = [pytest.mark.skipif(bool(why_not()), reason=why_not()), pytest.mark.timeout(900)]

REPOSITORY = Path(__file__).resolve().parents[2]
NUM_NODES = 3
PROGRAM = [sys.executable, "-m", "hierprob3d"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    cluster = SlurmCluster(tmp_path_factory.mktemp("cluster"), NUM_NODES)
    cluster.environment |= {"PYTHONPATH": str(REPOSITORY / "src"), "OMP_NUM_THREADS": "1"}
    cluster.start()
    yield cluster
    cluster.stop()


def submit(cluster: SlurmCluster, parts: int, words: list[str]) -> dict[str, str]:
    """Submits a chain; its jobs' numbers by name."""
    done = subprocess.run([*PROGRAM, "slurm", "--parts", str(parts), "--", *words],
                          env=cluster.environment, capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(line.split() for line in done.stdout.splitlines())


def wait_until(condition: Callable[[], bool], seconds: float, cluster: SlurmCluster) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, cluster.tasks()
        time.sleep(0.1)


def wait_for_end(cluster: SlurmCluster, jobs: dict[str, str], seconds: float) -> None:
    numbers = set(jobs.values())

    def is_over() -> bool:
        cluster.hurry()
        return not any(task.partition("_")[0] in numbers for task in cluster.tasks())

    wait_until(is_over, seconds, cluster)


def logs_of(output: Path) -> str:
    return "\n".join(f"== {path.name}\n{path.read_text()}"
                     for path in sorted((output / "slurm" / "logs").iterdir()))  # fmt: skip


def task_of_first_frames(output: Path, jobs: dict[str, str], besides: int = -1) -> tuple[int, str]:
    """A part that has published and is at work, and its task; (-1, "") as long as there is none."""
    arrays = json.loads((output / "slurm" / "arrays.json").read_text())
    for path in sorted(output.glob("frames/part-*")):
        match = re.search(r"-p(\d{5})-", path.name)
        assert match is not None
        part = int(match[1])
        for number, array in enumerate(arrays):
            if part != besides and 0 <= part - array["offset"] < array["count"]:
                name = "work" if len(arrays) == 1 else f"work{number + 1}"
                return part, f"{jobs[name]}_{part - array['offset']}"
    return -1, ""


def disturb(cluster: SlurmCluster, output: Path, jobs: dict[str, str]) -> None:
    """Stops one part as Slurm does before a time limit, and cuts the power of another's node."""
    part = -1

    def found(besides: int) -> bool:
        nonlocal part, task
        part, task = task_of_first_frames(output, jobs, besides)
        return part >= 0 and cluster.tasks().get(task) == "RUNNING"

    task = ""
    wait_until(lambda: found(-1), 300, cluster)
    cluster.call("scancel", "--signal=TERM", "--batch", task)
    stopped = part
    wait_until(lambda: found(stopped), 300, cluster)
    cluster.lose_power(cluster.node_of(task))


def test_predict(cluster: SlurmCluster, tmp_path: Path) -> None:
    inputs, output, whole = tmp_path / "in", tmp_path / "out", tmp_path / "whole"
    inputs.mkdir()
    for number in range(50):
        copy_person(inputs / f"{number}.png")
    (inputs / "bad.jpg").write_text("no picture")
    # One item per shard: networks give the last bits otherwise in batches of other sizes.
    words = ["predict", str(inputs), str(PEDESTRIANS), "--frame-step", "6", "--num-samples", "4",
             "--shard-size", "1"]  # fmt: skip
    start = time.monotonic()
    jobs = submit(cluster, 7, [*words, "--output", str(output)])
    assert set(jobs) == {"plan", "work1", "work2", "finish"}  # MaxArraySize is 5
    disturb(cluster, output, jobs)
    wait_for_end(cluster, jobs, 400)
    print(f"chain: {time.monotonic() - start:.0f} s")
    plan_id = json.loads((output / "plan" / "plan.json").read_text())["plan_id"]
    record = json.loads((output / "runs" / f"{plan_id}.json").read_text())
    assert record["status"] == "finished" and record["parts"]["done"] == 7, logs_of(output)
    attempts = list(output.glob("runs/*-p*-*.json"))
    assert len(attempts) >= 9, logs_of(output)  # two parts were started again
    done = subprocess.run([*PROGRAM, *words, "--output", str(whole)], env=cluster.environment)
    assert done.returncode == 0
    found, expected = tables_of(output), tables_of(whole)
    for table, rows in expected.items():
        assert len(found[table]) == len(rows)
        different = [
            name
            for name in rows[0]
            if any(one[name] != other[name] for one, other in zip(found[table], rows, strict=True))
        ]
        assert not different
