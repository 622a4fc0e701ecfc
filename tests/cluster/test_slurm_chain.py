"""Chains of jobs on a real Slurm: nodes and tasks lost, parts stopped, numbers as of one run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cluster.slurm_chain import PROGRAM, Chain
from tests.cluster.slurm_cluster import SlurmCluster
from tests.cluster.slurm_parts import hold_a_part
from tests.pipelines.trials import evaluate_trial, predict_trial, preprocess_trial

pytestmark = pytest.mark.timeout(1800)


def test_what_sbatch_says_is_shown(cluster: SlurmCluster, tmp_path: Path) -> None:
    words = ["--parts", "2", "--sbatch=--partition=nowhere", "--", "predict", str(tmp_path),
             "--output", str(tmp_path / "out")]  # fmt: skip
    done = subprocess.run([*PROGRAM, "slurm", *words], env=cluster.environment,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "sbatch refused" in done.stderr and "invalid partition" in done.stderr.lower()
    assert not cluster.tasks()


def test_predict(cluster: SlurmCluster, tmp_path: Path) -> None:
    """One part meets its time limit, and another's node loses its power."""
    chain = Chain(cluster, predict_trial(tmp_path, 14), tmp_path, 4)
    assert set(chain.jobs) == {"plan", "work1", "work2", "finish"}  # MaxArraySize is 3
    late = hold_a_part(cluster, chain.output)
    unlucky = hold_a_part(cluster, chain.output, besides=late.part)
    cluster.meet_time_limit(late.task)
    node = cluster.node_of(unlucky.task)
    cluster.lose_power(node)
    late.go_on_with_sigterm()
    chain.wait_for_state(late.task, "PENDING")
    cluster.lift_time_limit(late.task)
    chain.wait()
    cluster.power_on(node)
    assert "goes on from here" in chain.logs("work"), chain.logs("work")
    chain.check(num_attempts=6)


def lose_one_and_stop_one(cluster: SlurmCluster, chain: Chain) -> None:
    """One part is stopped and queues again; another is killed, and done as `finish` says."""
    stopped = hold_a_part(cluster, chain.output)
    killed = hold_a_part(cluster, chain.output, besides=stopped.part)
    killed.kill()
    cluster.call("scancel", "--signal=TERM", "--batch", stopped.task)
    stopped.go_on_with_sigterm()
    chain.wait()
    lines = [line.strip() for line in chain.logs("finish").splitlines()]
    assert f"stopped: {killed.part}" in lines, chain.logs()
    assert f"sbatch --array={killed.part} {chain.output}/slurm/work.sh" in lines
    cluster.call("sbatch", f"--array={killed.part}", f"{chain.output}/slurm/work.sh")
    chain.wait()
    done = subprocess.run([*PROGRAM, "finish", str(chain.output)], env=cluster.environment)
    assert done.returncode == 0
    chain.check(num_attempts=5)


def test_evaluate(cluster: SlurmCluster, tmp_path: Path) -> None:
    lose_one_and_stop_one(cluster, Chain(cluster, evaluate_trial(tmp_path, 36), tmp_path, 3))


def test_preprocess(cluster: SlurmCluster, golden: Path, golden_smpl: Path, tmp_path: Path) -> None:
    trial = preprocess_trial(tmp_path, golden, golden_smpl, num_sequences=5)
    lose_one_and_stop_one(cluster, Chain(cluster, trial, tmp_path, 3))
