"""Parquet by Arrow's own means: whatever the file's name, and damage is told."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from hierprob3d.transforms.store.parquet_files import (
    DamagedParquet,
    file_at,
    file_of,
    open_parquet,
    read_columns,
    table_bytes,
)

TABLE = pa.table({"a": [1, 2, 3], "b": ["x", None, "z"]}, metadata={"unit": "m"})
REPOSITORY = Path(__file__).resolve().parents[3]


def test_a_table_comes_back_from_a_file_and_from_bytes(tmp_path: Path) -> None:
    data = table_bytes(TABLE)
    path = os.path.join(tmp_path, os.fsdecode(b"pi\xffce \xe2\x82\xac.parquet"))
    Path(path).write_bytes(data)
    for source in (file_at(path), file_of(data)):
        with open_parquet(source) as file:
            assert read_columns(file).equals(TABLE, check_metadata=True)
    with open_parquet(file_of(data)) as file:
        assert read_columns(file, ["b", "none"]).column_names == ["b"]


def test_arrow_keeps_no_bytes_of_python() -> None:
    data = bytearray(table_bytes(TABLE))
    source = file_of(bytes(data))
    before = pa.total_allocated_bytes()
    data[:] = bytes(len(data))
    gc.collect()
    with open_parquet(source) as file:
        assert read_columns(file).equals(TABLE)
    assert before >= len(data)


WHOLE = table_bytes(TABLE)
FOOTER_BYTES = int.from_bytes(WHOLE[-8:-4], "little")
NO_FOOTER = WHOLE[: -8 - FOOTER_BYTES] + b"\xff" * FOOTER_BYTES + WHOLE[-8:]


@pytest.mark.parametrize("data", [b"", b"PAR1 but not really", WHOLE[:-9], NO_FOOTER])
def test_damage_is_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(data)
    for source in (file_at(str(tmp_path / "a.parquet")), file_of(data)):
        with pytest.raises(DamagedParquet) as caught, open_parquet(source) as file:
            read_columns(file)
        assert str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_is_not_damaged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        file_at(str(tmp_path / "none"))


def test_no_other_place_hands_files_to_arrow() -> None:
    """Every room reads and writes Parquet through this module."""
    rooms = ("model", "transforms", "pipelines", "training")
    found = [
        str(path.relative_to(REPOSITORY))
        for room in rooms
        for path in (REPOSITORY / room).rglob("*.py")
        if re.search(r"^(import|from) pyarrow\.(parquet|dataset)", path.read_text(), re.M)
    ]
    assert found == ["transforms/store/parquet_files.py"]


def test_a_process_that_ends_at_once_ends_well(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(table_bytes(TABLE))
    script = (
        "import sys; from hierprob3d.transforms.store.parquet_files import *;"
        "\nwith open_parquet(file_at(sys.argv[1])) as file: print(read_columns(file).num_rows)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "a.parquet")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "3\n", "")
