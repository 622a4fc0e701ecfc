"""Footers say what parts count, whoever writes them; others are counted from their rows."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hierprob3d.transforms.batch.isolation import Failure, People
from hierprob3d.transforms.inputs.items import Frame, picture_item
from hierprob3d.transforms.store.joined_parts import PartJoiner, SmallPart
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.store.part_counts import COUNTS, PartCounts
from hierprob3d.transforms.tables.rows import errors_table, frames_table
from hierprob3d.transforms.tables.schema import errors_schema, frames_schema

ITEMS = [picture_item(f"/{number}.jpg") for number in range(3)]
FAILURE = Failure(ITEMS[0], None, "decode", ValueError("damaged"))
FRAMES, ERRORS = (f"{table}/part-run-00000.parquet" for table in ("frames", "errors"))


@pytest.fixture
def store(tmp_path: Path) -> OutputFolder:
    folder = OutputFolder(str(tmp_path / "out"))
    folder.create()
    schema = frames_schema({"stage_seconds": json.dumps({"decode": 1.5})})
    frames = [Frame(item, None, warning="small" if item is ITEMS[2] else None) for item in ITEMS]
    folder.write_table(FRAMES, frames_table(frames, People(), [FAILURE], 1.5, schema, "run"))
    folder.write_table(ERRORS, errors_table([FAILURE], errors_schema(), "run"))
    return folder


def counted(store: OutputFolder, name: str) -> PartCounts:
    ((told, counts),) = store.read_counts([name])
    assert told == name
    return counts


EXPECTED = PartCounts(
    Counter(no_person=2, failed=1), num_warnings=1, stage_seconds=Counter(decode=1.5)
)
OF_ERRORS = PartCounts(errors=Counter({("decode", "ValueError"): 1}))


def test_counts_are_read_without_rows(store: OutputFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OutputFolder, "read_part", None)
    assert counted(store, FRAMES) == EXPECTED and counted(store, ERRORS) == OF_ERRORS


def rewritten(store: OutputFolder, name: str, table: pa.Table) -> None:
    """As others would: with whatever metadata the table has."""
    pq.write_table(table, Path(store.root, name))


def test_parts_that_do_not_say_it_are_counted(store: OutputFolder) -> None:
    for name in (FRAMES, ERRORS):
        table = store.read_part(name)
        kept = {k: v for k, v in table.schema.metadata.items() if k != COUNTS.encode()}
        rewritten(store, name, table.replace_schema_metadata(kept))
    assert counted(store, FRAMES) == EXPECTED and counted(store, ERRORS) == OF_ERRORS


def test_what_a_footer_says_of_other_rows_does_not_count(store: OutputFolder) -> None:
    rewritten(store, FRAMES, store.read_part(FRAMES).slice(1))
    assert counted(store, FRAMES).statuses == Counter(no_person=2)
    store.drop_items([ITEMS[2].item_id])
    assert counted(store, FRAMES) == PartCounts(
        Counter(no_person=1), stage_seconds=EXPECTED.stage_seconds
    )


def test_joined_parts_count_all_of_theirs(store: OutputFolder, tmp_path: Path) -> None:
    second = FRAMES.replace("00000", "00001")
    store.write(second, store.read(FRAMES))
    target = OutputFolder(str(tmp_path / "joined"))
    target.create()
    names = [name.rpartition("/")[2] for name in (FRAMES, second)]
    tables = {
        "people": frozenset[str](),
        "errors": frozenset(names[:1]),
        "frames": frozenset(names),
    }
    PartJoiner(store, target, "run").join([SmallPart(name, "/0.jpg") for name in names], tables)
    twice = PartCounts()
    for _ in range(2):
        twice.add(EXPECTED)
    assert counted(target, FRAMES) == twice and counted(target, ERRORS) == OF_ERRORS
    notes = pq.read_metadata(Path(target.root, FRAMES)).metadata
    assert json.loads(notes[COUNTS.encode()])["status"] == {"no_person": 4, "failed": 2}
