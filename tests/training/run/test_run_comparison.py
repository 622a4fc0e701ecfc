from __future__ import annotations

import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from hierprob3d.pipelines.command.cli import main
from hierprob3d.training.run.loss_plot import CHART_SIZE
from hierprob3d.training.run.run_comparison import read_series

WIDTH, HEIGHT = CHART_SIZE


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    """A run of ours of two epochs, and one of the paper's code of three."""
    ours, papers = tmp_path / "ours", tmp_path / "papers"
    ours.mkdir()
    papers.mkdir()
    lines = [
        {"kind": "training", "step": step, "of": 20, "total": 9.0 - step, "PVE": 80.0 - step}
        for step in (5, 10, 15, 20)
    ]
    judged = [
        {"kind": "validation", "step": 10 * (epoch + 1), "epoch": epoch, "PVE": 70.0 - epoch}
        for epoch in (0, 1)
    ]
    (ours / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines + judged))
    history = {
        "train_losses": [9.0, 8.0, 7.0], "val_losses": [8.5, 8.0, 7.5],
        "train_PVE": [np.float64(0.08), 0.07, 0.06], "val_PVE": [0.07, 0.065, 0.06],
        "train_PVE-T": [0.0, 0.0, 0.0],
    }  # fmt: skip
    (papers / "log.pkl").write_bytes(pickle.dumps(history))
    return [str(ours), str(papers)]


def test_ours_and_the_papers_are_read_alike(runs: list[str]) -> None:
    ours, papers = (read_series(Path(run)) for run in runs)
    epochs, values = ours["training", "PVE"]
    np.testing.assert_allclose(epochs, [0.5, 1, 1.5, 2])
    np.testing.assert_allclose(values, [75, 70, 65, 60])
    epochs, values = papers["validation", "PVE"]
    np.testing.assert_allclose(epochs, [1, 2, 3])
    np.testing.assert_allclose(values, [70, 65, 60])  # mm
    assert ("training", "total") in papers and ("training", "PVE-T") not in papers


def test_runs_are_drawn_in_one_picture(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    output = str(tmp_path / "plot.png")
    words = ["--exp_dirs", *runs[:1], runs[1], "-M", "PVE", "--output", output]
    assert main(["plot-training", *words]) == 0
    picture = cv2.imread(output)
    assert picture is not None and picture.shape == (HEIGHT, 4 * WIDTH, 3)
    for cell in (1, 2):  # PVE of training, and of validation: a curve in each run's colour
        part = picture[:, cell * WIDTH : (cell + 1) * WIDTH].reshape(-1, 3)
        for colour in ((170, 80, 30), (30, 110, 200)):  # BGR
            assert (part == colour).all(1).any()
    assert (picture[:, 3 * WIDTH :] == 255).all()
    assert main(["plot-training", *runs, "--output", output, "-M", "PVE,loss"]) == 2
    assert "no run has 'loss'; they have" in capsys.readouterr().err
    assert main(["plot-training", str(tmp_path), "--output", output]) == 2
    assert "neither log.jsonl nor log.pkl" in capsys.readouterr().err
