"""A run of any pipeline into an output folder: alone in it, planned, recorded, to an outcome."""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from hierprob3d.pipelines.command.usage import EXIT_DONE, EXIT_FAILURES
from hierprob3d.transforms.inputs.items import Shard
from hierprob3d.transforms.store.marks import remove_marks
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.store.part_plan import check_no_open_plan
from hierprob3d.transforms.store.part_runs import series_of
from hierprob3d.transforms.store.plan import Plan, PlanWriter, planned_shards, shard_sizes

from .ending import WorkerLost, attempt_here
from .manifest import Manifest, Outcome, new_run_id, read_outcome
from .progress import Progress, polling_interval, published_items
from .recovery import Recovery, remaining
from .worker_plan import WorkerPlan, one_process, plan_workers

if TYPE_CHECKING:
    import apache_beam as beam


@dataclass(frozen=True)
class Work:
    """What is done with the shards of a plan."""

    build: Callable[[beam.Pipeline, Plan, WorkerPlan], None]
    """Adds the transforms of a plan's shards to an empty pipeline, for those workers."""

    do_here: Callable[[Plan, WorkerPlan], None] | None = None
    """The same in this process, without Beam; None where only Beam can do it."""


@dataclass(frozen=True)
class RunResult:
    """How a run ended."""

    outcome: Outcome
    """Counts and times of what it published."""

    record: dict[str, Any]
    """Its manifest."""

    problem: BaseException | None
    """What stopped it, None if nothing did."""

    def exit_code(self, max_failed_ratio: float) -> int:
        """1 if it was stopped, published nothing, or failed for too large a share of its items.

        Raises:
            KeyboardInterrupt: The user stopped it.
        """
        if isinstance(self.problem, KeyboardInterrupt):
            raise self.problem
        if self.problem is not None:
            print(f"The run stopped: {self.problem}", file=sys.stderr)
            print("The same command goes on from here.", file=sys.stderr)
        too_many = self.outcome.failed_ratio > max_failed_ratio
        failed = self.problem or too_many or not self.outcome.num_items
        return EXIT_FAILURES if failed else EXIT_DONE


class Run:
    """One run; within its `with` block no other run writes to the folder.

    Args:
        store: The output folder, made if needed.
        config: Dataclass with all that the run was told.
        beam_words: Beam's own options, as on the command line.
        on_gpu: Whether the networks compute on a GPU, which processes share.
        run_id: Its name, otherwise a new one; one of `part_run_id` leaves other parts alone.

    Raises:
        FolderInUse: Another run writes to the folder.
        UsageError: A runner or an option that cannot be used.
    """

    def __init__(
        self,
        store: OutputFolder,
        config: Any,
        beam_words: Iterable[str] = (),
        on_gpu: bool = False,
        run_id: str | None = None,
    ) -> None:
        self.id = run_id or new_run_id()
        self.series = series_of(self.id)
        self.store = store
        self.config = config
        self._words = list(beam_words)
        self._on_gpu = on_gpu

    def __enter__(self) -> Run:
        self.store.create(self.id)
        self._lock = self.store.lock_for_run(self.id)
        try:
            if not self.series:
                check_no_open_plan(self.store)
            self.store.sweep(self.series)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._lock is not None:
            self._lock.release()

    def forget(self, *, overwrite: bool, retry_failed: bool) -> None:
        """Drops earlier rows that are to be made again."""
        if overwrite:
            self.store.drop_items(self.store.finished_ids())
        elif retry_failed:
            self.store.drop_items(self.store.failed_items())

    def plan(
        self, shards: Iterable[Shard], details: pa.Schema | None = None, first_index: int = 0
    ) -> Plan:
        """Publishes the shards as a plan of this run.

        Args:
            shards: Consumed one by one.
            details: Fields of their details.
            first_index: Number of the first of them.
        """
        self._details = details
        name = f"{self.id}.{first_index}" if first_index else self.id
        writer = PlanWriter(self.store, name, details, first_index)
        with writer:
            for shard in shards:
                writer.add(shard.items, shard.details)
        return writer.plan()

    def forget_marks(self) -> None:
        """Removes what says that shards were begun: no item that this run was given is left."""
        remove_marks(self.store, series=self.series)

    def workers(self, num_items: int) -> WorkerPlan:
        """Processes and threads for that many items."""
        return plan_workers(self._words, num_items, self._on_gpu)

    def execute(
        self,
        work: Work,
        plan: Plan,
        workers: WorkerPlan,
        facts: Mapping[str, Any],
    ) -> RunResult:
        """Runs the pipeline on the plan, with progress and manifest.

        Args:
            work: What is done with its shards.
            plan: Of this run.
            workers: Of this run.
            facts: What the manifest says besides the configuration.
        """
        if not self.series:  # the new rows and those of earlier versions are one table
            self.store.upgrade_parts()
        planned = {"workers": workers, "items_planned": plan.num_items, "shards": plan.num_shards}
        manifest = Manifest(self.store, self.id, self.config, {**facts, **planned})
        sizes = shard_sizes(self.store, plan)
        count = published_items(self.store, self.id, sizes)
        with Progress(count, plan.num_items, polling_interval(self.store)):
            problem = self._attempts(work, plan, workers, sizes)
        self.store.remove(plan.name)
        if problem is None or isinstance(problem, KeyboardInterrupt):
            # Those left were at work when they were told to stop.
            self.forget_marks()
        outcome = read_outcome(self.store, self.id)
        record = manifest.finish("stopped" if problem else "finished", outcome)
        return RunResult(outcome, record, problem)

    def _attempts(
        self,
        work: Work,
        plan: Plan,
        workers: WorkerPlan,
        sizes: dict[str, int],
    ) -> BaseException | None:
        """Runs the plan, what may take workers down first and alone; what stopped it in the end."""
        recovery = Recovery(self.store, self.id)
        done: set[str] = set()
        index, is_first = plan.num_shards, True
        while True:
            part = self._unsettled_part(plan, recovery, done, index)
            is_alone = part is not None
            if part is None:
                part = plan if is_first else self._rest(plan, done, index)
            if not part.num_items and not is_first:
                self.store.remove(part.name)
                return None
            is_first = False
            index = max(index, part.first_index + part.num_shards)
            if part is not plan:
                sizes.update(shard_sizes(self.store, part))
            problem = self._attempt(work, part, one_process(workers) if is_alone else workers)
            if part is not plan:
                self.store.remove(part.name)
            if problem is None and not is_alone:
                return None
            if isinstance(problem, WorkerLost) and workers.is_local:
                self.store.wait_for_workers(self.id)  # the others may still publish what they have
            done = self._done()
            if isinstance(problem, WorkerLost) and recovery.learn(done, str(problem), is_alone):
                print(f"{problem}; what it was at is tried again, item by item.", file=sys.stderr)
            elif problem is not None:
                return problem

    def _attempt(
        self,
        work: Work,
        part: Plan,
        workers: WorkerPlan,
    ) -> BaseException | None:
        do_here = work.do_here
        if do_here is not None and not workers.needs_beam:
            return attempt_here(lambda: do_here(part, workers))
        from .execution import attempt  # takes Beam

        return attempt(lambda pipeline: work.build(pipeline, part, workers), workers)

    def _unsettled_part(
        self, plan: Plan, recovery: Recovery, done: Container[str], index: int
    ) -> Plan | None:
        """Plan of the items to be run alone; None if there are none."""
        if not recovery.unsettled:
            return None
        shards = recovery.shards_alone(planned_shards(self.store, plan), done)
        part = self.plan(shards, self._details, index)
        if part.num_items:
            return part
        self.store.remove(part.name)
        return None

    def _rest(self, plan: Plan, done: Container[str], index: int) -> Plan:
        """Plan of what is not done."""
        shards = remaining(planned_shards(self.store, plan), done)
        return self.plan(shards, self._details, index)

    def _done(self) -> set[str]:
        """Ids of the items that this run has finished."""
        parts = self.store.parts("frames", self.id)
        return {
            item_id
            for name in parts
            for item_id in self.store.read_part(name, ["item_id"])["item_id"].to_pylist()
        }
