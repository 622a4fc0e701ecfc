"""Counts, errors and times of a prediction run's folder, gathered once for every way of showing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hierprob3d.model.body.skeleton import BODY_JOINT_NAMES
from hierprob3d.pipelines.command.wording import counted, people
from hierprob3d.pipelines.run.manifest import Outcome
from hierprob3d.transforms.store.output_folder import run_of
from hierprob3d.transforms.store.part_runs import plan_and_part
from hierprob3d.transforms.tables.schema import STAGE_SECONDS, STATUSES

from .run_folder import RunFolder

_FRAME_COLUMNS = ("status", "num_people", "warning", "uri")
_MOST_SPREADS = 500_000
"""People whose spreads are read: their tenths do not move with more."""

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
    seen = _FramesSeen()
    for shard in folder.finished_parts():
        seen.add(folder, shard)
    if spreads is None:
        spreads = _some_spreads(folder, seen.num_people)
    errors = folder.errors()
    return RunSummary(
        status_counts={status: seen.statuses.get(status, 0) for status in STATUSES},
        num_people=seen.num_people,
        errors=_group_errors(errors),
        warnings=seen.warning_groups(),
        runs=_runs(folder, seen.outcomes, errors),
        num_unfinished_parts=len(folder.unfinished_parts),
        joint_spreads=_joint_spreads(spreads),
    )


class _FramesSeen:
    """What the frames say, part by part: memory does not grow with their number."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.num_people = 0
        self.outcomes: dict[str, Outcome] = {}
        """By run."""
        self._warnings: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, folder: RunFolder, shard: str) -> None:
        """Counts one part."""
        rows = folder.store.read_part(f"frames/{shard}", list(_FRAME_COLUMNS))
        statuses = {pair["values"]: pair["counts"] for pair in
                    pc.value_counts(rows["status"]).to_pylist()}  # fmt: skip
        num_people = pc.sum(rows["num_people"]).as_py() or 0
        self.statuses.update(statuses)
        self.num_people += num_people
        outcome = self.outcomes.setdefault(run_of(shard), Outcome())
        for status, count in statuses.items():
            outcome.statuses[status] = outcome.statuses.get(status, 0) + count
        outcome.num_people += num_people
        notes = rows.schema.metadata or {}
        for stage, seconds in json.loads(notes.get(STAGE_SECONDS.encode(), b"{}")).items():
            outcome.stage_seconds[stage] = outcome.stage_seconds.get(stage, 0.0) + seconds
        self._add_warnings(rows)

    def _add_warnings(self, rows: pa.Table) -> None:
        if rows["warning"].null_count == len(rows):
            return
        warned = rows.filter(pc.field("warning").is_valid())
        pairs = zip(warned["warning"].to_pylist(), warned["uri"].to_pylist(), strict=True)
        for warning, uri in pairs:
            self._warnings[warning] += 1
            self._first.setdefault(warning, uri)

    def warning_groups(self) -> tuple[WarningGroup, ...]:
        """The most frequent warnings."""
        counts = self._warnings.most_common(MAX_WARNINGS)
        return tuple(WarningGroup(text, count, self._first[text]) for text, count in counts)


def _some_spreads(folder: RunFolder, num_people: int) -> NDArray[np.floating]:
    """(P, 23) the column pose_spread_deg; of very many people those of every so-many-th part."""
    step = max(1, num_people // _MOST_SPREADS)
    parts = [folder.people_part(shard, ["pose_spread_deg"])
             for shard in folder.finished_parts()[::step]]  # fmt: skip
    columns = [part.table["pose_spread_deg"].combine_chunks() for part in parts if part]
    flat = [np.asarray(column.flatten()) for column in columns]
    joined = np.concatenate(flat) if flat else np.empty(0)
    return joined.reshape(-1, len(BODY_JOINT_NAMES))


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


def _runs(
    folder: RunFolder, outcomes: Mapping[str, Outcome], errors: pa.Table
) -> tuple[RunRecord, ...]:
    """Runs in the order of time; those of a plan's parts as the one that they make up."""
    by_id = {str(manifest.get("run_id")): manifest for manifest in folder.manifests()}
    found: dict[str, Outcome] = {}
    for run_id in sorted({*outcomes, *by_id}):
        known = plan_and_part(run_id)
        total = found.setdefault(run_id if known is None else known[0], Outcome())
        _add(total, outcomes.get(run_id, Outcome()))
    stages = pa.TableGroupBy(errors, ["run_id", "stage"]).aggregate([([], "count_all")])
    for row in stages.to_pylist():
        known = plan_and_part(row["run_id"])
        total = found.setdefault(row["run_id"] if known is None else known[0], Outcome())
        total.errors[row["stage"]] = total.errors.get(row["stage"], 0) + row["count_all"]
    return tuple(
        RunRecord(run_id, _rounded(found[run_id]), by_id.get(run_id, {}))
        for run_id in sorted(found)
    )


def _add(total: Outcome, other: Outcome) -> None:
    """Adds the counts of one run to those of several."""
    for status, count in other.statuses.items():
        total.statuses[status] = total.statuses.get(status, 0) + count
    total.num_people += other.num_people
    for stage, seconds in other.stage_seconds.items():
        total.stage_seconds[stage] = total.stage_seconds.get(stage, 0.0) + seconds


def _rounded(outcome: Outcome) -> Outcome:
    return replace(
        outcome, stage_seconds={name: round(s, 3) for name, s in outcome.stage_seconds.items()}
    )


def _joint_spreads(spreads: NDArray[np.floating]) -> tuple[JointSpread, ...]:
    if not len(spreads):
        return ()
    quantiles = np.quantile(spreads, [0.1, 0.5, 0.9], axis=0).T
    return tuple(
        JointSpread(name, *values.tolist())
        for name, values in zip(BODY_JOINT_NAMES, quantiles, strict=True)
    )
