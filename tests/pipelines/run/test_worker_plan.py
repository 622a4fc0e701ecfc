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


def test_engines_are_asked_for_what_a_worker_needs_and_the_user_does_not_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hierprob3d.pipelines.run.worker_plan.pipeline_flags", list)
    asked = plan_workers(ENGINE, 200, on_gpu=False)
    assert asked.flags == (*ENGINE, "--resource_hint=min_ram=3GiB")
    assert asked.for_device("auto").flags == asked.flags
    assert asked.for_device("cuda").flags[-1].startswith("--resource_hint=accelerator=type:nvidia")
    told = [*ENGINE, "--resource_hints=minRam=9GB", "--resource_hint", "accelerator=type:mine"]
    assert plan_workers(told, 200, on_gpu=True).for_device("cuda:1").flags == tuple(told)
    local = plan_workers(["--direct_num_workers=2"], 200, on_gpu=True)
    assert local.for_device("cuda") is local
