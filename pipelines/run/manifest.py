"""The record of a run, runs/<run>.json: what it was told, with what it worked, what came out."""

from __future__ import annotations

import json
import platform
import secrets
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from hierprob3d.transforms.store.output_folder import RUNS, OutputFolder
from hierprob3d.transforms.store.part_counts import PartCounts
from hierprob3d.transforms.store.part_runs import plan_and_part
from hierprob3d.transforms.tables.schema import SCHEMA_VERSION, STATUSES

_PACKAGES = (
    "hierprob3d", "apache-beam", "torch", "torchvision", "numpy", "opencv-python-headless",
    "pillow", "av", "pyarrow", "onnxruntime", "openvino",
)  # fmt: skip


@dataclass
class Outcome:
    """What the parts of one run hold."""

    statuses: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATUSES, 0))
    num_people: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    """Error rows by stage."""

    stage_seconds: dict[str, float] = field(default_factory=dict)
    """Summed over all processes."""

    @property
    def num_items(self) -> int:
        """Pictures and frames that were finished."""
        return sum(self.statuses.values())

    def counts(self) -> dict[str, int]:
        """As manifests hold them: items by status, and of all kinds."""
        return {
            **self.statuses,
            "items": self.num_items,
            "people": self.num_people,
            "errors": sum(self.errors.values()),
        }

    @property
    def failed_ratio(self) -> float:
        """Share of the finished that failed."""
        return self.statuses["failed"] / max(1, self.num_items)


def new_run_id() -> str:
    """A name for a run that sorts by time and that no other run has."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def read_outcome(store: OutputFolder, run_id: str, *, in_parts: bool = False) -> Outcome:
    """Counts and times of a run, from what it published.

    Args:
        store: The output folder.
        run_id: The run.
        in_parts: Whether it is a plan's, that is made up of the runs of its parts.
    """
    whose = {"series": run_id} if in_parts else {"run_id": run_id}
    total = PartCounts()
    for table in ("frames", "errors"):
        for _, counts in store.read_counts(store.parts(table, **whose)):
            total.add(counts)
    return outcome_of(total)


def outcome_of(counts: PartCounts) -> Outcome:
    """Counts of parts as those of a run."""
    errors = Counter[str]()
    for (stage, _), count in counts.errors.items():
        errors[stage] += count
    return Outcome(
        {status: counts.statuses[status] for status in STATUSES},
        counts.num_people,
        dict(errors),
        {stage: round(seconds, 3) for stage, seconds in counts.stage_seconds.items()},
    )


class Manifest:
    """The manifest of a run, published at its start and again at its end.

    Args:
        store: The output folder.
        run_id: Name of the run.
        config: Dataclass with all that the run was told.
        facts: What else is known at the start, such as model files.
    """

    def __init__(
        self,
        store: OutputFolder,
        run_id: str,
        config: Any,
        facts: Mapping[str, Any],
    ) -> None:
        self._store = store
        started = datetime.now(UTC)
        self._since = time.monotonic()  # clocks may be set meanwhile
        self._content: dict[str, Any] = {
            "run_id": run_id,
            "status": "running",
            "started": started.isoformat(timespec="seconds"),
            "command": sys.argv,
            "config": plain(config),
            "schema_version": SCHEMA_VERSION,
            "versions": versions(),
            **plain(facts),
        }
        self._publish()

    def finish(self, status: str, outcome: Outcome) -> dict[str, Any]:
        """Publishes the end of the run and returns the whole record.

        Args:
            status: finished or stopped.
            outcome: What the run published.
        """
        seconds = time.monotonic() - self._since
        self._content |= {
            "status": status,
            "seconds": round(seconds, 2),
            "counts": outcome.counts(),
            "errors_by_stage": outcome.errors,
            "stage_seconds": outcome.stage_seconds,
            "images_per_s": round(outcome.num_items / max(seconds, 1e-9), 3),
            "people_per_s": round(outcome.num_people / max(seconds, 1e-9), 3),
        }
        self._publish()
        return self._content

    def _publish(self) -> None:
        text = json.dumps(self._content, indent=2, ensure_ascii=False)
        name = f"{RUNS}/{self._content['run_id']}.json"
        self._store.write(name, text.encode("utf-8", errors="replace"))


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on, those installed."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def read_manifest(store: OutputFolder, run_id: str) -> dict[str, Any]:
    """The record of a run, of joined parts that of their plan; empty if somebody removed it."""
    known = plan_and_part(run_id)
    for name in (run_id, *(() if known is None else known[:1])):
        try:
            content: dict[str, Any] = json.loads(store.read(f"{RUNS}/{name}.json"))
        except FileNotFoundError:
            continue
        return content
    return {}


def plain(value: Any) -> Any:
    """The value in types that JSON has; sets become sorted lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value
