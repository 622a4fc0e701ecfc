"""A run of any pipeline into an output folder: alone in it, planned, recorded, to an outcome."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from hierprob3d.pipelines.command.usage import EXIT_DONE, EXIT_FAILURES
from hierprob3d.transforms.inputs.items import Shard
from hierprob3d.transforms.store.marks import remove_marks
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.store.part_plan import check_no_open_plan
from hierprob3d.transforms.store.part_runs import series_of
from hierprob3d.transforms.store.plan import Plan, PlanWriter, shard_sizes

from .attempts import Attempts, Work
from .manifest import Manifest, Outcome, new_run_id, read_outcome
from .progress import Progress, polling_interval, published_items
from .worker_plan import WorkerPlan, plan_workers

_MOST_CLOCK_LEAD = 60.0
"""Seconds by which clocks may differ without a word."""


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
        self._clock_lead = self.store.create(self.id)
        if abs(self._clock_lead) > _MOST_CLOCK_LEAD:
            print(f"warning: {_clock_words(self._clock_lead, self.store.root)}", file=sys.stderr)
        self._lock = self.store.lock_for_run(self.id)
        try:
            if not self.series:
                check_no_open_plan(self.store)
            self.store.sweep(self.series)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        if self._lock is not None:
            self._lock.release()

    def forget(self, *, overwrite: bool, retry_failed: bool) -> None:
        """Drops earlier rows that are to be made again."""
        if overwrite:
            self.store.drop_items(self.store.finished_ids())
        elif retry_failed:
            self.store.drop_items(self.store.failed_items())

    def plan(self, shards: Iterable[Shard], details: pa.Schema | None = None) -> Plan:
        """Publishes the shards as a plan of this run.

        Args:
            shards: Consumed one by one.
            details: Fields of their details.
        """
        self._details = details
        return self.plan_more(shards, 0)

    def plan_more(self, shards: Iterable[Shard], first_index: int) -> Plan:
        """Publishes some more of the same kind as another plan, numbered from this index on."""
        name = f"{self.id}.{first_index}" if first_index else self.id
        with PlanWriter(self.store, name, self._details, first_index) as writer:
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
        planned = {
            "workers": workers,
            "items_planned": plan.num_items,
            "shards": plan.num_shards,
            "clock_lead_seconds": round(self._clock_lead, 1),
        }
        manifest = Manifest(self.store, self.id, self.config, {**facts, **planned})
        sizes = shard_sizes(self.store, plan)
        count = published_items(self.store, self.id, sizes)
        with Progress(count, plan.num_items, polling_interval(self.store)):
            attempts = Attempts(self.store, self.id, work, plan, self.plan_more, workers, sizes)
            problem = attempts.until_the_end()
        self.store.remove(plan.name)
        if problem is None or isinstance(problem, KeyboardInterrupt):
            # Those left were at work when they were told to stop.
            self.forget_marks()
        outcome = read_outcome(self.store, self.id)
        record = manifest.finish("stopped" if problem else "finished", outcome)
        return RunResult(outcome, record, problem)


def _clock_words(lead: float, root: str) -> str:
    """That clocks differ, and what of it."""
    return (
        f"this machine's clock is {abs(lead):.0f} s {'ahead of' if lead > 0 else 'behind'} that of "
        f"{root}: no row depends on it, but times in runs/ do; set it by NTP."
    )
