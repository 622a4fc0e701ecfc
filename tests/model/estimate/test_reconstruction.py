from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hierprob3d.model.body.mesh_body import Body, load_body
from hierprob3d.model.estimate.body_samples import (
    draw_samples,
    joints_of_samples,
    pose_samples,
    with_paper_rule,
)
from hierprob3d.model.estimate.person_row import PersonRow
from hierprob3d.model.estimate.reconstruction import (
    camera_translation,
    parameters_of_rows,
    rebuild_mode,
    rebuild_samples,
    samples_of_rows,
    streams_of_rows,
    with_refined_body,
)
from hierprob3d.model.picture.cameras import (
    half_turn_x,
    intrinsics,
    project_body,
    project_perspective,
)
from hierprob3d.model.rotation.matrix_fisher import MatrixFisher
from hierprob3d.model.rotation.rotations import (
    rotmat_geodesic_distance,
    rotvec_to_rotmat,
    special_procrustes,
)


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
    one = draw_samples(people, streams_of_rows([row]), 3)
    other = draw_samples(people, streams_of_rows([row | change]), 3)
    assert (one.pose - other.pose).abs().max() > 1e-3


def test_samples_spread_about_mode_and_mean_shape() -> None:
    row = make_row(3, concentration=400.0)
    people = parameters_of_rows([row])
    pose, betas, _ = draw_samples(people, streams_of_rows([row]), 2000)
    # A matrix-Fisher of equal singular values s turns by about 1 / sqrt(2 s) rad about each axis,
    # so the mean square angle is 3 / (2 s) rad^2.
    angles = rotmat_geodesic_distance(pose[0], people.pose_mode[0].expand_as(pose[0]))
    assert float(angles.square().mean()) == pytest.approx(3 / (2 * 400), rel=0.05)
    torch.testing.assert_close(betas[0].mean(0), people.shape_mean[0], atol=0.02, rtol=0)
    torch.testing.assert_close(betas[0].std(0), people.shape_std[0], atol=0.02, rtol=0)


def with_global_F(row: dict[str, Any]) -> dict[str, Any]:
    """The row with a distribution of the global rotation that is sure about one axis only."""
    mode = torch.tensor(row["global_rotmat"]).view(3, 3)
    return row | {"global_F": (mode @ torch.diag(torch.tensor([90.0, 4.0, 3.0]))).flatten()}


def test_global_rotations_spread_as_their_distribution_says() -> None:
    people = parameters_of_rows([with_global_F(make_row(1))])
    assert people.global_F is not None
    samples = draw_samples(people, streams_of_rows([make_row(1)]), 2000)
    turn = people.global_rotmat[:, None].mT @ samples.global_rotmat
    cosine = ((torch.diagonal(turn, dim1=-2, dim2=-1).sum(-1) - 1) / 2).mean()
    spread = MatrixFisher(people.global_F).angular_spread_deg()[0]
    assert float(torch.rad2deg(cosine.acos())) == pytest.approx(float(spread), rel=0.03)
    # The mode is the mean direction, and the body's x axis is the one that hardly moves.
    torch.testing.assert_close(
        special_procrustes(samples.global_rotmat[0].mean(0)), people.global_rotmat[0],
        atol=0.03, rtol=0,
    )  # fmt: skip
    moved = 1 - torch.diagonal(turn, dim1=-2, dim2=-1)[0].mean(0)
    assert moved[0] < 0.2 * moved[1:].min()


def test_global_rotations_leave_the_other_draws_as_they_were_and_vary_alone() -> None:
    rows = [make_row(1), make_row(2)]
    streams = streams_of_rows(rows)
    plain = draw_samples(parameters_of_rows(rows), streams, 3)
    people = parameters_of_rows([with_global_F(row) for row in rows])
    spread = draw_samples(people, streams, 3)
    assert torch.equal(plain.pose, spread.pose) and torch.equal(plain.betas, spread.betas)
    assert torch.equal(plain.global_rotmat, people.global_rotmat[:, None].expand(-1, 3, -1, -1))
    # A joint with the same parameters draws other numbers.
    assert people.global_F is not None
    joint = replace(people, pose_F=people.global_F[:, None].expand(-1, 23, -1, -1))
    drawn = draw_samples(joint, streams, 3)
    assert (drawn.pose - drawn.global_rotmat[:, :, None]).abs().amax((0, 1, 3, 4)).min() > 0.1


def test_samples_turn_about_the_pelvis(body: Body) -> None:
    row = with_global_F(make_row(1))
    vertices, joints = rebuild_samples([row], body, 3)
    alone, alone_joints = rebuild_samples([row], body, 1)
    torch.testing.assert_close(vertices[:, :1], alone, atol=1e-5, rtol=0)
    plain, plain_joints = rebuild_samples([make_row(1)], body, 3)
    torch.testing.assert_close(joints[:, :, 0], plain_joints[:, :, 0], atol=1e-6, rtol=0)
    people = parameters_of_rows([row])
    drawn = draw_samples(people, streams_of_rows([row]), 3).global_rotmat
    turn = drawn @ people.global_rotmat[:, None].mT
    pelvis = plain_joints[:, :, :1]
    expected = (plain - pelvis) @ turn.mT + pelvis
    torch.testing.assert_close(vertices, expected, atol=1e-5, rtol=0)
    assert (vertices - plain).norm(dim=-1).amax(-1).min() > 0.05


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


def with_metadata(row: dict[str, Any], body: Body, **changes: str) -> PersonRow:
    """The row as `read_run` hands it out."""
    metadata = {
        "body_sha256": body.sha256, "body_gender": "neutral", "body_family": "openbody",
        "body_model": "open", "num_samples": "3", "paper_rule": "false",
    }  # fmt: skip
    return PersonRow(row, metadata | changes)


def test_a_row_with_metadata_is_enough(body: Body) -> None:
    row = with_metadata(make_row(1), body)
    vertices, joints = rebuild_samples(row)
    assert vertices.shape == (3, body.num_vertices, 3) and joints.shape == (3, 24, 3)
    expected = rebuild_samples([make_row(1)], body, 3)
    assert torch.equal(vertices, expected[0][0]) and torch.equal(joints, expected[1][0])
    several = rebuild_samples([row, with_metadata(make_row(2), body)])[0]
    torch.testing.assert_close(several[0], vertices, atol=1e-5, rtol=0)
    mode, _ = rebuild_mode(row)
    assert torch.equal(mode, rebuild_mode([make_row(1)], body)[0][0])
    refined = {f"refined_{name}": row[name] for name in ("global_rotmat", "camera")}
    refined |= {"refined_pose": row["pose_mode"], "refined_betas": 10 * [0.0]}
    straight = rebuild_mode(with_refined_body(PersonRow(row | refined, row.metadata)))[0]
    assert 1e-3 < (straight - mode).abs().max() < 0.5


def test_samples_by_the_papers_rule_share_shape_and_global_rotation(body: Body) -> None:
    row = with_metadata(with_global_F(make_row(1)), body, paper_rule="true")
    vertices, joints = rebuild_samples(row)
    people = parameters_of_rows([row])
    pose = draw_samples(people, streams_of_rows([row]), 3).pose
    expected = body.pose(body.shape(people.shape_mean), pose, people.global_rotmat)
    torch.testing.assert_close(vertices, expected[0][0], atol=1e-5, rtol=0)
    torch.testing.assert_close(joints, expected[1][0], atol=1e-5, rtol=0)
    free, _ = rebuild_samples(with_metadata(with_global_F(make_row(1)), body))
    assert (free - vertices).abs().max() > 0.05
    parameters = samples_of_rows([row], 3)  # what exports write
    assert torch.equal(parameters.betas, people.shape_mean[:, None].expand(-1, 3, -1))
    assert torch.equal(
        parameters.global_rotmat, people.global_rotmat[:, None].expand(-1, 3, -1, -1)
    )
    mixed = [row, with_metadata(with_global_F(make_row(2)), body)]
    with pytest.raises(ValueError, match="different paper_rule"):
        samples_of_rows(mixed, 3)


def test_rows_that_do_not_say_enough_are_told_so(body: Body) -> None:
    with pytest.raises(ValueError, match=r"do not say their body_sha256: take .*read_run"):
        rebuild_mode(make_row(1))
    with pytest.raises(ValueError, match="do not say their num_samples"):
        rebuild_samples(make_row(1), body)
    rows = [with_metadata(make_row(1), body), with_metadata(make_row(2), body, num_samples="4")]
    with pytest.raises(ValueError, match="files with different num_samples"):
        rebuild_samples(rows)
    gone = with_metadata(make_row(1), body, body_sha256="f00", body_family="smpl",
                         body_model="/gone/SMPL_NEUTRAL.pkl")  # fmt: skip
    with pytest.raises(ValueError, match=r"neutral body model of family 'smpl'.*body=load_body"):
        rebuild_mode(gone)


def test_joints_alone_are_those_of_the_meshes(body: Body) -> None:
    people = parameters_of_rows([with_global_F(make_row(1)), with_global_F(make_row(2))])
    samples = draw_samples(people, streams_of_rows([make_row(1), make_row(2)]), 3)
    for some in (samples, with_paper_rule(samples, people)):
        expected = pose_samples(some, body)[1]
        torch.testing.assert_close(joints_of_samples(some, body), expected, atol=1e-6, rtol=0)


def test_rows_keep_their_metadata_through_a_worker(body: Body) -> None:
    row = pickle.loads(pickle.dumps(with_metadata(make_row(1), body)))
    assert row.metadata["num_samples"] == "3" and row["person_index"] == 1
