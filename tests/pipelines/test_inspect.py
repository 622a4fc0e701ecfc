from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from example_run import (
    KILLED_RUN,
    PEDESTRIANS,
    RUN,
    WARNING,
    write_example_run,
    write_manifest,
)

from hierprob3d.pipelines.command import cli
from hierprob3d.pipelines.inspect import one_line
from hierprob3d.transforms.store.output_folder import OutputFolder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_example_run(tmp_path)
    return tmp_path


def inspect(folder: Path, capsys: Any) -> str:
    assert cli.main(["inspect", str(folder)]) == 0
    return capsys.readouterr().out


def test_counts_errors_and_unfinished_parts(folder: Path, capsys: Any) -> None:
    text = inspect(folder, capsys)
    assert "items   5 (3 ok, 1 no_person, 1 failed)" in text
    assert "people  4" in text
    assert "unfinished shards: 1" in text
    (line,) = [line for line in text.splitlines() if "UnreadablePicture" in line]
    assert line.split()[:3] == ["1", "decode", "UnreadablePicture"]


def test_warnings_are_told(folder: Path, capsys: Any) -> None:
    lines = inspect(folder, capsys).splitlines()
    place = lines.index("warnings (number, what, first example)")
    assert lines[place + 1] == f"        1  {WARNING} ({one_line(PEDESTRIANS)})"


def test_parts_with_warnings_are_read_side_by_side(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    store = OutputFolder("memory://warned")
    for file in folder.rglob("*.parquet"):
        name = file.relative_to(folder).as_posix()
        for copy in (name, name.replace("-000", "-001")):
            store.write(copy, file.read_bytes())
    read, together = OutputFolder.read_part, threading.Barrier(2)

    def read_with_another(
        self: OutputFolder, name: str, columns: list[str] | None = None
    ) -> pa.Table:
        if columns == ["warning", "uri"]:
            together.wait(60)
        return read(self, name, columns)

    monkeypatch.setattr(OutputFolder, "read_part", read_with_another)
    assert cli.main(["inspect", store.root]) == 0
    assert f"        2  {WARNING} (" in capsys.readouterr().out


def test_times_of_a_finished_and_a_killed_run(folder: Path, capsys: Any) -> None:
    write_manifest(
        folder,
        {
            "run_id": RUN, "status": "finished", "started": "2025-01-01T00:00:00+00:00",
            "seconds": 2.0, "images_per_s": 2.5, "people_per_s": 2.0,
        },
    )  # fmt: skip
    write_manifest(folder, {"run_id": KILLED_RUN, "status": "running"}, KILLED_RUN)
    text = inspect(folder, capsys)
    assert f"run {RUN} (finished)" in text and "2.50 items/s, 2.00 people/s" in text
    assert f"run {KILLED_RUN} (running, or killed)" in text
    # Seconds per stage come from the parts: 2 shards of 3.0 and 1.0 s.
    stages = {line.split()[0]: line.split()[1:] for line in text.splitlines() if "%" in line}
    assert stages == {"distribution": ["6.0", "s", "75%"], "decode": ["2.0", "s", "25%"]}


def test_control_characters_of_names_do_not_reach_the_terminal(folder: Path, capsys: Any) -> None:
    assert one_line("a\x1b[31mb\nc") == "a [31mb c"
    assert len(one_line("x" * 1000)) == 100
    assert "\x1b" not in inspect(folder, capsys)


def test_a_run_that_has_only_begun(tmp_path: Path, capsys: Any) -> None:
    OutputFolder(str(tmp_path)).create()
    text = inspect(tmp_path, capsys)
    assert "items   0" in text and "people  0" in text


def test_missing_folder_is_one_line_and_code_2(tmp_path: Path, capsys: Any) -> None:
    assert cli.main(["inspect", str(tmp_path / "nowhere")]) == 2
    error = capsys.readouterr().err
    assert "there is no folder" in error and error.count("\n") == 1


def test_a_damaged_manifest_leaves_the_rest(folder: Path, capsys: Any) -> None:
    write_manifest(folder, {"run_id": RUN, "status": "finished"})
    (folder / "runs" / "20250103-000000-cccc.json").write_text('{"run_id": "2025')
    (folder / "runs" / "20250104-000000-dddd.json").write_bytes(b"\xff")
    text = inspect(folder, capsys)
    assert f"run {RUN} (finished)" in text and "items   5" in text
    for name in ("20250103-000000-cccc", "20250104-000000-dddd"):
        assert f"run {name} (its manifest runs/{name}.json is damaged)" in text


def test_readers_do_without_beam() -> None:
    readers = ", ".join(f"hierprob3d.pipelines.{name}" for name in ("inspect", "report", "export"))
    script = f"import sys, {readers};"
    check = "sys.exit('apache_beam' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script + check]).returncode == 0


@pytest.mark.parametrize("table", ["people", "frames"])
def test_a_damaged_part_is_named(folder: Path, capsys: Any, table: str) -> None:
    part = next((folder / table).iterdir())
    part.write_bytes(b"PAR1 but not really")
    assert cli.main(["inspect", str(folder)]) == 2
    assert part.name in capsys.readouterr().err


def test_neither_torch_nor_beam_is_loaded() -> None:
    script = (
        "import sys, hierprob3d.pipelines.inspect;"
        "assert not {'torch', 'apache_beam', 'cv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
