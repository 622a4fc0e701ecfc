"""`hierprob3d work`: does one part of a plan."""

from __future__ import annotations

import os
from collections.abc import Mapping

from hierprob3d.configs.parts import AUTO, WorkConfig
from hierprob3d.pipelines.command.usage import EXIT_DONE, UsageError
from hierprob3d.pipelines.run.job import Job
from hierprob3d.pipelines.run.manifest import new_run_id
from hierprob3d.pipelines.run.recovery import remaining
from hierprob3d.pipelines.run.row_settings import told
from hierprob3d.pipelines.run.run import Run
from hierprob3d.pipelines.run.worker_plan import plan_workers
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.store.part_plan import PLAN_FOLDER, PartPlan, part_shards, read_part_plan
from hierprob3d.transforms.store.part_runs import part_run_id
from hierprob3d.transforms.tables.schema import SCHEMA_VERSION

from .parted_jobs import planned_job

PART_VARIABLES = ("SLURM_ARRAY_TASK_ID", "AWS_BATCH_JOB_ARRAY_INDEX", "JOB_COMPLETION_INDEX")
"""Environment variables in which schedulers number the jobs of an array."""


def run(config: WorkConfig, beam_words: list[str]) -> int:
    """Does what is missing of a part; the exit code.

    Args:
        config: Which part, and what is different on this machine.
        beam_words: Beam's own options, instead of the plan's.

    Raises:
        ValueError, OSError: There is no plan or no such part, or models or folder do not serve.
        KeyboardInterrupt: It was told to stop.
    """
    words = list(beam_words)
    plan_workers(words, 0, on_gpu=False)
    part = part_number(config, os.environ)
    store, plan = open_plan(config.folder)
    check_part(plan, part)
    words = words or list(plan.beam_words)
    job = planned_job(plan.command, plan.config, config.device)
    check_settings(store, plan, job)
    run_id = part_run_id(plan.plan_id, part, new_run_id())
    with Run(store, job.config, words, job.on_gpu, run_id) as run:
        done = store.finished_ids(run.series)
        todo = run.plan(remaining(part_shards(store, plan, part), done), job.details)
        if not todo.num_items:
            store.remove(todo.name)
            print(f"Part {part} of {plan.num_parts} is done: {plan.items_per_part[part]} items.")
            return EXIT_DONE
        facts = {**job.facts(), "plan": plan.plan_id, "part": part, "parts": plan.num_parts}
        result = run.execute(job.work_for(run), todo, job.workers(run, todo.num_items), facts)
    counts = result.record["counts"]
    print(
        f"part {part} of {plan.num_parts} {result.record['status']} in "
        f"{result.record['seconds']:.1f} s: {counts['items']} items, {counts['failed']} of them "
        f"failed, {len(done)} were done before"
    )
    return result.exit_code(job.max_failed_ratio)


def open_plan(folder: str) -> tuple[OutputFolder, PartPlan]:
    """The output folder and the plan in it.

    Raises:
        UsageError: There is no plan, or one of another version.
    """
    store = OutputFolder(folder)
    plan = read_part_plan(store)
    if plan is None:
        raise UsageError(
            f"there is no plan in {store.root}/{PLAN_FOLDER}: is the folder shared with this "
            "machine? hierprob3d plan --parts N -- COMMAND ... writes it."
        )
    if plan.schema_version != SCHEMA_VERSION:
        raise UsageError(
            f"the plan in {store.root} is for tables of schema {plan.schema_version}, this "
            f"version writes {SCHEMA_VERSION}: install one version on all machines."
        )
    return store, plan


def part_number(config: WorkConfig, environment: Mapping[str, str]) -> int:
    """The part that a command line, or the scheduler's environment, means.

    Raises:
        UsageError: It is no number.
    """
    text = config.part
    if text == AUTO:
        found = [environment[name] for name in PART_VARIABLES if environment.get(name)]
        if not found:
            raise UsageError(f"--part auto needs one of {', '.join(PART_VARIABLES)}; none is set.")
        text = found[0]
    if not (text.isascii() and text.isdecimal()):
        raise UsageError(f"--part must be a number from 0 or auto, got {text!r}.")
    return int(text) + config.part_offset


def check_part(plan: PartPlan, part: int) -> None:
    """Raise UsageError where a plan has no such part."""
    if part >= plan.num_parts:
        raise UsageError(
            f"there is no part {part}: the plan has {plan.num_parts}, 0 to {plan.num_parts - 1}."
        )


def check_settings(store: OutputFolder, plan: PartPlan, job: Job) -> None:
    """Raise UsageError if rows would mean something else here than when it was planned."""
    planned = {**plan.facts, "config": plan.config, "model_files": plan.model_files}
    if found := job.differences(planned):
        raise UsageError(
            f"{store.root} is planned {told(found)}: put the same files and the same version of "
            "this package on all machines, or plan again into another folder."
        )
