"""What `predict` prints: a plan before, a summary after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hierprob3d.configs.prediction import PredictConfig
from hierprob3d.pipelines.command.wording import counted, people
from hierprob3d.transforms.inputs.listing import Listing
from hierprob3d.transforms.inputs.planning import Planner

from .worker_plan import WorkerPlan

NUM_SHOWN_ITEMS = 5
"""Names of items that a dry run shows."""


def summary_text(record: Mapping[str, Any], folder: str, skipped: str = "") -> str:
    """The end of a run in a few lines: counts, errors by stage, speed, time per stage.

    Args:
        record: The finished manifest.
        folder: Where the results lie.
        skipped: What the inputs hold that is not read, see `Listing.skipped_text`.
    """
    counts = record["counts"]
    lines = [
        f"{record['status']}, annotated in {record['seconds']:.1f} s: "
        f"{counted(counts['items'], 'item')}, "
        f"{people(counts['people'])} ({counts['ok']} ok, {counts['no_person']} without a person, "
        f"{counts['failed']} failed)",
        f"{record['images_per_s']:.2f} items/s, {record['people_per_s']:.2f} people/s",
    ]
    if record["errors_by_stage"]:
        by_stage = ", ".join(f"{n} in {stage}" for stage, n in record["errors_by_stage"].items())
        lines.append(f"{counted(counts['errors'], 'error row')}: {by_stage} (see errors/)")
    total = sum(record["stage_seconds"].values())
    if total:
        shares = ", ".join(
            f"{stage} {100 * seconds / total:.0f} %"
            for stage, seconds in record["stage_seconds"].items()
        )
        lines.append(f"time: {shares}")
    if skipped:
        lines.append(f"not read: {skipped}")
    lines.append(f"results: {folder}")
    return "\n".join(lines)


def dry_run_text(
    config: PredictConfig,
    planner: Planner,
    shown: Sequence[str],
    listing: Listing,
    workers: WorkerPlan,
) -> str:
    """What a run would do.

    Args:
        config: The run's.
        planner: Which has found all new items.
        shown: Names of the first of them.
        listing: The inputs.
        workers: The run's.
    """
    names = f" ({listing.skipped_text()})" if listing.num_skipped else ""
    lines = [
        f"{counted(planner.num_pictures, 'picture')} and {counted(planner.num_frames, 'frame')} of "
        f"{counted(planner.num_videos, 'video')} would be annotated; finished: "
        f"{counted(planner.num_done, 'item')}; skipped: "
        f"{counted(listing.num_skipped, 'other file')}{names}",
        f"{counted(workers.num_workers, 'worker')} with "
        f"{counted(workers.num_threads, 'thread')} each",
        f"results would go to {config.run.output}; nothing was written",
    ]
    return "\n".join([*lines, *(f"  {name}" for name in shown)])
