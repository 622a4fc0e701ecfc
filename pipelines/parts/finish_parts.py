"""`hierprob3d finish`: what needs all parts of a plan; until then, which parts are missing."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from hierprob3d.configs.parts import FinishConfig
from hierprob3d.pipelines.command.usage import EXIT_FAILURES
from hierprob3d.pipelines.run.manifest import Outcome, versions
from hierprob3d.transforms.store.output_folder import RUNS
from hierprob3d.transforms.store.part_plan import PartPlan

from .part_states import DONE, STATES, PartState, part_states, state_lines
from .parted_jobs import planned_job
from .work_part import open_plan


def run(config: FinishConfig) -> int:
    """Writes the manifest of all parts, and with all of them done what their command makes of them.

    Args:
        config: Which folder.

    Raises:
        UsageError: There is no plan in the folder.
    """
    store, plan = open_plan(config.folder)
    states = part_states(store, plan)
    record = joined_manifest(plan, states)
    text = json.dumps(record, indent=2, ensure_ascii=False)
    store.write(f"{RUNS}/{plan.plan_id}.json", text.encode("utf-8", errors="replace"))
    for line in state_lines(store, plan, states):
        print(line, file=sys.stderr)
    if record["status"] != "finished":
        return EXIT_FAILURES
    return planned_job(plan.command, plan.config, "cpu").finish(store, record)


def joined_manifest(plan: PartPlan, states: Sequence[PartState]) -> dict[str, Any]:
    """The manifest of the run that all parts make up, with summed counts and times."""
    manifests = [manifest for state in states for manifest in state.manifests]
    counts = _sum([Outcome().counts(), *(manifest["counts"] for manifest in manifests)])
    machine_seconds = sum(manifest.get("seconds", 0.0) for manifest in manifests)
    seconds = _seconds_between(manifests)
    by_state = Counter(state.state for state in states)
    is_done = by_state[DONE] == plan.num_parts
    return {
        "run_id": plan.plan_id,
        "status": "finished" if is_done else "stopped",
        "started": min((m["started"] for m in manifests), default=plan.created),
        "command": ["hierprob3d", plan.command, *plan.words],
        "config": plan.config,
        "schema_version": plan.schema_version,
        "versions": versions(),
        **plan.facts,
        "model_files": plan.model_files,
        "items_planned": plan.num_items,
        "shards": plan.num_shards,
        "parts": {"planned": plan.num_parts, **{state: by_state[state] for state in STATES}},
        "seconds": seconds,
        "seconds_of_all_parts": round(machine_seconds, 2),
        "counts": counts,
        "errors_by_stage": _sum(manifest["errors_by_stage"] for manifest in manifests),
        "stage_seconds": {
            stage: round(total, 3)
            for stage, total in _sum(m["stage_seconds"] for m in manifests).items()
        },
        "images_per_s": round(counts.get("items", 0) / max(seconds, 1e-9), 3),
        "people_per_s": round(counts.get("people", 0) / max(seconds, 1e-9), 3),
    }


def _sum(mappings: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Key by key."""
    total: dict[str, Any] = {}
    for mapping in mappings:
        for key, value in mapping.items():
            total[key] = total.get(key, 0) + value
    return total


def _seconds_between(manifests: Sequence[dict[str, Any]]) -> float:
    """From the first start to the last end, by the clock that all machines share: the folder's."""
    spans = [
        (
            datetime.fromisoformat(m["started"]).timestamp() - m.get("clock_lead_seconds", 0.0),
            m.get("seconds", 0.0),
        )
        for m in manifests
    ]
    if not spans:
        return 0.0
    return round(max(start + took for start, took in spans) - min(start for start, _ in spans), 2)
