"""Joined runs hold the same rows, sorted, and every reader reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from example_run import KILLED_RUN, RUN, write_example_run, write_manifest

from hierprob3d.configs.run_results import CompactConfig
from hierprob3d.pipelines import compact
from hierprob3d.pipelines.command.usage import UsageError
from hierprob3d.pipelines.results.run_folder import read_run
from hierprob3d.pipelines.results.run_summary import summarise
from hierprob3d.transforms.inputs.items import picture_item
from hierprob3d.transforms.store.joined_parts import PartJoiner, SmallPart
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.tables.schema import frames_schema
from tests.pipelines.conftest import status_by_name


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_example_run(tmp_path / "run")
    write_manifest(tmp_path / "run", {"run_id": RUN, "status": "finished"})
    return tmp_path / "run"


def rows_of(table: pa.Table) -> list[dict[str, object]]:
    return sorted(table.to_pylist(), key=lambda row: (row["item_id"], row.get("person_index") or 0))


@pytest.mark.parametrize("target", ["{}/new", "memory://{}-joined"])
def test_all_rows_are_there_in_one_part_and_the_run_stays(folder: Path, target: str) -> None:
    before, new = files_of(folder), target.format(folder.parent).replace(":///", "://")
    assert compact.run(CompactConfig(folder=str(folder), output=new)) == 0
    assert files_of(folder) == before
    run, joined = read_run(str(folder)), read_run(new)
    for table in ("people", "frames", "errors"):
        assert rows_of(getattr(joined, table)()) == rows_of(getattr(run, table)())
    uris = joined.frames()["uri"].to_pylist()
    assert uris == sorted(uris)
    assert joined.finished_parts() == [f"part-{RUN}-00000.parquet"]
    assert not joined.unfinished_parts and joined.track_ids() == run.track_ids()
    one, other = summarise(run), summarise(joined)
    assert (one.status_counts, one.errors, one.warnings) == (
        other.status_counts, other.errors, other.warnings
    )  # fmt: skip
    known = {r.run_id: r for r in one.runs}
    assert [r.stage_seconds for r in other.runs] == [known[r.run_id].stage_seconds
                                                     for r in other.runs]  # fmt: skip
    assert KILLED_RUN not in {r.run_id for r in other.runs}


def test_the_new_folder_must_be_new_and_elsewhere(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    for target, message in ((tmp_path / "full", "not empty"), (folder / "new", "lies in")):
        with pytest.raises(UsageError, match=message):
            compact.run(CompactConfig(folder=str(folder), output=str(target)))


def test_a_joined_run_that_is_not_whole_is_not_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(compact, "_copy_manifests", lose)
    with pytest.raises(KeyboardInterrupt):
        compact.run(CompactConfig(folder=str(folder), output=str(tmp_path / "new")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
    store = f"memory://{tmp_path}-stopped".replace(":///", "://")
    with pytest.raises(KeyboardInterrupt):
        compact.run(CompactConfig(folder=str(folder), output=store))
    with pytest.raises(UsageError, match="is not whole"):
        read_run(store)


def frames_of(names: list[str]) -> pa.Table:
    items = [picture_item(name) for name in names]
    rows = [{"item_id": i.item_id, "uri": i.uri, "status": "no_person", "num_people": 0,
             "run_id": "run"} for i in items]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=frames_schema({"stage_seconds": '{"decode": 1.0}'}))


@pytest.mark.parametrize("most_bytes", [1 << 30, 1])
def test_parts_are_joined_as_far_as_memory_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_bytes: int
) -> None:
    monkeypatch.setattr("hierprob3d.transforms.store.joined_parts._CHUNK_BYTES", 1)
    monkeypatch.setattr("hierprob3d.transforms.store.joined_parts._MOST_BYTES", most_bytes)
    source, target = OutputFolder(str(tmp_path / "a")), OutputFolder(str(tmp_path / "b"))
    names = [[f"/{10 * part + i:03d}.jpg" for i in (1, 0, 12)] for part in range(6)]
    parts = []
    for number, some in enumerate(names):
        source.write_table(f"frames/part-run-{number:05d}.parquet", frames_of(some))
        first = source.first_text(f"frames/part-run-{number:05d}.parquet", "uri")
        assert first == min(some)
        parts.append(SmallPart(f"part-run-{number:05d}.parquet", first))
    base = frozenset(part.name for part in parts)
    joiner = PartJoiner(source, target, "run", file_bytes=1)
    joiner.join(parts[::-1], {"people": frozenset(), "errors": frozenset(), "frames": base})
    found = [target.read_part(name) for name in target.parts("frames")]
    uris = [uri for table in found for uri in table["uri"].to_pylist()]
    assert sorted(uris) == sorted(name for some in names for name in some)
    assert all(t["uri"].to_pylist() == sorted(t["uri"].to_pylist()) for t in found)
    assert len(found) > 1 and (uris == sorted(uris)) == (most_bytes > 1)
    seconds = [json.loads(t.schema.metadata[b"stage_seconds"])["decode"] for t in found]
    assert sum(seconds) == 6


def test_joined_files_tell_readers_what_they_hold(folder: Path, tmp_path: Path) -> None:
    compact.run(CompactConfig(folder=str(folder), output=str(tmp_path / "new")))
    (path,) = (tmp_path / "new" / "people").iterdir()
    metadata = pq.read_metadata(path)
    place = metadata.schema.names.index("uri")
    assert metadata.row_group(0).column(place).statistics.has_min_max
    assert status_by_name(tmp_path / "new")
