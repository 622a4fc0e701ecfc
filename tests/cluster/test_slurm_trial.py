"""The trial of docs/run_big.md: 200 pictures and a clip in 8 parts on 3 nodes, disturbed.

Minutes of all cores: `make test-cluster CLUSTER=all`.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.cluster.slurm_chain import PROGRAM, Chain
from tests.cluster.slurm_cluster import SlurmCluster
from tests.cluster.slurm_parts import hold_a_part
from tests.conftest import shared_folder
from tests.pipelines.conftest import PEDESTRIANS
from tests.pipelines.trials import Trial, same_tables

pytestmark = pytest.mark.timeout(3600)

NUM_PICTURES = 200
NUM_PARTS = 8


class Occupation(threading.Thread):
    """How long how many nodes were at work, from `start` to `stop`."""

    def __init__(self, cluster: SlurmCluster) -> None:
        super().__init__(daemon=True)
        self.node_seconds = 0.0
        self._cluster, self._over = cluster, threading.Event()

    def run(self) -> None:
        """Counts tasks that run, one a node, a few times a second."""
        last = time.monotonic()
        while not self._over.wait(0.25):
            states = list(self._cluster.tasks().values())
            now = time.monotonic()
            self.node_seconds += (now - last) * (
                states.count("RUNNING") + states.count("COMPLETING")
            )
            last = now

    def stop(self) -> float:
        """Seconds of all nodes together."""
        self._over.set()
        self.join()
        return self.node_seconds


def photos(folder: Path) -> Path:
    """The shared photographs, as often as it takes."""
    found = sorted(shared_folder("photos").iterdir())
    folder.mkdir()
    for number in range(NUM_PICTURES):
        source = found[number % len(found)]
        shutil.copy2(source, folder / f"{number:03}{source.suffix}")
    return folder


def test_200_pictures_and_a_clip(cluster: SlurmCluster, tmp_path: Path) -> None:
    # Networks round differently in batches of other sizes, and parts make other batches than a run.
    words = ["predict", str(photos(tmp_path / "in")), str(PEDESTRIANS), "--batch-size", "1"]
    start = time.monotonic()
    occupation = Occupation(cluster)
    occupation.start()
    chain = Chain(cluster, Trial(words, same_tables), tmp_path, NUM_PARTS)
    late = hold_a_part(cluster, chain.output)
    unlucky = hold_a_part(cluster, chain.output, besides=late.part)
    cluster.meet_time_limit(late.task)
    cluster.lose_power(cluster.node_of(unlucky.task))
    late.go_on_with_sigterm()
    chain.wait_for_state(late.task, "PENDING")
    cluster.lift_time_limit(late.task)
    chain.wait(3000)
    seconds = time.monotonic() - start
    busy = occupation.stop()
    alone = time.monotonic()
    done = subprocess.run(
        [*PROGRAM, *words, "--output", str(tmp_path / "whole")], env=cluster.environment
    )
    assert done.returncode == 0
    print(f"chain {seconds:.0f} s; its {len(cluster.nodes)} nodes at work {busy:.0f} s, idle "
          f"{len(cluster.nodes) * seconds - busy:.0f} s (one of them dark to the end); "
          f"one undisturbed run here {time.monotonic() - alone:.0f} s")  # fmt: skip
    print(chain.logs("finish"))
    chain.check(num_attempts=NUM_PARTS + 1)  # whose time was over may have done all by then
