"""Colours of a report: the stored spread of the vertices, or that of samples made again."""

from __future__ import annotations

from pathlib import Path

import torch
from example_run import write_example_run

from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.pipelines.results.report_pictures import vertex_spread_of
from hierprob3d.pipelines.results.run_folder import read_run


def test_spreads_that_were_not_saved_are_made_again(tmp_path: Path) -> None:
    write_example_run(tmp_path)
    body = load_body("open")
    row = next(read_run(tmp_path).rows())
    stored = vertex_spread_of(row, body)
    assert stored is not None and torch.equal(stored[0], torch.tensor(row["vertex_spread_m"]))
    del row["vertex_spread_m"]
    rebuilt = vertex_spread_of(row, body)
    assert rebuilt is not None
    torch.testing.assert_close(rebuilt, stored, atol=1e-5, rtol=0)
    del row["joint_spread_m"]  # as with --no-uncertainty
    assert vertex_spread_of(row, body) is None
