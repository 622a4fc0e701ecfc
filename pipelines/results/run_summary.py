"""Counts, errors and times of a prediction run's folder, gathered once for every way of showing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from hierprob3d.model.body.skeleton import BODY_JOINT_NAMES
from hierprob3d.pipelines.command.wording import counted, people
from hierprob3d.pipelines.run.manifest import Outcome, outcome_of
from hierprob3d.transforms.store.output_folder import run_of
from hierprob3d.transforms.store.part_counts import PartCounts
from hierprob3d.transforms.store.part_runs import plan_and_part
from hierprob3d.transforms.tables.schema import STATUSES

from .run_folder import RunFolder

_ERROR_COLUMNS = ("stage", "error", "uri", "message")
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
    for name, counts in folder.counts_of("frames"):
        frames.add(name, counts)
    errors = _ErrorsSeen(folder)
    for name, counts in folder.counts_of("errors"):
        errors.add(name, counts)
    total = frames.total()
    if spreads is None:
        spreads = _some_spreads(folder, total.num_people)
    return RunSummary(
        status_counts={status: total.statuses[status] for status in STATUSES},
        num_people=total.num_people,
        errors=errors.groups(),
        warnings=frames.warning_groups(),
        runs=_runs(folder, frames.by_run, errors.by_run),
        num_unfinished_parts=len(folder.unfinished_parts),
        joint_spreads=_joint_spreads(spreads),
    )


class _FramesSeen:
    """What the frames count, part by part: memory does not grow with their number.

    Args:
        folder: Theirs.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._store = folder.store
        self.by_run: dict[str, PartCounts] = {}
        self._warned: list[str] = []

    def add(self, name: str, counts: PartCounts) -> None:
        """Adds what a part counts."""
        self.by_run.setdefault(run_of(name), PartCounts()).add(counts)
        if counts.num_warnings:
            self._warned.append(name)

    def total(self) -> PartCounts:
        """Of all runs."""
        total = PartCounts()
        for counts in self.by_run.values():
            total.add(counts)
        return total

    def warning_groups(self) -> tuple[WarningGroup, ...]:
        """The most frequent warnings; only parts that have some are read."""
        counts, first = Counter[str](), dict[str, str]()
        for _, rows in self._store.read_parts(self._warned, ["warning", "uri"]):
            warned = rows.filter(pc.field("warning").is_valid())
            pairs = zip(warned["warning"].to_pylist(), warned["uri"].to_pylist(), strict=True)
            for warning, uri in pairs:
                counts[warning] += 1
                first.setdefault(warning, uri)
        return tuple(WarningGroup(text, count, first[text])
                     for text, count in counts.most_common(MAX_WARNINGS))  # fmt: skip


class _ErrorsSeen:
    """What the errors count, part by part.

    Args:
        folder: Theirs.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._store = folder.store
        self.by_run: dict[str, PartCounts] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._first: dict[tuple[str, str], tuple[str, str]] = {}

    def add(self, name: str, counts: PartCounts) -> None:
        """Adds what a part counts; it is opened only where it has errors of a new kind."""
        self._counts.update(counts.errors)
        self.by_run.setdefault(run_of(name), PartCounts()).add(counts)
        if not counts.errors.keys() <= self._first.keys():
            for row in self._store.read_part(name, list(_ERROR_COLUMNS)).to_pylist():
                kind = (row["stage"], row["error"])
                self._first.setdefault(kind, (row["uri"], row["message"]))

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
    folder: RunFolder, frames: Mapping[str, PartCounts], errors: Mapping[str, PartCounts]
) -> tuple[RunRecord, ...]:
    """Runs in the order of time; those of a plan's parts as the one that they make up."""
    by_id = {str(manifest.get("run_id")): manifest for manifest in folder.manifests()}
    found: dict[str, PartCounts] = {}
    for run_id in sorted({*frames, *errors, *by_id}):
        known = plan_and_part(run_id)
        total = found.setdefault(run_id if known is None else known[0], PartCounts())
        for counts in (frames.get(run_id), errors.get(run_id)):
            if counts is not None:
                total.add(counts)
    return tuple(
        RunRecord(run_id, outcome_of(found[run_id]), by_id.get(run_id, {}))
        for run_id in sorted(found)
    )


def _joint_spreads(spreads: NDArray[np.floating]) -> tuple[JointSpread, ...]:
    if not len(spreads):
        return ()
    quantiles = np.quantile(spreads, [0.1, 0.5, 0.9], axis=0).T
    return tuple(
        JointSpread(name, *values.tolist())
        for name, values in zip(BODY_JOINT_NAMES, quantiles, strict=True)
    )
