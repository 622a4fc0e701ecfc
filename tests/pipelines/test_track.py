"""Tracks of a run: written beside it, renewed, and one clear line where there can be none."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from earlier_run import SCHEMA1_RUN
from example_run import PEDESTRIANS, person_row, write_example_run

from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.pipelines.command import cli
from hierprob3d.pipelines.results.run_folder import read_run
from hierprob3d.pipelines.results.track_timeline import timelines
from hierprob3d.transforms.inputs.items import frame_item
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.tables.schema import PeopleLayout, frames_schema, people_schema
from hierprob3d.transforms.tables.track_schema import track_schema

COLUMNS = ["item_id", "frame_index", "person_index", "track_id", "gap_s"]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_example_run(folder)
    return folder


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha1(path.read_bytes()).hexdigest()
        for table in ("people", "frames", "errors")
        for path in (folder / table).iterdir()
    }


def test_tracks_lie_beside_the_rows_and_are_renewed(example: Path, capsys: Any) -> None:
    killed = example / "people" / "part-20250102-000000-bbbb-00000.parquet"
    killed.unlink()  # of a run that did not finish: the next one would sweep it
    before = hashes(example)
    assert cli.main(["track", str(example)]) == 0
    assert "2 tracks of 3 people in 1 video" in capsys.readouterr().out
    assert hashes(example) == before
    run = read_run(example)
    tracks = run.tracks()
    assert tracks.schema.remove_metadata().equals(track_schema().remove_metadata())
    rows = tracks.to_pylist()
    assert [(row["track_id"], row["frame_index"]) for row in rows] == [(0, 0), (0, 1), (1, 1)]
    assert [row["gap_s"] for row in rows] == [None, pytest.approx(0.1), None]
    people = {(row["item_id"], row["person_index"]): row for row in run.people().to_pylist()}
    for row in rows:
        raw = people[row["item_id"], row["person_index"]]
        assert (raw["uri"], raw["time_s"]) == (row["uri"], row["time_s"])
        rotmat = np.array(row["smoothed_pose"]).reshape(23, 3, 3)
        np.testing.assert_allclose(rotmat @ rotmat.swapaxes(1, 2), [np.eye(3)] * 23, atol=1e-5)
    assert rows[0]["smoothed_betas"] == rows[1]["smoothed_betas"] != rows[2]["smoothed_betas"]
    assert set(run.track_ids().values()) == {0, 1}
    (part,) = (example / "tracks").glob("part-*-*.parquet")

    (video,) = run.by_video(["pose_mode", "track_id", "smoothed_pose"])
    arrays = video.arrays()
    assert arrays["pose_mode"].shape == arrays["smoothed_pose"].shape == (3, 23, 3, 3)
    assert arrays["track_id"].tolist() == [0, 0, 1]
    first, second = run.by_track()
    assert (first.uri, first.track_id, len(first), len(second)) == (PEDESTRIANS, 0, 2, 1)
    assert first.arrays()["keypoints"].shape == (2, 17, 3)
    assert not first.table["smoothed_camera"].null_count
    with pytest.raises(ValueError, match="no run has people with a column 'pose'"):
        next(run.by_video(["pose"]))

    # A later run of track replaces the parts, and its --smoothing 0 leaves bodies as they are.
    assert cli.main(["track", str(example), "--smoothing", "0"]) == 0
    (later,) = (example / "tracks").glob("part-*-*.parquet")
    assert later != part
    for row in read_run(example).tracks().to_pylist():
        raw = people[row["item_id"], row["person_index"]]
        np.testing.assert_allclose(row["smoothed_pose"], raw["pose_mode"], atol=1e-5)
        np.testing.assert_allclose(row["smoothed_camera"], raw["camera"], atol=1e-6)

    # What a killed one has left is not read, and goes with the next.
    leftover = later.with_name("part-20990101T000000Z-ffffff-00000.parquet")
    shutil.copy(later, leftover)
    assert len(read_run(example).tracks()) == 3
    assert cli.main(["track", str(example)]) == 0
    assert not leftover.exists() and len(read_run(example).tracks()) == 3


def test_people_of_one_video_in_several_parts(tmp_path: Path, capsys: Any) -> None:
    """Tracks do not end where a shard does, and items that are done again lose theirs."""
    body = load_body("open")
    frames = [frame_item(PEDESTRIANS, index, index / 10) for index in (0, 1, 2, 3, 6)]
    example = person_row(frames[0], 0, body)
    for shard in (1, 0):  # the later frames in the earlier part
        items = frames[:2] if shard else frames[2:]
        rows = [{**example, **columns_of(item)} for item in items]
        write_part(tmp_path, "people", shard, rows)
        frame_rows = [{"status": "ok", "num_people": 1, "run_id": "r", **columns_of(item)}
                      for item in items]  # fmt: skip
        write_part(tmp_path, "frames", shard, frame_rows)
    assert cli.main(["track", str(tmp_path)]) == 0
    tracks = read_run(tmp_path).tracks(COLUMNS).to_pylist()
    assert [row["frame_index"] for row in tracks] == [0, 1, 2, 3, 4, 5, 6]
    assert {row["track_id"] for row in tracks} == {0}
    assert_bridged(tmp_path)
    assert "of 5 people in 1 video" in (told := capsys.readouterr().out) and "2 rows" in told
    OutputFolder(str(tmp_path)).drop_items([frames[1].item_id])
    assert read_run(tmp_path).tracks()["frame_index"].to_pylist() == [0, 2, 3, 4, 5, 6]


def assert_bridged(folder: Path) -> None:
    """Frames 4 and 5 have rows that are nobody's observation."""
    run = read_run(folder)
    rows = run.tracks().to_pylist()
    between = [row for row in rows if row["interpolated"]]
    assert [row["frame_index"] for row in between] == [4, 5]
    assert [row["person_index"] for row in between] == [None, None]
    assert [row["item_id"] for row in between] == [
        frame_item(PEDESTRIANS, index, index / 10).item_id for index in (4, 5)
    ]
    assert [row["gap_s"] for row in between] == pytest.approx([0.1, 0.2])
    assert rows[-1]["gap_s"] == pytest.approx(0.3) and not rows[-1]["interpolated"]
    for row in between:
        assert row["track_bbox"] == rows[0]["track_bbox"] == [100.0, 40.0, 400.0, 500.0]
        np.testing.assert_allclose(row["smoothed_camera"], rows[0]["smoothed_camera"], atol=1e-5)
        np.testing.assert_allclose(row["smoothed_pose"], rows[0]["smoothed_pose"], atol=1e-4)
    assert len(run.track_ids()) == 5
    (track,) = run.by_track(["time_s"])
    assert len(track) == 5
    ((timeline,), _) = timelines(run)
    assert (timeline.lines[0].num_frames, timeline.lines[0].num_between) == (5, 2)


def columns_of(item: Any) -> dict[str, Any]:
    names = ("item_id", "uri", "frame_index", "time_s")
    return {name: getattr(item, name) for name in names}


def write_part(folder: Path, table: str, shard: int, rows: list[dict[str, Any]]) -> None:
    layout = PeopleLayout(num_vertices=1, uncertainty=False)
    schema = people_schema(layout) if table == "people" else frames_schema()
    (folder / table).mkdir(exist_ok=True)
    content = pa.Table.from_pylist(rows, schema=schema)
    pq.write_table(content, folder / table / f"part-20250101T000000Z-aaaaaa-{shard:05d}.parquet")


def test_a_run_of_schema_1_with_frames_far_apart(tmp_path: Path, capsys: Any) -> None:
    shutil.copytree(SCHEMA1_RUN, tmp_path / "run")
    assert cli.main(["track", str(tmp_path / "run")]) == 0
    assert "in 1 video" in capsys.readouterr().out
    assert len(read_run(tmp_path / "run").tracks()) == 2


def test_one_clear_line_where_there_can_be_no_tracks(
    example: Path, tmp_path: Path, capsys: Any
) -> None:
    def message(folder: Path, *options: str) -> str:
        assert cli.main(["track", str(folder), *options]) == 2
        error = str(capsys.readouterr().err)
        assert error.count("\n") == 1
        return error

    assert "there is no folder" in message(tmp_path / "nowhere")
    (tmp_path / "photos").mkdir()
    assert "not the output of a prediction run" in message(tmp_path / "photos")
    OutputFolder(str(tmp_path / "empty")).create()
    assert "holds no frames of videos" in message(tmp_path / "empty")
    assert "--max-gap must be a number above 0" in message(example, "--max-gap", "0")
    assert "no column refined_pose: --refined needs" in message(example, "--refined")
    (tmp_path / "unwritable").mkdir()
    shutil.copytree(example / "frames", tmp_path / "unwritable" / "frames")
    shutil.copytree(example / "people", tmp_path / "unwritable" / "people")
    (tmp_path / "unwritable" / "runs").write_text("a file where a folder should be")
    assert "unwritable" in message(tmp_path / "unwritable")
