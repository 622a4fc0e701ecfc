"""The output folder: atomic parts, what is finished, sweeping and dropping."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest

from hierprob3d.transforms.inputs.items import frame_item, picture_item
from hierprob3d.transforms.inputs.listing import RESULT_FOLDERS
from hierprob3d.transforms.store.file_names import picture_name
from hierprob3d.transforms.store.locking import FolderInUse, is_alive
from hierprob3d.transforms.store.output_folder import (
    PICTURES,
    RUNS,
    TABLES,
    DamagedPart,
    OutputFolder,
    part_name,
)
from hierprob3d.transforms.store.part_counts import with_counts
from hierprob3d.transforms.tables.schema import errors_schema, frames_schema


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OutputFolder]:
    folder = OutputFolder(str(tmp_path) if request.param == "local" else "memory://store")
    folder.create()
    yield folder
    if request.param == "memory":
        fsspec.filesystem("memory").rm("/store", recursive=True)


def publish(store: OutputFolder, shard: str, ids: list[str], tables: str = "pef") -> None:
    """A shard with a person, and an error, for every item."""
    name = {table: part_name(table, "run", shard) for table in ("people", "errors", "frames")}
    rows = [{"item_id": i, "uri": f"/{i}.jpg", "status": "ok", "num_people": 1} for i in ids]
    if "p" in tables:
        store.write_table(name["people"], pa.table({"item_id": ids, "run_id": ["run"] * len(ids)}))
    if "e" in tables:
        store.write_table(
            name["errors"],
            pa.Table.from_pylist([{"item_id": i, "run_id": "run"} for i in ids], errors_schema()),
        )
    if "f" in tables:
        store.write_table(name["frames"], pa.Table.from_pylist(rows, frames_schema()))


def items(store: OutputFolder, table: str) -> list[str]:
    return [i for part in store.parts(table) for i in store.read_part(part)["item_id"].to_pylist()]


def test_finished_is_what_frames_name(store: OutputFolder) -> None:
    publish(store, "00000", ["a", "b"])
    publish(store, "00001", ["c"], tables="pe")
    assert [(i.item_id, i.name, i.status) for i in store.finished_items()] == [
        ("a", "/a.jpg", "ok"), ("b", "/b.jpg", "ok")
    ]  # fmt: skip
    assert store.failed_items() == {"a", "b", "c"}
    assert store.parts("frames", "run") == ["frames/part-run-00000.parquet"]
    assert store.parts("frames", "other") == []


def test_sweep_removes_parts_without_their_mark(store: OutputFolder) -> None:
    publish(store, "00000", ["a"])
    publish(store, "00001", ["b"], tables="pe")
    assert store.sweep() == 2
    assert items(store, "people") == items(store, "errors") == ["a"]


def test_sweep_leaves_files_that_only_have_such_names(store: OutputFolder) -> None:
    foreign = [part_name("people", "x", "00001"), part_name("errors", "copy", "00001")]
    store.write_table(foreign[0], pa.table({"item_id": ["a"], "age": [41]}))
    publish(store, "00000", ["a"])
    store.write(foreign[1], store.read(part_name("people", "run", "00000")))
    store.write(part_name("people", "notes", "2026"), b"no Parquet")
    store.write(part_name("people", "20261129T195900Z-0a1b2c", "00000"), b"cut off")
    assert store.sweep() == 1
    assert store.parts("people") == [
        "people/part-notes-2026.parquet", "people/part-run-00000.parquet", foreign[0]
    ]  # fmt: skip
    assert foreign[1] in store.parts("errors")


def test_empty_tables_are_not_written_and_replace_older_ones(store: OutputFolder) -> None:
    publish(store, "00000", ["a"])
    name = part_name("errors", "run", "00000")
    store.write_table(name, errors_schema().empty_table())
    assert store.parts("errors") == []


def test_dropping_items_removes_their_rows_everywhere(store: OutputFolder) -> None:
    publish(store, "00000", ["a", "b"])
    publish(store, "00001", ["c"])
    before = store.read_part("frames/part-run-00000.parquet").slice(0, 1)
    store.drop_items({"a", "c"})
    for table in ("people", "errors", "frames"):
        assert items(store, table) == ["b"]
    after = store.read_schema("frames/part-run-00000.parquet")
    assert after.equals(with_counts(before).schema, check_metadata=True)


def test_sweep_completes_an_interrupted_drop(store: OutputFolder) -> None:
    publish(store, "00000", ["a", "b"])
    store.write("runs/.dropping.json", json.dumps(["a"]).encode())
    store.sweep()
    assert items(store, "people") == ["b"]
    with pytest.raises(FileNotFoundError):
        store.read("runs/.dropping.json")


def test_dropping_items_removes_their_pictures(store: OutputFolder) -> None:
    mine, other = frame_item("/a/clip-0123456789.mp4", 3, 0.1), picture_item("/a/b.png")
    publish(store, "00000", [mine.item_id, other.item_id])
    for item in (mine, other):
        for what in ("uncropped", "person0-crop", "person12-samples"):
            store.write(f"pictures/{picture_name(item, what)}", b"")
    store.write("pictures/holiday.jpg", b"")
    store.drop_items({mine.item_id})
    kept = store.names("pictures")
    assert len(kept) == 4 and not any("clip" in name for name in kept)


def test_unfinished_pictures_are_swept(tmp_path: Path) -> None:
    store = OutputFolder(str(tmp_path))
    store.write("pictures/.tmp-1-a.jpg", b"")
    store.write("pictures/a.jpg", b"")
    assert store.sweep() == 1 and store.names("pictures") == ["a.jpg"]


def test_marks_are_written_read_and_removed(store: OutputFolder) -> None:
    assert store.read_marks() == {}
    store.write_mark("00003", {"attempts": 1})
    store.write_mark("00003", {"attempts": 2, "item": "a"})
    store.write_mark("run-00004.b", {})
    assert store.read_marks() == {"00003": {"attempts": 2, "item": "a"}, "run-00004.b": {}}
    store.write("runs/marks/00005.json", b"")  # as after a loss of power
    assert store.read_marks()["00005"] == {}
    for key in ("00003", "00003", "00005"):
        store.remove_mark(key)
    assert store.read_marks() == {"run-00004.b": {}}
    assert store.sweep() == 0
    for name in (".DS_Store", "00006.json.bak", "@eaDir/x"):  # which file managers and others leave
        store.write(f"runs/marks/{name}", b"\xff")
    assert store.read_marks() == {"run-00004.b": {}}
    for key in ("", "../x", "a/b", ".hidden"):
        with pytest.raises(ValueError, match="key of a mark"):
            store.write_mark(key, {})


def test_finished_items_have_the_version_of_their_source(store: OutputFolder) -> None:
    publish(store, "00000", ["a"])
    (old,) = store.finished_items()
    assert old.source_version is None
    name = part_name("frames", "run", "00000")
    table = store.read_part(name)
    if "source_version" in table.column_names:
        table = table.drop_columns(["source_version"])
    store.write_table(name, table.append_column("source_version", pa.array(["12-34"])))
    (new,) = store.finished_items()
    assert new.source_version == "12-34"


def test_a_table_of_somebody_else_is_named(store: OutputFolder) -> None:
    store.write_table("frames/part-mine-00000.parquet", pa.table({"a": [1]}))
    for read in (store.finished_ids, lambda: list(store.finished_items()), store.failed_items):
        with pytest.raises(DamagedPart, match="part-mine-00000.parquet is no table of a run"):
            read()


def test_a_damaged_part_is_named(store: OutputFolder) -> None:
    publish(store, "00000", ["a"])
    store.write("frames/part-run-00000.parquet", b"PAR1 but not really")
    message = r"frames/part-run-00000.parquet is no whole Parquet"
    with pytest.raises(DamagedPart, match=message):
        list(store.finished_items())
    with pytest.raises(DamagedPart, match=message):
        store.drop_items({"a"})


def test_nothing_below_the_result_folders_is_an_input() -> None:
    assert set(RESULT_FOLDERS) == {*TABLES, RUNS, PICTURES}


def test_a_failed_write_leaves_the_older_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = OutputFolder(str(tmp_path))
    store.create()
    store.write("runs/x.json", b"old")

    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        store.write("runs/x.json", b"new")
    assert store.read("runs/x.json") == b"old"
    assert store.sweep() == 1  # the unfinished one


def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "below"
    store = OutputFolder(str(folder))
    for write in (store.create, store.try_writing):
        with pytest.raises(OSError, match="cannot be written to.*on every machine") as told:
            write()
        assert told.value.filename == str(folder)


@pytest.mark.parametrize("place", ["{}", "memory://{}"])
def test_a_clock_that_is_not_the_folders(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = OutputFolder(place.format(tmp_path))
    ours = time.time
    assert abs(store.create("run")) < 1000  # as long as this may take on a busy machine
    monkeypatch.setattr(time, "time", lambda: ours() + 10_000)
    lead = store.create("run")
    monkeypatch.undo()
    assert 9_000 < lead < 11_000


def test_a_local_folder_has_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    names = ("out", "./out//", "~/out/", f"{tmp_path}/x/../out", f"file://{tmp_path}/out/",
             f"local://{tmp_path}/out", "file://~/out")  # fmt: skip
    for name in names:
        store = OutputFolder(name)
        assert store.is_local and store.root == f"{tmp_path}/out"
    assert OutputFolder("memory://a/b/").root == OutputFolder("memory:///a/b").root


def test_unknown_protocol() -> None:
    with pytest.raises(ValueError, match="cannot open nowhere://x"):
        OutputFolder("nowhere://x")


def test_one_run_at_a_time(tmp_path: Path) -> None:
    store = OutputFolder(str(tmp_path))
    store.create()
    lock = store.lock_for_run()
    assert lock is not None
    worker = store.lock_for_worker()  # workers of the run share the folder with it
    assert worker is not None
    with pytest.raises(FolderInUse, match="another run is writing"):
        store.lock_for_run()
    worker.release()
    lock.release()
    again = store.lock_for_run()
    assert again is not None
    again.release()


def test_a_run_waits_for_workers_of_a_killed_one(tmp_path: Path) -> None:
    store = OutputFolder(str(tmp_path))
    store.create()
    script = (
        "import sys; from hierprob3d.transforms.store.output_folder import OutputFolder;"
        "lock = OutputFolder(sys.argv[1]).lock_for_worker(); print('held', flush=True);"
        "sys.stdin.read()"
    )
    worker = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    assert worker.stdout is not None and worker.stdin is not None
    assert worker.stdout.readline() == "held\n"
    with ThreadPoolExecutor() as pool:
        locking = pool.submit(store.lock_for_run)
        with pytest.raises(TimeoutError):
            locking.result(0.5)
        worker.stdin.close()
        lock = locking.result()
    assert lock is not None
    lock.release()
    worker.wait()


def test_ended_processes_are_not_alive() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    while process.returncode is None and is_alive(process.pid):
        time.sleep(0.01)  # a zombie, not waited for, does not count either
    process.wait()
    assert not is_alive(process.pid)
    assert is_alive(os.getpid())
