"""The people of a gallery: samples as the run drew them, none where it drew none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from example_run import write_example_run

from hierprob3d.model.body.coarse_body import evenly_spread
from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.estimate.reconstruction import rebuild_mode
from hierprob3d.model.picture.drawing import FULL_SPREAD_M
from hierprob3d.pipelines.results import report_pictures
from hierprob3d.pipelines.results.person_table import person_table
from hierprob3d.pipelines.results.report_pictures import NUM_VERTICES, STEP_M, gallery
from hierprob3d.pipelines.results.run_folder import RunFolder


def test_meshes_and_spread_are_those_of_the_run(tmp_path: Path) -> None:
    rows = write_example_run(tmp_path)
    folder = RunFolder(str(tmp_path))
    found = gallery(folder, person_table(folder), 1, None)
    [person] = found.people
    row = rows[person.number]
    chosen = evenly_spread(load_body("open").v_template.numpy(), NUM_VERTICES)
    stored = np.array(row["vertex_spread_m"])[chosen] / FULL_SPREAD_M * 255
    assert person.spread is not None
    np.testing.assert_allclose(person.spread, stored.clip(0, 255), atol=0.51)
    mode = rebuild_mode([row], load_body("open"))[0][0, chosen].numpy()
    drawn = person.meshes[0] * STEP_M
    np.testing.assert_allclose(drawn - drawn.mean(0), mode - mode.mean(0), atol=STEP_M)


def test_without_uncertainty_there_is_the_mode_alone(tmp_path: Path) -> None:
    rows = write_example_run(tmp_path)
    body = report_pictures.coarse_body(load_body("open"), 60)
    row = next(RunFolder(str(tmp_path)).rows())
    del row["joint_spread_m"]
    samples, spread = report_pictures._samples(row, body)
    assert samples.shape == (0, 60, 3) and spread is None and rows
