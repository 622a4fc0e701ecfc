from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.body import Body, load_body
from model.cameras import half_turn_x, intrinsics, project_body, project_perspective
from model.reconstruct import (
    camera_translation,
    draw_samples,
    parameters_of_rows,
    rebuild_mode,
    rebuild_samples,
    streams_of_rows,
)
from model.rotations import rotmat_geodesic_distance, rotvec_to_rotmat


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body("open")


def make_row(number: int, concentration: float = 50.0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(number)
    pose = rotvec_to_rotmat(0.3 * torch.randn(23, 3, generator=generator))
    return {
        "item_id": f"item{number}", "person_index": number, "seed": 11,
        "pose_F": (concentration * pose).flatten().tolist(), "pose_mode": pose.flatten().tolist(),
        "shape_mean": torch.randn(10, generator=generator).tolist(), "shape_std": [0.2] * 10,
        "global_rotmat": rotvec_to_rotmat(torch.tensor([0.1, 0.5, 0.0])).flatten().tolist(),
        "camera": [0.8, 0.1, -0.05], "crop": [310.0, 190.0, 260.0],
    }  # fmt: skip


def test_mode_is_the_body_of_the_stored_parameters(body: Body) -> None:
    row = make_row(1)
    vertices, joints = rebuild_mode([row], body)
    pose = torch.tensor(row["pose_mode"]).view(1, 23, 3, 3)
    expected = body(
        torch.tensor([row["shape_mean"]]), pose, torch.tensor(row["global_rotmat"]).view(1, 3, 3)
    )
    torch.testing.assert_close(vertices, expected[0])
    torch.testing.assert_close(joints, expected[1])


def test_mode_is_that_of_the_original(golden: Path, golden_smpl: Path) -> None:
    arrays = np.load(golden / "i_predict.npz")
    row = make_row(0) | {
        "pose_F": arrays["0_F"], "pose_mode": arrays["0_mode"],
        "shape_mean": arrays["0_shape_loc"], "global_rotmat": arrays["0_glob_rotmats"],
    }  # fmt: skip
    vertices, _ = rebuild_mode([row], load_body(golden_smpl))
    expected = torch.from_numpy(arrays["0_verts_mode_flipped"])
    torch.testing.assert_close(half_turn_x(vertices), expected, atol=1e-5, rtol=0)


def test_rows_of_numpy_and_lists_are_the_same() -> None:
    row = make_row(2)
    arrays = {name: np.asarray(value) for name, value in row.items()}
    one, other = parameters_of_rows([row]), parameters_of_rows([arrays])
    torch.testing.assert_close(one.pose_F, other.pose_F, rtol=0, atol=0)
    assert one.pose_F.shape == (1, 23, 3, 3) and one.crop.shape == (1, 3)


def test_a_persons_samples_do_not_depend_on_company_or_number(body: Body) -> None:
    rows = [make_row(number) for number in range(3)]
    together, _ = rebuild_samples(rows, body, 4)
    alone, joints = rebuild_samples(rows[1:2], body, 2)
    assert alone.shape == (1, 2, body.num_vertices, 3) and joints.shape == (1, 2, 24, 3)
    torch.testing.assert_close(together[1:2, :2], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("change", [{"seed": 12}, {"item_id": "x"}, {"person_index": 5}])
def test_another_seed_item_or_person_has_other_samples(change: dict[str, Any]) -> None:
    row = make_row(1)
    people = parameters_of_rows([row])
    one, _ = draw_samples(people, streams_of_rows([row]), 3)
    other, _ = draw_samples(people, streams_of_rows([row | change]), 3)
    assert (one - other).abs().max() > 1e-3


def test_samples_spread_about_mode_and_mean_shape() -> None:
    row = make_row(3, concentration=400.0)
    people = parameters_of_rows([row])
    pose, betas = draw_samples(people, streams_of_rows([row]), 2000)
    # A matrix-Fisher of equal singular values s turns by about 1 / sqrt(2 s) rad about each axis,
    # so the mean square angle is 3 / (2 s) rad^2.
    angles = rotmat_geodesic_distance(pose[0], people.pose_mode[0].expand_as(pose[0]))
    assert float(angles.square().mean()) == pytest.approx(3 / (2 * 400), rel=0.05)
    torch.testing.assert_close(betas[0].mean(0), people.shape_mean[0], atol=0.02, rtol=0)
    torch.testing.assert_close(betas[0].std(0), people.shape_std[0], atol=0.02, rtol=0)


def test_placed_body_projects_where_the_weak_perspective_camera_put_it() -> None:
    row = make_row(1)
    people = parameters_of_rows([row])
    size, focal = torch.tensor([[640.0, 480.0]]), torch.tensor([2e6])
    translation = camera_translation(people.camera, people.crop, size, focal)
    points = torch.tensor([[[0.3, 0.5, 0.1], [-0.2, -0.9, -0.1], [0.0, 0.0, 0.0]]])
    # From so far away the pinhole camera is a weak-perspective one.
    seen = project_perspective(
        half_turn_x(points + translation[:, None]).double(),
        intrinsics(2e6, 640.0, 480.0).double(), torch.zeros(1, 3).double(),
    )  # fmt: skip
    expected = project_body(points, people.camera, people.crop)
    torch.testing.assert_close(seen.float(), expected, atol=0.05, rtol=0)


def test_a_person_right_of_and_above_the_middle_stands_at_positive_x_and_y() -> None:
    # Crop centre (500, 100) of a 640 x 480 picture: 180 px right of, 140 px above the middle.
    # s side / 2 = 100 px per metre; f = 800 px puts the person 8 m away.
    translation = camera_translation(
        torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[500.0, 100.0, 200.0]]),
        torch.tensor([[640.0, 480.0]]), torch.tensor([800.0]),
    )  # fmt: skip
    torch.testing.assert_close(translation, torch.tensor([[1.8, 1.4, -8.0]]))
