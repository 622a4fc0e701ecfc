"""Shards are cut for the workers that may be there, also where an engine decides."""

from __future__ import annotations

import pytest

from hierprob3d.pipelines.run.worker_plan import plan_workers
from hierprob3d.transforms.inputs.planning import default_shard_size

ENGINE = ["--runner=PortableRunner", "--job_endpoint=localhost:1", "--environment_type=LOOPBACK"]


@pytest.mark.parametrize(
    ("words", "shared"),
    [([], 8), (["--parallelism", "24"], 24), (["--max_num_workers=100"], 100),
     (["--parallelism=2"], 8)],
)  # fmt: skip
def test_engines_share_out_small_shards(
    words: list[str], shared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hierprob3d.pipelines.run.worker_plan.pipeline_flags", list)
    workers = plan_workers([*ENGINE, *words], 200, on_gpu=False)
    assert (workers.num_sharing, workers.num_workers) == (shared, 1)
    assert -(-200 // default_shard_size(200, workers.num_sharing)) >= 25


def test_local_workers_are_known() -> None:
    workers = plan_workers(["--direct_num_workers=2"], 200, on_gpu=False)
    assert workers.num_sharing == workers.num_workers == 2
