"""A few pictures are annotated without Beam: by the same stages, so with the same rows."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from hierprob3d.pipelines import prediction_graph
from tests.pipelines.conftest import PERSON, read_rows

OF_A_RUN = {"run_id", "seconds"}
"""Columns that differ between two runs of the same."""


def test_rows_are_those_of_beams_workers_to_the_last_bit(
    predict: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Image.open(PERSON) as picture:  # of two sizes, in one batch
        picture.convert("RGB").crop((0, 0, 400, 512)).save(tmp_path / "cut.png")
    options = (PERSON, tmp_path / "cut.png", "--save", "samples,vertices,vertex_spread", "--refine")
    built = []
    build = prediction_graph.build
    monkeypatch.setattr(prediction_graph, "build", lambda *some: built.append(some) or build(*some))
    for name, words in (("here", ()), ("beam", ("--direct_running_mode", "in_memory"))):
        assert predict(*options, "--output", tmp_path / name, *words) == 0
        assert len(built) == (name == "beam") and "apache_beam" in sys.modules
    for table in ("people", "frames"):
        here, beam = (read_rows(tmp_path / name, table) for name in ("here", "beam"))
        assert here.num_rows == 2 and here.schema.equals(beam.schema)
        for column in set(here.column_names) - OF_A_RUN:
            mine, theirs = (rows[column].combine_chunks() for rows in (here, beam))
            assert _bits(mine) == _bits(theirs), column


def _bits(column: object) -> list[bytes | None]:
    return [None if buffer is None else bytes(buffer) for buffer in column.buffers()]  # type: ignore[attr-defined]
