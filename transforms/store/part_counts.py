"""What the parts of frames/ and errors/ count, in their footers: summing up opens no rows.

A part without it, or whose rows somebody changed, is counted anew.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from hierprob3d.transforms.tables.schema import SCHEMA_VERSION, STAGE_SECONDS

COUNTS = "row_counts"
"""Key of the file metadata of frames and errors parts, as JSON."""

OF_FRAMES = ("status", "num_people")
OF_ERRORS = ("stage", "error")
WARNING = "warning"
COUNTED_COLUMNS = {"frames": (*OF_FRAMES, WARNING), "errors": OF_ERRORS}
"""What is read of a part that does not say what it counts, by table."""


@dataclass
class PartCounts:
    """Of one part, or of several."""

    statuses: Counter[str] = field(default_factory=Counter)
    """Rows of frames."""

    num_people: int = 0
    num_warnings: int = 0
    """Rows of frames that have one."""

    stage_seconds: Counter[str] = field(default_factory=Counter)
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rows of errors, by stage and class."""

    def add(self, other: PartCounts) -> None:
        """Adds those of other parts."""
        self.statuses.update(other.statuses)
        self.num_people += other.num_people
        self.num_warnings += other.num_warnings
        self.stage_seconds.update(other.stage_seconds)
        self.errors.update(other.errors)


def count_rows(table: pa.Table) -> PartCounts:
    """What a part's table counts; only seconds where it is of neither kind."""
    names = set(table.column_names)
    found = PartCounts(stage_seconds=Counter(_seconds(table.schema.metadata or {})))
    if names.issuperset(OF_FRAMES):
        for pair in pc.value_counts(table["status"]).to_pylist():
            found.statuses[pair["values"]] += pair["counts"]
        found.num_people = pc.sum(table["num_people"]).as_py() or 0
        if WARNING in names:
            found.num_warnings = len(table) - table[WARNING].null_count
    elif names.issuperset(OF_ERRORS):
        pairs = zip(table["stage"].to_pylist(), table["error"].to_pylist(), strict=True)
        found.errors = Counter(pairs)
    return found


def counts_note(counts: PartCounts) -> dict[str, str]:
    """The file metadata that say what a part counts, but for seconds; empty for other tables."""
    if counts.statuses:
        content = {
            "status": counts.statuses,
            "people": counts.num_people,
            "warnings": counts.num_warnings,
        }
    elif counts.errors:
        content = {"errors": [[*kind, count] for kind, count in counts.errors.items()]}
    else:
        return {}
    return {COUNTS: json.dumps(content)}


def with_counts(table: pa.Table) -> pa.Table:
    """The table with the metadata that say what it counts, in place of what it said before."""
    notes = table.schema.metadata or {}
    fresh = {k: v for k, v in notes.items() if k != COUNTS.encode()}
    return table.replace_schema_metadata({**fresh, **counts_note(count_rows(table))})


def noted_counts(notes: Mapping[bytes, bytes], num_rows: int) -> PartCounts | None:
    """What a part's file metadata say; None where they say nothing, or not of so many rows."""
    said = notes.get(COUNTS.encode())
    if said is None or notes.get(b"schema_version") != SCHEMA_VERSION.encode():
        return None
    content = json.loads(said)
    found = PartCounts(
        Counter(content.get("status", {})),
        content.get("people", 0),
        content.get("warnings", 0),
        Counter(_seconds(notes)),
        Counter({(stage, error): n for stage, error, n in content.get("errors", ())}),
    )
    known = found.statuses.total() + found.errors.total()
    return found if known == num_rows else None


def _seconds(notes: Mapping[bytes, bytes]) -> dict[str, float]:
    return dict(json.loads(notes.get(STAGE_SECONDS.encode(), b"{}")))
