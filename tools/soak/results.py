"""Rows of output folders: compared to the bit, counted, and nothing else left beside them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

TABLES = ("frames", "people", "errors")
_OF_THE_RUN = ("run_id", "seconds", "attempts")
"""Columns that tell of the run, not of the item."""

_KEYS = ("item_id", "person_index")
_KEPT = re.compile(r"(frames|people|errors)/part-[^/]+\.parquet|runs/[^./][^/]*\.json"
                   r"|runs/\.(lock|workers)")  # fmt: skip
"""Files of an output folder in which nothing is at work."""


def rows_of(output: Path, table: str) -> pa.Table:
    """All rows of a table, in the order of items and people; none where there is no part."""
    parts = sorted((output / table).glob("part-*.parquet"))
    if not parts:
        return pa.table({})
    rows = ds.dataset([str(part) for part in parts]).to_table().combine_chunks()
    return rows.sort_by([(key, "ascending") for key in _KEYS if key in rows.column_names])


def statuses(output: Path) -> dict[str, str]:
    """Status of every picture by its file name; of frames by name and number."""
    found = {}
    for row in rows_of(output, "frames").to_pylist():
        number = "" if row["frame_index"] is None else f"#{row['frame_index']}"
        found[Path(row["uri"]).name + number] = row["status"]
    return found


def lost_or_doubled(output: Path, num_items: int) -> list[str]:
    """What is wrong with the number of rows."""
    counts = Counter(rows_of(output, "frames").to_pydict().get("item_id", []))
    twice = [item for item, count in counts.items() if count > 1]
    people = rows_of(output, "people").to_pydict()
    pairs = Counter(zip(*(people.get(key, []) for key in _KEYS), strict=True))
    found = [f"{len(twice)} items twice"] if twice else []
    found += [f"{len(counts)} items, not {num_items}"] if len(counts) != num_items else []
    doubled = sum(count > 1 for count in pairs.values())
    return found + ([f"{doubled} people twice"] if doubled else [])


def differences(output: Path, expected: Path) -> list[str]:
    """Columns of any table that are not equal to the bit, but for those that tell of the run."""
    found = []
    for table in TABLES:
        ours, theirs = rows_of(output, table), rows_of(expected, table)
        if ours.num_rows != theirs.num_rows or ours.column_names != theirs.column_names:
            found.append(f"{table}: {ours.num_rows} rows, not {theirs.num_rows}")
            continue
        found += [
            f"{table}: {name} differs"
            for name in ours.column_names
            if name not in _OF_THE_RUN and not _is_same(ours[name], theirs[name])
        ]
    return found


def leftovers(output: Path) -> list[str]:
    """Marks, plans, temporary files, and parts of shards that were not finished."""
    files = [path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()]
    odd = [name for name in files if not _KEPT.fullmatch(name)]
    finished = {path.name for path in (output / "frames").glob("part-*")}
    parts = [name for name in files if name.startswith(("people/part-", "errors/part-"))]
    odd += [name for name in parts if name.split("/")[1] not in finished]
    return [f"left over: {name}" for name in sorted(odd)]


def _is_same(ours: pa.ChunkedArray, theirs: pa.ChunkedArray) -> bool:
    """By how Python writes their values: NaN equals itself then, and 0 is not -0."""
    return ours.type == theirs.type and repr(ours.to_pylist()) == repr(theirs.to_pylist())
