"""`hierprob3d plan`: lists once what is to be done, and writes it down for many machines."""

from __future__ import annotations

import sys
from typing import Any

from hierprob3d.configs.parts import PlanConfig
from hierprob3d.pipelines.command.usage import EXIT_DONE, EXIT_FAILURES, UsageError
from hierprob3d.pipelines.run.absolute_paths import with_absolute_paths
from hierprob3d.pipelines.run.job import Job
from hierprob3d.pipelines.run.manifest import plain
from hierprob3d.pipelines.run.run import Run
from hierprob3d.pipelines.run.worker_plan import plan_workers
from hierprob3d.transforms.store.locking import utc_now
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.store.part_plan import (
    PLAN_FOLDER,
    PartPlan,
    cut_plan,
    is_finished,
    read_part_plan,
    write_part_plan,
)
from hierprob3d.transforms.tables.schema import SCHEMA_VERSION

from .parted_jobs import output_of, planned_job, read_command, with_device


def run(config: PlanConfig, words: list[str]) -> int:
    """Writes the plan of a command; the exit code.

    Args:
        config: In how many parts.
        words: The command with its options.

    Raises:
        ValueError, OSError: Bad usage, as of the command itself, or another plan is in its folder.
    """
    command, told, beam_words = read_command("plan", words)
    plan_workers(beam_words, 0, on_gpu=False)  # wrong Beam options are told before all else
    store = OutputFolder(output_of(told))
    earlier = same_open_plan(store, config.parts, words)
    if earlier is not None:
        print(f"{store.root} has this plan, of {earlier.created}; its parts go on from there.")
        return EXIT_DONE
    settings = plain(with_absolute_paths(told))
    job = planned_job(command, with_device(settings, "cpu"), None)  # GPUs are the workers'
    job.prepare(beam_words)
    with Run(store, job.config, beam_words) as run:
        found = job.plan(run, config.parts)
        if not found.num_items and not store.parts("frames"):
            store.remove(found.name)
            print("Nothing to do: there is no item.", file=sys.stderr)
            return EXIT_FAILURES
        store.upgrade_parts()
        cut, sizes = cut_plan(store, found, run.id, config.parts, job.details)
        store.remove(found.name)
        plan = PartPlan(
            plan_id=run.id,
            command=command,
            words=tuple(words[1:]),
            beam_words=tuple(beam_words),
            config=_settings_of(job, settings),
            model_files=job.model_files(),
            schema_version=SCHEMA_VERSION,
            created=utc_now(),
            items=cut.name,
            num_shards=cut.num_shards,
            items_per_part=sizes,
            facts=plain(job.facts()),
        )
        write_part_plan(store, plan)
    if not plan.num_items:
        print("Nothing to do: no item is new.")
        return EXIT_DONE
    print(
        f"{plan.num_items} items in {plan.num_parts} parts of {min(sizes)} to {max(sizes)}; each: "
        f"hierprob3d work {store.root} --part I (0 to {plan.num_parts - 1}), in the end: "
        f"hierprob3d finish {store.root}"
    )
    return EXIT_DONE


def _settings_of(job: Job, told: dict[str, Any]) -> dict[str, Any]:
    """The job's options, as far as planning changed them, with the device that was told."""
    device = told["models"]["device"] if "models" in told else told["device"]
    return with_device(plain(job.config), device)


def same_open_plan(store: OutputFolder, num_parts: int, words: list[str]) -> PartPlan | None:
    """The plan of a folder that is not finished, if there is one and the same command made it.

    Args:
        store: The output folder.
        num_parts: Of the plan.
        words: The command with its options.

    Raises:
        UsageError: Another command made it.
    """
    plan = read_part_plan(store)
    if plan is None or is_finished(store, plan):
        return None
    if (plan.num_parts, [plan.command, *plan.words]) == (num_parts, words):
        return plan
    raise UsageError(
        f"{store.root} holds another plan, {plan.command} in {plan.num_parts} parts of "
        f"{plan.created}, that is not finished: finish it (hierprob3d finish {store.root} says "
        f"what is missing), choose another --output, or remove {store.root}/{PLAN_FOLDER}."
    )
