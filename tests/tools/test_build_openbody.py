"""The builder's steps that need no MakeHuman data, against the bundled body and by solids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from tools.build_openbody.body_parts import body_parts
from tools.build_openbody.decimation import HalfMesh
from tools.build_openbody.regressors import fit_regressor, h36m_regressor, joint_points
from tools.build_openbody.rig import MIRROR, pose_body, pose_correctives, to_tpose

from hierprob3d.model.body.body_file import OPENBODY_FOLDER
from hierprob3d.model.body.mesh_body import H36M_JOINT_NAMES, load_body
from hierprob3d.model.body.skeleton import SMPL_JOINT_NAMES

Arrays = dict[str, Any]


@pytest.fixture(scope="module")
def bundled() -> Arrays:
    with np.load(OPENBODY_FOLDER / "open_body_neutral.npz") as archive:
        arrays: Arrays = {name: archive[name] for name in archive.files}
    arrays["joints"] = arrays["J_regressor"] @ arrays["v_template"]
    return arrays


def test_the_bundled_mesh_is_closed_and_symmetric(bundled: Arrays) -> None:
    faces, mirror = bundled["f"], bundled["mirror"]
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forward = {tuple(edge) for edge in edges.tolist()}
    assert len(forward) == len(edges) and forward == {(b, a) for a, b in forward}
    assert len(bundled["v_template"]) - len(edges) // 2 + len(faces) == 2  # a sphere's Euler number
    np.testing.assert_array_equal(mirror[mirror], np.arange(len(mirror)))
    np.testing.assert_allclose(bundled["weights"][mirror][:, MIRROR], bundled["weights"], atol=1e-3)


def test_mirror_of_joints() -> None:
    assert SMPL_JOINT_NAMES[MIRROR[SMPL_JOINT_NAMES.index("left_knee")]] == "right_knee"
    assert MIRROR[0] == 0 and [MIRROR[j] for j in MIRROR] == list(range(24))


def test_parts_are_those_of_the_bundled_body(bundled: Arrays) -> None:
    names = ("v_template", "joints", "weights", "f")
    of_vertices, of_faces = body_parts(*(bundled[name] for name in names))
    # The bundled parts were cut on the mean of all people, the neutral mean leaves out a ninth.
    assert (of_vertices == bundled["part_v"]).mean() > 0.99
    assert (of_faces == bundled["part_f"]).mean() > 0.99
    left_hand = bundled["v_template"][of_vertices == 4]
    assert (left_hand[:, 0] > 0.5).all()


def test_correctives_are_those_of_the_bundled_body(bundled: Arrays) -> None:
    directions = pose_correctives(
        bundled["v_template"], bundled["joints"], bundled["weights"], strength=1.2
    )
    np.testing.assert_allclose(directions, bundled["posedirs"], atol=1e-6)


def test_skinning_is_that_of_the_body_model(bundled: Arrays) -> None:
    rotvecs = np.random.default_rng(0).normal(size=(24, 3)) * 0.4
    vertices, joints = pose_body(
        bundled["v_template"], bundled["joints"], bundled["weights"], rotvecs
    )
    body = load_body("open")
    body.posedirs.zero_()
    body.sparse_posedirs = None
    rotmats = torch.from_numpy(Rotation.from_rotvec(rotvecs).as_matrix()).float()[None]
    expected, expected_joints = body(torch.zeros(1, 10), rotmats[:, 1:], rotmats[:, 0])
    np.testing.assert_allclose(vertices, expected[0], atol=1e-5)
    np.testing.assert_allclose(joints, expected_joints[0], atol=1e-5)


def test_tpose_stretches_arms_sideways(bundled: Arrays) -> None:
    # Arms hanging 50 degrees: any rest pose must come out with arms along x and bones as long.
    rotvecs = np.zeros((24, 3))
    for name, sign in (("left_shoulder", -1), ("right_shoulder", 1)):
        rotvecs[SMPL_JOINT_NAMES.index(name)] = [0.1, 0.2 * sign, np.radians(50) * sign]
    for name, sign in (("left_elbow", -1), ("right_elbow", 1)):
        rotvecs[SMPL_JOINT_NAMES.index(name)] = [0, 0.4 * sign, 0]
    hanging, joints = pose_body(
        bundled["v_template"], bundled["joints"], bundled["weights"], rotvecs
    )
    forward = np.array([[0.0, 0.0, 1.0]])
    knuckles = {"left": forward, "right": forward}
    vertices, straight = to_tpose(hanging[None], joints[None], knuckles, bundled["weights"])
    assert vertices.shape == hanging[None].shape and vertices.dtype == np.float32
    arm = [SMPL_JOINT_NAMES.index(f"left_{name}") for name in ("shoulder", "elbow", "wrist")]
    directions = np.diff(straight[0, arm], axis=0)
    assert (directions[:, 0] / np.linalg.norm(directions, axis=1) > 0.99).all()
    np.testing.assert_allclose(
        np.linalg.norm(directions, axis=1),
        np.linalg.norm(np.diff(joints[arm], axis=0), axis=1),
        rtol=1e-6,
    )


def test_regressor_rows_are_symmetric_means_that_find_the_joints(bundled: Arrays) -> None:
    rng = np.random.default_rng(0)
    betas = rng.normal(size=(40, 10)).astype(np.float32)
    bodies = bundled["v_template"] + np.einsum("nk,vck->nvc", betas, bundled["shapedirs"])
    joints = bundled["J_regressor"] @ bodies
    rows = fit_regressor(
        bodies, joints, joint_points(bundled["joints"], MIRROR), bundled["v_template"],
        bundled["weights"], bundled["mirror"],
    )  # fmt: skip
    assert (rows >= 0).all()
    np.testing.assert_allclose(rows.sum(1), 1)
    np.testing.assert_allclose(rows[:, bundled["mirror"]], rows[MIRROR], atol=1e-12)
    assert np.linalg.norm(rows @ bodies - joints, axis=-1).mean() < 0.003


def test_h36m_rows_are_named_joints(bundled: Arrays) -> None:
    rows = h36m_regressor(bundled["J_regressor"], bundled["v_template"], nose=17)
    places = dict(zip(H36M_JOINT_NAMES, rows @ bundled["v_template"], strict=True))
    joints = dict(zip(SMPL_JOINT_NAMES, bundled["joints"], strict=True))
    np.testing.assert_allclose(places["right_knee"], joints["right_knee"], atol=1e-6)
    np.testing.assert_allclose(places["torso"], joints["spine2"], atol=1e-6)
    np.testing.assert_allclose(places["nose"], bundled["v_template"][17])
    assert places["head_top"][1] == pytest.approx(bundled["v_template"][:, 1].max(), abs=0.01)
    hips = (joints["left_hip"] + joints["right_hip"]) / 2
    np.testing.assert_allclose(places["pelvis"], hips, atol=1e-6)


def test_decimating_a_half_sphere_keeps_it_a_sphere() -> None:
    vertices, faces = half_sphere(rings=16, segments=17)
    # Not quite regular: of equal costs, each processor's rounding would choose another first.
    off_midline = vertices[:, 0] > 0
    vertices[off_midline] += np.random.default_rng(0).normal(0, 0.01, (off_midline.sum(), 3))
    vertices /= np.linalg.norm(vertices, axis=1, keepdims=True)
    weights = np.zeros((len(vertices), 24))
    weights[:, 0] = 1
    # A distinct, smooth texture coordinate per vertex.
    half = HalfMesh(vertices, faces, faces, vertices[:, [1, 2]], weights, locked={0})
    new_faces, corner_uvs = half.decimate(300)
    kept = np.unique(new_faces)
    on_midline = np.abs(vertices[kept, 0]) < 1e-9
    assert 2 * len(kept) - on_midline.sum() == 300
    assert 0 in kept
    np.testing.assert_array_equal(new_faces, corner_uvs)
    corners = vertices[new_faces]
    centres = np.linalg.norm(corners.mean(1), axis=1)
    assert centres.min() > 0.93  # still near the unit sphere
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((normals * corners.mean(1)).sum(1) > 0).all()  # nothing flipped


def half_sphere(rings: int, segments: int) -> tuple[np.ndarray, np.ndarray]:
    """Grid over the x >= 0 half of the unit sphere: pole on +x, the last ring on x = 0."""
    polar = np.linspace(0, np.pi / 2, rings + 1)[1:]
    around = np.arange(2 * segments) * (np.pi / segments)
    ring = np.stack([np.cos(around), np.sin(around)], -1)
    points = [[1.0, 0.0, 0.0]]
    for angle in polar:
        points += [[np.cos(angle), *(np.sin(angle) * direction)] for direction in ring]
    n, faces = 2 * segments, []
    for i in range(n):
        after = (i + 1) % n
        faces.append([0, 1 + i, 1 + after])
        for k in range(rings - 1):
            a, b = 1 + k * n + i, 1 + k * n + after
            faces += [[a, a + n, b + n], [a, b + n, b]]
    vertices = np.array(points)
    vertices[np.abs(vertices[:, 0]) < 1e-9, 0] = 0
    return vertices, np.array(faces)
