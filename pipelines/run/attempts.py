"""A plan done to its end: tried again as long as every attempt finishes or condemns an item."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hierprob3d.transforms.inputs.items import Shard
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.store.plan import Plan, planned_shards, shard_sizes

from .ending import RunStopped, WorkerLost, attempt_here
from .recovery import Recovery, remaining
from .worker_plan import WorkerPlan, one_process

if TYPE_CHECKING:
    import apache_beam as beam


@dataclass(frozen=True)
class Work:
    """What is done with the shards of a plan."""

    build: Callable[[beam.Pipeline, Plan, WorkerPlan], None]
    """Adds the transforms of a plan's shards to an empty pipeline, for those workers."""

    do_here: Callable[[Plan, WorkerPlan], None] | None = None
    """The same in this process, without Beam; None where only Beam can do it."""


class Attempts:
    """What may take workers down comes first and alone, then all that is left.

    Args:
        store: The output folder.
        run_id: The run.
        work: What is done with the shards of a plan.
        plan: The run's.
        plan_more: Makes further plans of shards, numbered from an index on.
        workers: Of the run.
        sizes: Items per shard, to which those of further plans are added.
    """

    def __init__(
        self,
        store: OutputFolder,
        run_id: str,
        work: Work,
        plan: Plan,
        plan_more: Callable[[Iterable[Shard], int], Plan],
        workers: WorkerPlan,
        sizes: dict[str, int],
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._plan_more = plan_more
        self._work = work
        self._whole = plan
        self._workers = workers
        self._sizes = sizes
        self._recovery = Recovery(store, run_id)
        self._done: set[str] = set()
        self._index = plan.num_shards
        """Number of the next shard that has none."""

    def until_the_end(self) -> BaseException | None:
        """What stopped it in the end, None if nothing did."""
        is_first = True
        while True:
            part = self._unsettled_part()
            is_alone = part is not None
            if part is None:
                part = self._whole if is_first else self._rest()
            if not part.num_items and not is_first:
                self._store.remove(part.name)
                return None
            is_first = False
            problem = self._try_part(part, is_alone)
            if problem is None and not is_alone:
                return None
            if isinstance(problem, WorkerLost) and self._workers.is_local:
                self._store.wait_for_workers(self._run_id)  # others may publish what they have
            before, self._done = self._done, self._finished_ids()
            lost = isinstance(problem, WorkerLost)
            if lost and self._recovery.learn(self._done, str(problem), is_alone):
                print(f"{problem}; what it was at is tried again, item by item.", file=sys.stderr)
            elif self._may_go_on(problem) and len(self._done) > len(before):
                print(f"{problem}; what is left is submitted again.", file=sys.stderr)
            elif problem is not None:
                return problem

    def _may_go_on(self, problem: BaseException | None) -> bool:
        """Whether a job failed by itself: other engines fail for reasons of their own."""
        return isinstance(problem, RunStopped) and not self._workers.is_local

    def _try_part(self, part: Plan, is_alone: bool) -> BaseException | None:
        """Does a plan once; what stopped it."""
        self._index = max(self._index, part.first_index + part.num_shards)
        if part is not self._whole:
            self._sizes.update(shard_sizes(self._store, part))
        problem = self._try(part, one_process(self._workers) if is_alone else self._workers)
        if part is not self._whole:
            self._store.remove(part.name)
        return problem

    def _try(self, part: Plan, workers: WorkerPlan) -> BaseException | None:
        work = self._work
        do_here = work.do_here
        if do_here is not None and not workers.needs_beam:
            return attempt_here(lambda: do_here(part, workers))
        from .execution import attempt  # takes Beam

        return attempt(lambda pipeline: work.build(pipeline, part, workers), workers)

    def _unsettled_part(self) -> Plan | None:
        """Plan of the items to be run alone; None if there are none."""
        if not self._recovery.unsettled:
            return None
        shards = planned_shards(self._store, self._whole)
        part = self._plan_more(self._recovery.shards_alone(shards, self._done), self._index)
        if part.num_items:
            return part
        self._store.remove(part.name)
        return None

    def _rest(self) -> Plan:
        """Plan of what is not done."""
        shards = remaining(planned_shards(self._store, self._whole), self._done)
        return self._plan_more(shards, self._index)

    def _finished_ids(self) -> set[str]:
        """Ids of the items that this run has finished."""
        parts = self._store.read_parts(self._store.parts("frames", self._run_id), ["item_id"])
        return {item_id for _, rows in parts for item_id in rows["item_id"].to_pylist()}
