"""Counts, errors and times of a prediction run's folder, gathered once for every way of showing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hierprob3d.model.body.skeleton import BODY_JOINT_NAMES
from hierprob3d.pipelines.command.wording import counted, people
from hierprob3d.pipelines.run.manifest import Outcome, read_outcome
from hierprob3d.transforms.store.part_runs import plan_and_part
from hierprob3d.transforms.tables.schema import STATUSES

from .run_folder import RunFolder

MAX_WARNINGS = 20
"""Warnings that are told apart; some name numbers of their picture."""


@dataclass(frozen=True)
class ErrorGroup:
    """Errors of one class at one stage."""

    stage: str
    error: str
    count: int
    uri: str
    """Where the first of them happened."""
    message: str
    """Message of the first of them."""


@dataclass(frozen=True)
class WarningGroup:
    """Pictures and frames that were used, with the same thing to know of them."""

    warning: str
    count: int
    uri: str
    """The first of them."""


@dataclass(frozen=True)
class RunRecord:
    """One run that wrote into the folder."""

    run_id: str
    outcome: Outcome
    """Counts and seconds per stage, from the parts themselves: also of a run that was killed."""
    manifest: Mapping[str, Any]
    """runs/<run_id>.json; empty where there is none."""

    @property
    def state(self) -> str:
        """How the run ended, as far as its manifest knows."""
        status = str(self.manifest.get("status", "without a manifest"))
        return "running, or killed" if status == "running" else status

    @property
    def stage_seconds(self) -> dict[str, float]:
        """Time per stage, added up over processes, longest first."""
        return dict(sorted(self.outcome.stage_seconds.items(), key=lambda item: -item[1]))

    @property
    def facts(self) -> list[str]:
        """Counts, start and rates in words."""
        manifest = self.manifest
        facts = [counted(self.outcome.num_items, "item"), people(self.outcome.num_people)]
        if "started" in manifest:
            facts.append(f"started {manifest['started']}")
        if "seconds" in manifest:
            facts.append(f"took {manifest['seconds']:.0f} s")
            facts.append(f"{manifest['images_per_s']:.2f} items/s")
            facts.append(f"{manifest['people_per_s']:.2f} people/s")
        return facts


@dataclass(frozen=True)
class JointSpread:
    """How sure the run is of one body joint, over all people: angular spread in degrees."""

    name: str
    tenth: float
    median: float
    ninetieth: float


@dataclass(frozen=True)
class RunSummary:
    """All that `inspect` and `report` say in numbers."""

    status_counts: dict[str, int]
    num_people: int
    errors: tuple[ErrorGroup, ...]
    """Most frequent first."""
    warnings: tuple[WarningGroup, ...]
    """Most frequent first, at most `MAX_WARNINGS`."""
    runs: tuple[RunRecord, ...]
    """In the order of their ids, that is of time."""
    num_unfinished_parts: int
    """Parts of shards that were not finished; they are not counted anywhere else."""
    joint_spreads: tuple[JointSpread, ...]
    """Per body joint; empty without people."""

    @property
    def num_items(self) -> int:
        """Finished pictures and frames."""
        return sum(self.status_counts.values())


def summarise(folder: RunFolder, spreads: NDArray[np.floating] | None = None) -> RunSummary:
    """The summary of a folder, of whatever runs have finished in it.

    Args:
        folder: The run's.
        spreads: (P, 23) the column pose_spread_deg of all people, where it was read already.
    """
    frames = folder.frames()
    statuses = Counter(frames["status"].to_pylist())
    if spreads is None:
        column = folder.people(["pose_spread_deg"])["pose_spread_deg"].combine_chunks()
        spreads = np.asarray(column.flatten()).reshape(-1, len(BODY_JOINT_NAMES))
    return RunSummary(
        status_counts={status: statuses.get(status, 0) for status in STATUSES},
        num_people=len(spreads),
        errors=_group_errors(folder.errors()),
        warnings=_group_warnings(frames),
        runs=_runs(folder, frames["run_id"].to_pylist()),
        num_unfinished_parts=len(folder.unfinished_parts),
        joint_spreads=_joint_spreads(spreads),
    )


def _group_errors(errors: pa.Table) -> tuple[ErrorGroup, ...]:
    first: dict[tuple[str, str], dict[str, Any]] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for row in errors.select(["stage", "error", "uri", "message"]).to_pylist():
        key = (row["stage"], row["error"])
        first.setdefault(key, row)
        counts[key] += 1
    return tuple(
        ErrorGroup(*key, count, first[key]["uri"], first[key]["message"])
        for key, count in counts.most_common()
    )


def _group_warnings(frames: pa.Table) -> tuple[WarningGroup, ...]:
    warned = frames.filter(pc.field("warning").is_valid()).select(["warning", "uri"]).to_pydict()
    first: dict[str, str] = {}
    for warning, uri in zip(warned["warning"], warned["uri"], strict=True):
        first.setdefault(warning, uri)
    counts = Counter(warned["warning"]).most_common(MAX_WARNINGS)
    return tuple(WarningGroup(warning, count, first[warning]) for warning, count in counts)


def _runs(folder: RunFolder, run_ids: Iterable[str]) -> tuple[RunRecord, ...]:
    """Runs in the order of time; those of a plan's parts as the one that they make up."""
    by_id = {str(manifest.get("run_id")): manifest for manifest in folder.manifests()}
    found = {*run_ids, *by_id}
    parts = {run_id: part[0] for run_id in found if (part := plan_and_part(run_id))}
    plans = set(parts.values())
    return tuple(
        RunRecord(
            run_id,
            read_outcome(folder.store, run_id, in_parts=run_id in plans),
            by_id.get(run_id, {}),
        )
        for run_id in sorted((found - parts.keys()) | plans)
    )


def _joint_spreads(spreads: NDArray[np.floating]) -> tuple[JointSpread, ...]:
    if not len(spreads):
        return ()
    quantiles = np.quantile(spreads, [0.1, 0.5, 0.9], axis=0).T
    return tuple(
        JointSpread(name, *values.tolist())
        for name, values in zip(BODY_JOINT_NAMES, quantiles, strict=True)
    )
