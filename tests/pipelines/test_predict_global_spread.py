"""Weights that give the global rotation a distribution: what a run and an export make of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.estimate.body_samples import draw_samples
from hierprob3d.model.estimate.reconstruction import (
    parameters_of_rows,
    rebuild_samples,
    streams_of_rows,
)
from hierprob3d.model.rotation.matrix_fisher import MatrixFisher
from hierprob3d.model.rotation.rotations import rotmat_to_rotvec
from hierprob3d.pipelines.command.cli import main
from tests.pipelines.conftest import PERSON, copy_person, read_rows, save_random_weights

Predict = Callable[..., int]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory, predict: Predict) -> Path:
    """A run with such weights over one picture, samples kept."""
    folder = tmp_path_factory.mktemp("spread")
    weights = save_random_weights(folder / "w.safetensors", "openbody", global_spread=True)
    code = predict(
        PERSON, "--output", folder / "out", "--weights", weights, "--save", "samples",
        "--visualise", "samples",
    )  # fmt: skip
    assert code == 0
    return folder / "out"


def test_rows_have_the_distribution_and_its_draws(output: Path) -> None:
    row = read_rows(output, "people").to_pylist()[0]
    mode = MatrixFisher(torch.tensor(row["global_F"]).view(3, 3)).mode
    torch.testing.assert_close(
        mode, torch.tensor(row["global_rotmat"]).view(3, 3), atol=1e-4, rtol=0
    )
    stored = np.reshape(row["samples_global_rotmat"], (4, 3, 3))
    drawn = draw_samples(parameters_of_rows([row]), streams_of_rows([row]), 4).global_rotmat[0]
    _, joints = rebuild_samples([row], load_body("open"), 4)
    joints = (joints[0] - joints[0, :, :1]).numpy() * (1, -1, -1)
    for number, kept in enumerate(np.reshape(row["samples_joints3d"], (4, 24, 3))):
        # The stored samples are in another order than the draws, the rotations in the same.
        first = int(np.abs(joints - kept).max(axis=(1, 2)).argmin())
        np.testing.assert_allclose(joints[first], kept, atol=1e-4)
        np.testing.assert_allclose(drawn[first], stored[number], atol=1e-5)


def test_exported_samples_turn_as_the_runs(output: Path, tmp_path: Path) -> None:
    options = ("--output", str(tmp_path), "--format", "smpl-npz", "--samples", "4")
    assert main(["export", str(output), *options]) == 0
    row = read_rows(output, "people").to_pylist()[0]
    drawn = draw_samples(parameters_of_rows([row]), streams_of_rows([row]), 4).global_rotmat[0]
    with np.load(next(tmp_path.glob("*.npz"))) as arrays:
        roots = arrays["sample_poses"][0, :, :3]
    np.testing.assert_allclose(roots, rotmat_to_rotvec(drawn), atol=1e-5)
    assert np.ptp(roots, axis=0).max() > 0.1


def test_rows_of_weights_without_it_do_not_join(
    output: Path, predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = copy_person(tmp_path / "another.png")
    assert predict(picture, "--output", output, "--save", "samples") == 2
    assert "with --weights " in capsys.readouterr().err
