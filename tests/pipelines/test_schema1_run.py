"""Runs of schema 1 are read, exported, shown and gone on with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from earlier_run import COMMAND, SCHEMA1_RUN, copy_run, photos

from hierprob3d.model.estimate.reconstruction import rebuild_mode, rebuild_samples
from hierprob3d.model.estimate.uncertainty import sample_spread
from hierprob3d.pipelines.command.cli import main
from hierprob3d.pipelines.results.run_folder import read_run
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.tables.schema import errors_schema, frames_schema
from tests.pipelines.conftest import PERSON, read_rows, status_by_name

Predict = Callable[..., int]


def versions(folder: Path) -> set[bytes]:
    """Schema versions of the parts as they lie there."""
    return {pq.read_schema(path).metadata[b"schema_version"] for path in folder.glob("*/*.parquet")}


def test_tables_are_those_of_schema_2(tmp_path: Path) -> None:
    run = read_run(SCHEMA1_RUN)
    people = run.people()
    assert people.schema.field("vertex_spread_m").type == pa.list_(pa.float32(), 6880)
    assert "track_id" not in people.column_names
    spread = people.column_names.index("vertex_spread_m")
    assert people.column_names[spread - 1] == "joint_spread_m"
    assert people["joint_spread_m"].to_pylist() == [[None] * 24] * 3
    stored = pq.read_table(SCHEMA1_RUN / "people")
    for name in {*stored.column_names} - {"track_id", "vertex_spread_m"}:
        assert people[name].equals(stored[name]), name
    assert run.frames().schema.equals(frames_schema())
    assert run.frames()["source_version"].null_count == 4
    (error,) = run.errors().to_pylist()
    assert run.errors().schema.equals(errors_schema())
    assert (error["stage"], error["traceback"], error["attempts"]) == ("decode", None, None)


def test_some_columns_alone() -> None:
    run = read_run(SCHEMA1_RUN)
    assert run.people(["joint_spread_m"]).column_names == ["joint_spread_m"]
    assert run.people(["joint_spread_m"])["joint_spread_m"].to_pylist() == [[None] * 24] * 3
    assert run.people(["height_m", "item_id"]).equals(run.people().select(["item_id", "height_m"]))


def test_rows_rebuild_their_samples() -> None:
    for row in read_run(SCHEMA1_RUN).rows():
        vertices, joints = rebuild_samples(row)
        assert vertices.shape == (2, 6880, 3) and joints.shape == (2, 24, 3)
        rebuilt = sample_spread(vertices[None])[0].numpy()
        np.testing.assert_allclose(rebuilt, row["vertex_spread_m"], rtol=2e-3, atol=1e-5)
        placed = (rebuild_mode(row)[1] - rebuild_mode(row)[1][:1]).numpy() * (1, -1, -1)
        np.testing.assert_allclose(placed.ravel(), row["joints3d"], atol=1e-5)


def test_export_inspect_and_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind, number in (("ply", 9), ("smpl-npz", 3)):
        options = ("--format", kind, "--samples", "2", "--output", str(tmp_path / kind))
        assert main(["export", str(SCHEMA1_RUN), *options]) == 0
        assert len(list((tmp_path / kind).iterdir())) == number
    assert main(["inspect", str(SCHEMA1_RUN)]) == 0
    assert "items   4 (3 ok, 0 no_person, 1 failed)" in capsys.readouterr().out
    assert main(["report", str(SCHEMA1_RUN), "--output", str(tmp_path / "page.html")]) == 0
    assert versions(SCHEMA1_RUN) == {b"1"}  # readers change nothing


def test_a_run_goes_on_and_is_one_table(
    predict: Predict, open_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_run(tmp_path / "out", open_weights)
    with photos():
        assert predict(*COMMAND, "--output", folder) == 0
        assert "all 4 items are finished; 1 of them failed" in capsys.readouterr().out
        assert versions(folder) == {b"1"}
    with photos(new=PERSON.read_bytes()):
        assert predict(*COMMAND, "--output", folder, "--dry-run") == 0
        assert versions(folder) == {b"1"}
        capsys.readouterr()
        assert predict(*COMMAND, "--output", folder) == 0
        assert "rows of an earlier version with vertex_spread_m" in capsys.readouterr().err
    assert versions(folder) == {b"2"}
    rows = read_rows(folder, "people")
    old = [Path(uri).name != "new.png" for uri in rows["uri"].to_pylist()]
    before = read_run(SCHEMA1_RUN).people().sort_by("item_id")
    after = rows.filter(pa.array(old)).sort_by("item_id")
    assert after.equals(before.select(after.column_names))
    (new,) = rows.filter(pa.array([not one for one in old])).to_pylist()
    (twin,) = [row for row in before.to_pylist() if Path(row["uri"]).name == "astronaut.png"]
    np.testing.assert_allclose(new["pose_F"], twin["pose_F"], rtol=1e-4, atol=1e-3)
    assert min(new["joint_spread_m"][1:]) > 0 and min(new["vertex_spread_m"]) > 0
    for table in ("people", "frames", "errors"):
        schemas = [part.physical_schema for part in ds.dataset(folder / table).get_fragments()]
        assert all(schema.equals(schemas[0]) for schema in schemas), table
    with photos(new=PERSON.read_bytes(), newer=PERSON.read_bytes()):
        assert predict(*COMMAND, "--output", folder) == 0
    assert len(read_rows(folder, "people")) == 5


def test_what_failed_is_tried_again(predict: Predict, open_weights: Path, tmp_path: Path) -> None:
    folder = copy_run(tmp_path / "out", open_weights)
    with photos(damaged=PERSON.read_bytes()):
        assert predict(*COMMAND, "--output", folder, "--retry-failed") == 0
    assert set(status_by_name(folder).values()) == {"ok"} and versions(folder) == {b"2"}


def test_other_columns_are_still_refused(
    predict: Predict, open_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_run(tmp_path / "out", open_weights)
    with photos(new=PERSON.read_bytes()):
        assert predict(*COMMAND, "--output", folder, "--save", "vertices") == 2
    errors = capsys.readouterr().err
    assert "other columns (vertices)" in errors and errors.count("\n") == 1
    assert versions(folder) == {b"1"}


def test_an_upgrade_stopped_midway_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy_run(tmp_path / "out")
    store, written = OutputFolder(str(folder)), []
    write = OutputFolder.write

    def killed(self: OutputFolder, name: str, *rest: object) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(name)
        write(self, name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(OutputFolder, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        store.upgrade_parts()
    monkeypatch.undo()
    assert versions(folder) == {b"1", b"2"}
    assert read_run(folder).people().equals(read_run(SCHEMA1_RUN).people())
    assert store.upgrade_parts() == 8  # that of errors/ and all of people/ and frames/
    assert versions(folder) == {b"2"} and store.upgrade_parts() == 0
    assert read_run(folder).people().equals(read_run(SCHEMA1_RUN).people())


def test_dropping_keeps_a_runs_parts_of_one_schema(tmp_path: Path) -> None:
    folder = copy_run(tmp_path / "out")
    store = OutputFolder(str(folder))
    (item,) = [row["item_id"] for row in read_run(folder).frames().to_pylist()
               if row["status"] == "failed"]  # fmt: skip
    store.drop_items({item})
    assert versions(folder) == {b"1"} and not read_run(folder).errors().num_rows


@pytest.mark.parametrize("command", ["inspect", "report", "export", "predict"])
def test_a_later_schema_is_refused_in_one_line(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_run(tmp_path / "out")
    for path in folder.glob("*/*.parquet"):
        table = pq.read_table(path)
        later = {**table.schema.metadata, b"schema_version": b"3"}
        pq.write_table(table.replace_schema_metadata(later), path)
    words = {
        "export": [str(folder), "--format", "obj", "--output", str(tmp_path / "meshes")],
        "predict": [str(PERSON), "--output", str(folder)],
    }
    assert main([command, *words.get(command, [str(folder)])]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and "has schema 3" in errors
    assert "reads schemas up to 2: install a newer one" in errors
