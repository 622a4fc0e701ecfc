"""Counts, errors and times of a prediction run's folder, gathered once for every way of showing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hierprob3d.model.body.skeleton import BODY_JOINT_NAMES
from hierprob3d.pipelines.command.wording import counted, people
from hierprob3d.pipelines.run.manifest import Outcome
from hierprob3d.transforms.inputs.sources import in_groups
from hierprob3d.transforms.store.output_folder import run_of
from hierprob3d.transforms.store.part_runs import plan_and_part
from hierprob3d.transforms.tables.schema import STAGE_SECONDS, STATUSES

from .run_folder import RunFolder

_FRAME_COLUMNS = ("status", "num_people", "warning")
_ERROR_COLUMNS = ("stage", "error", "uri", "message", "run_id")
_COUNTED_AT_ONCE = 256
_MOST_SPREADS = 50_000
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
    frames = _FramesSeen(folder)
    parts = folder.parts_of("frames", list(_FRAME_COLUMNS))
    for run_id, of_run in groupby(parts, key=lambda part: run_of(part[0])):
        for some in in_groups(of_run, _COUNTED_AT_ONCE):
            frames.add(run_id, some)
    errors = _ErrorsSeen()
    for _, rows in folder.parts_of("errors", list(_ERROR_COLUMNS)):
        errors.add(rows)
    if spreads is None:
        spreads = _some_spreads(folder, frames.num_people)
    return RunSummary(
        status_counts={status: frames.statuses.get(status, 0) for status in STATUSES},
        num_people=frames.num_people,
        errors=errors.groups(),
        warnings=frames.warning_groups(),
        runs=_runs(folder, frames.outcomes, errors.by_run),
        num_unfinished_parts=len(folder.unfinished_parts),
        joint_spreads=_joint_spreads(spreads),
    )


class _FramesSeen:
    """What the frames say, part by part: memory does not grow with their number.

    Args:
        folder: Theirs.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self.statuses: Counter[str] = Counter()
        self.num_people = 0
        self.outcomes: dict[str, Outcome] = {}
        """By run."""
        self._warnings: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, run_id: str, parts: Sequence[tuple[str, pa.Table]]) -> None:
        """Counts some parts of a run, with their names."""
        rows = pa.concat_tables(table.replace_schema_metadata() for _, table in parts)
        statuses = {pair["values"]: pair["counts"] for pair in
                    pc.value_counts(rows["status"]).to_pylist()}  # fmt: skip
        num_people = pc.sum(rows["num_people"]).as_py() or 0
        self.statuses.update(statuses)
        self.num_people += num_people
        outcome = self.outcomes.setdefault(run_id, Outcome())
        for status, count in statuses.items():
            outcome.statuses[status] = outcome.statuses.get(status, 0) + count
        outcome.num_people += num_people
        for name, table in parts:
            notes = table.schema.metadata or {}
            for stage, seconds in json.loads(notes.get(STAGE_SECONDS.encode(), b"{}")).items():
                outcome.stage_seconds[stage] = outcome.stage_seconds.get(stage, 0.0) + seconds
            if table["warning"].null_count < len(table):
                self._add_warnings(self._folder.store.read_part(name, ["warning", "uri"]))

    def _add_warnings(self, rows: pa.Table) -> None:
        warned = rows.filter(pc.field("warning").is_valid())
        pairs = zip(warned["warning"].to_pylist(), warned["uri"].to_pylist(), strict=True)
        for warning, uri in pairs:
            self._warnings[warning] += 1
            self._first.setdefault(warning, uri)

    def warning_groups(self) -> tuple[WarningGroup, ...]:
        """The most frequent warnings."""
        counts = self._warnings.most_common(MAX_WARNINGS)
        return tuple(WarningGroup(text, count, self._first[text]) for text, count in counts)


class _ErrorsSeen:
    """What the errors say, part by part."""

    def __init__(self) -> None:
        self.by_run: Counter[tuple[str, str]] = Counter()
        """Rows by run and stage."""
        self._counts: Counter[tuple[str, str]] = Counter()
        self._first: dict[tuple[str, str], tuple[str, str]] = {}

    def add(self, rows: pa.Table) -> None:
        """Counts one part."""
        for row in rows.to_pylist():
            key = (row["stage"], row["error"])
            self._first.setdefault(key, (row["uri"], row["message"]))
            self._counts[key] += 1
            self.by_run[row["run_id"], row["stage"]] += 1

    def groups(self) -> tuple[ErrorGroup, ...]:
        """Errors by stage and class, the most frequent first."""
        counts = self._counts.most_common()
        return tuple(ErrorGroup(*key, count, *self._first[key]) for key, count in counts)


def _some_spreads(folder: RunFolder, num_people: int) -> NDArray[np.floating]:
    """(P, 23) the column pose_spread_deg; of very many people those of every so-many-th part."""
    step = max(1, num_people // _MOST_SPREADS)
    parts = [folder.people_part(shard, ["pose_spread_deg"])
             for shard in folder.finished_parts()[::step]]  # fmt: skip
    columns = [part.table["pose_spread_deg"].combine_chunks() for part in parts if part]
    flat = [np.asarray(column.flatten()) for column in columns]
    joined = np.concatenate(flat) if flat else np.empty(0)
    return joined.reshape(-1, len(BODY_JOINT_NAMES))


def _runs(
    folder: RunFolder, outcomes: Mapping[str, Outcome], errors: Mapping[tuple[str, str], int]
) -> tuple[RunRecord, ...]:
    """Runs in the order of time; those of a plan's parts as the one that they make up."""
    by_id = {str(manifest.get("run_id")): manifest for manifest in folder.manifests()}
    found: dict[str, Outcome] = {}
    for run_id in sorted({*outcomes, *by_id}):
        known = plan_and_part(run_id)
        total = found.setdefault(run_id if known is None else known[0], Outcome())
        _add(total, outcomes.get(run_id, Outcome()))
    for (run_id, stage), count in errors.items():
        known = plan_and_part(run_id)
        total = found.setdefault(run_id if known is None else known[0], Outcome())
        total.errors[stage] = total.errors.get(stage, 0) + count
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
