"""Which parts of a plan are done, at work, stopped or never started, and what each has counted."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hierprob3d.pipelines.run.manifest import read_outcome
from hierprob3d.transforms.store.output_folder import RUNS, OutputFolder
from hierprob3d.transforms.store.part_plan import PartPlan
from hierprob3d.transforms.store.part_runs import plan_and_part

from .array_limits import ARRAYS_FILE, LOGS_FOLDER, slurm_arrays

DONE, AT_WORK, STOPPED, NEVER_STARTED = "done", "at work", "stopped", "never started"
STATES = (DONE, AT_WORK, STOPPED, NEVER_STARTED)
_READ_AT_ONCE = 16


@dataclass(frozen=True)
class PartState:
    """One part of a plan."""

    part: int
    state: str
    """Of `STATES`."""

    manifests: tuple[dict[str, Any], ...]
    """Of its runs; those of killed runs with the counts of what they published."""


def part_states(store: OutputFolder, plan: PartPlan) -> list[PartState]:
    """The state of every part, from the manifests of its runs.

    Parts of runs are read only where a run was killed before it could count them itself.
    """
    manifests = _manifests(store, plan.plan_id)
    return [_state(store, plan, part, manifests[part]) for part in range(plan.num_parts)]


def _manifests(store: OutputFolder, plan_id: str) -> dict[int, list[dict[str, Any]]]:
    """Manifests of all runs of a plan's parts, by part."""
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    names, parts = [], []
    for name in store.names(RUNS):
        known = plan_and_part(name.removesuffix(".json")) if name.endswith(".json") else None
        if known is not None and known[0] == plan_id and not name.startswith("."):
            names.append(name)
            parts.append(known[1])
    with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
        contents = pool.map(lambda name: json.loads(store.read(f"{RUNS}/{name}")), names)
        for part, content in zip(parts, contents, strict=True):
            found[part].append(content)
    return found


def _state(
    store: OutputFolder, plan: PartPlan, part: int, manifests: list[dict[str, Any]]
) -> PartState:
    if not manifests and not plan.items_per_part[part]:
        return PartState(part, DONE, ())
    if not manifests:
        return PartState(part, NEVER_STARTED, ())
    counted = tuple(_counted(store, manifest) for manifest in manifests)
    done = sum(manifest["counts"]["items"] for manifest in counted)
    if done >= plan.items_per_part[part]:
        return PartState(part, DONE, counted)
    is_running = any(manifest["status"] == "running" for manifest in counted)
    # Whether it works now is not known of object stores: there it counts as stopped.
    at_work = is_running and store.is_at_work(counted[-1]["run_id"])
    return PartState(part, AT_WORK if at_work else STOPPED, counted)


def _counted(store: OutputFolder, manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest of a run; of one that was killed, with what its parts hold."""
    if "counts" in manifest:
        return manifest
    outcome = read_outcome(store, manifest["run_id"])
    return {
        **manifest,
        "counts": outcome.counts(),
        "errors_by_stage": outcome.errors,
        "stage_seconds": outcome.stage_seconds,
    }


def lines_before_the_plan(store: OutputFolder) -> list[str]:
    """What is known of a chain of Slurm jobs that has not planned yet; empty for other folders."""
    if slurm_arrays(store) is None or store.has_folder(RUNS):
        return []
    lines = [f"{store.root} is not planned yet: squeue shows where its jobs are"]
    plans = [name for name in store.names(LOGS_FOLDER) if "plan" in name]
    logs = sorted(plans, key=lambda name: (len(name), name))  # by their job's number
    for name in logs[-1:]:
        said = store.read(f"{LOGS_FOLDER}/{name}").decode(errors="replace").split("\n")
        lines += [f"{LOGS_FOLDER}/{name}: {line}" for line in said if line][-1:]
    return lines


def state_lines(store: OutputFolder, plan: PartPlan, states: Sequence[PartState]) -> Iterator[str]:
    """How far a plan is, and how the parts that are missing are done."""
    by_state = {kind: [s.part for s in states if s.state == kind] for kind in STATES}
    told = ", ".join(f"{len(parts)} {kind}" for kind, parts in by_state.items() if parts)
    yield f"{plan.num_parts} parts: {told}"
    for kind, parts in by_state.items():
        if parts and kind != DONE:
            yield f"  {kind}: {array_text(parts)}"
    missing = sorted(part for kind, parts in by_state.items() if kind not in (DONE, AT_WORK)
                     for part in parts)  # fmt: skip
    if missing:
        yield "to do those:"
        yield from (f"  {line}" for line in mending_commands(store, missing))


def mending_commands(store: OutputFolder, missing: Sequence[int]) -> Iterator[str]:
    """Commands that do parts which are not done, and finish."""
    arrays = slurm_arrays(store)
    if arrays is None:
        yield f"hierprob3d work {store.root} --part {array_text(missing)} (one process each)"
        yield f"hierprob3d finish {store.root}"
        return
    for array in arrays:
        numbers = [part - array.offset for part in missing if part in array.parts]
        if numbers:
            offset = f" {array.offset}" if array.offset else ""
            script = f"{store.root}/{ARRAYS_FILE.rpartition('/')[0]}/work.sh"
            yield f"sbatch --array={array_text(numbers)} {script}{offset}"
    yield f"hierprob3d finish {store.root}  # when those jobs are over"


def array_text(numbers: Iterable[int]) -> str:
    """Numbers as Slurm's --array takes them: `3,17,40-44`."""
    ordered = sorted(numbers)
    if not ordered:
        return ""
    starts = [ordered[0], *(b for a, b in pairwise(ordered) if b != a + 1)]
    ends = [*(a for a, b in pairwise(ordered) if b != a + 1), ordered[-1]]
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))
