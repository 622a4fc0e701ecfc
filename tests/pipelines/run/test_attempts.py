"""When what is left of a plan is tried again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pytest

from hierprob3d.pipelines.run.attempts import Attempts, Work
from hierprob3d.pipelines.run.ending import RunStopped
from hierprob3d.pipelines.run.worker_plan import WorkerPlan
from hierprob3d.transforms.inputs.items import Item, Shard
from hierprob3d.transforms.store.output_folder import OutputFolder, part_name
from hierprob3d.transforms.store.plan import Plan, PlanWriter, planned_shards, shard_sizes
from hierprob3d.transforms.tables.schema import frames_schema

SHARDS = [Shard(number, (Item(str(number), f"/{number}.png"),)) for number in range(3)]


class Faltering(Attempts):
    """Attempts of which each but the last does one shard, or none, and then fails."""

    publishes = True
    num_tries = 0

    def _try(self, part: Plan, workers: WorkerPlan) -> BaseException | None:
        self.num_tries += 1
        shards = list(planned_shards(self._store, part))
        for shard in shards[: int(self.publishes)]:
            rows = [{"item_id": item.item_id, "status": "ok"} for item in shard.items]
            table = pa.Table.from_pylist(rows, frames_schema())
            self._store.write_table(part_name("frames", "run", shard.name), table)
        return RunStopped("the engine is tired") if len(shards) > 1 else None


@pytest.fixture
def store(tmp_path: Path) -> OutputFolder:
    folder = OutputFolder(str(tmp_path))
    folder.create()
    return folder


def faltering(store: OutputFolder, *, is_local: bool) -> Faltering:
    def plan_more(shards: Iterable[Shard], first_index: int) -> Plan:
        with PlanWriter(store, f"run.{first_index}", None, first_index) as writer:
            for shard in shards:
                writer.add(shard.items, shard.details)
        return writer.plan()

    plan = plan_more(SHARDS, 0)
    work = Work(lambda pipeline, part, workers: None)
    workers = WorkerPlan((), is_local=is_local)
    return Faltering(store, "run", work, plan, plan_more, workers, shard_sizes(store, plan))


def test_another_engine_is_asked_again_as_long_as_it_gets_on(
    store: OutputFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    attempts = faltering(store, is_local=False)
    assert attempts.until_the_end() is None
    assert attempts.num_tries == 3
    assert sorted(item.item_id for item in store.finished_items()) == ["0", "1", "2"]
    assert capsys.readouterr().err.count("tired; what is left is submitted again") == 2


def test_an_engine_that_does_not_get_on_is_not(store: OutputFolder) -> None:
    attempts = faltering(store, is_local=False)
    attempts.publishes = False
    assert str(attempts.until_the_end()) == "the engine is tired" and attempts.num_tries == 1


def test_a_defect_in_a_local_run_ends_it(store: OutputFolder) -> None:
    attempts = faltering(store, is_local=True)
    assert str(attempts.until_the_end()) == "the engine is tired" and attempts.num_tries == 1
