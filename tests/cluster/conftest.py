"""Tests that need a cluster: run by `make test-cluster` alone, as nobody else has one to spare."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.slurm_cluster import SlurmCluster, why_not

_WANTED = os.environ.get("HIERPROB3D_CLUSTER")
collect_ignore_glob = [] if _WANTED else ["test_*.py"]
if _WANTED != "all":
    collect_ignore_glob.append("test_slurm_trial.py")  # takes many minutes

SOURCE = Path(__file__).resolve().parents[2] / "src"
NUM_NODES = 3


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """A Slurm of three nodes of one core each."""
    if why_not():
        pytest.skip(why_not())
    cluster = SlurmCluster(tmp_path_factory.mktemp("cluster"), NUM_NODES)
    cluster.environment |= {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    cluster.start()
    yield cluster
    cluster.stop()
