"""The body: golden vertices, smplx as the oracle, geometry in float64, and every kind of file."""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from scipy.spatial.transform import Rotation

from hierprob3d.model.body.body_file import OPENBODY_FOLDER, BodyFileError
from hierprob3d.model.body.mesh_body import H36M_JOINT_NAMES, H36M_TO_14, Body, load_body
from hierprob3d.model.body.skeleton import COCO_KEYPOINT_NAMES, PARENTS, SMPL_JOINT_NAMES
from hierprob3d.model.picture.cameras import half_turn_x

GENDERS = ("neutral", "male", "female")


def random_rotmats(*shape: int, seed: int = 0, angle: float = 0.5) -> torch.Tensor:
    vectors = np.random.default_rng(seed).normal(size=(int(np.prod(shape)), 3)) * angle
    return torch.from_numpy(Rotation.from_rotvec(vectors).as_matrix()).view(*shape, 3, 3)


def random_betas(count: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, 10)))


@pytest.fixture(scope="module")
def body64() -> Body:
    return load_body("open").double()


@pytest.fixture(scope="module")
def smpl_arrays() -> dict[str, Any]:
    """A small-numbered file in SMPL's sizes: a cloud of points, integers to keep files small."""
    rng = np.random.default_rng(0)
    regressor = np.zeros((24, 6890))
    regressor[np.arange(24), rng.choice(6890, 24)] = 1
    weights = np.zeros((6890, 24), np.int8)
    weights[np.arange(6890), rng.integers(0, 24, 6890)] = 1
    return {
        "v_template": rng.normal(size=(6890, 3)),
        "f": rng.integers(0, 6890, (13776, 3)).astype(np.uint32),
        "shapedirs": rng.normal(size=(6890, 3, 12)) * 0.01,
        "posedirs": np.zeros((6890, 3, 207), np.int8),
        "J_regressor": regressor,
        "weights": weights,
        "kintree_table": np.array([[2**32 - 1, *PARENTS[1:]], range(24)]).astype(np.uint32),
    }


def write_npz(path: Path, arrays: dict[str, Any]) -> Path:
    np.savez(path, **arrays)
    return path


def write_pickle(path: Path, arrays: dict[str, Any]) -> Path:
    sparse = {**arrays, "J_regressor": scipy.sparse.csc_matrix(arrays["J_regressor"])}
    path.write_bytes(pickle.dumps(sparse, protocol=2))
    return path


# Parity with the original


@pytest.mark.parametrize("gender", GENDERS)
def test_vertices_and_joints_as_the_original(golden: Path, golden_smpl: Path, gender: str) -> None:
    with np.load(golden / "k_misc_smpl.npz") as archive:
        stored = {name: torch.from_numpy(archive[name]) for name in archive.files}
    rotmats, step = stored["rodrigues"], 1 if gender == "neutral" else 7
    body = load_body(golden_smpl, gender)
    vertices, joints = body(stored["smpl_betas"], rotmats[:, 1:], rotmats[:, 0])
    name = f"smpl_{gender}_verts" + ("" if step == 1 else f"_every{step}")
    torch.testing.assert_close(vertices[:, ::step], stored[name], atol=1e-5, rtol=0)
    all_joints = stored[f"smpl_{gender}_joints"]
    torch.testing.assert_close(joints, all_joints[:, :24], atol=1e-5, rtol=0)
    torch.testing.assert_close(
        body.coco_joints(vertices, joints), all_joints[:, stored["coco_map"]], atol=1e-5, rtol=0
    )
    assert body.family == "smpl" and body.gender == gender
    assert tuple(stored["h36m_to_j14"].tolist()) == H36M_TO_14


@pytest.mark.parametrize("person", [0, 1, 2])
def test_predicted_bodies_as_the_original(golden: Path, golden_smpl: Path, person: int) -> None:
    with np.load(golden / "i_predict.npz") as archive:
        mode, betas, turn, expected, reposed = (
            torch.from_numpy(archive[f"{person}_{name}"])
            for name in ("mode", "shape_loc", "glob_rotmats", "verts_mode_flipped",
                         "reposed_flipped")
        )  # fmt: skip
    body = load_body(golden_smpl)
    vertices, _ = body(betas, mode, turn)
    torch.testing.assert_close(half_turn_x(vertices), expected, atol=1e-5, rtol=0)
    unposed = half_turn_x(body.shape(betas).vertices)
    torch.testing.assert_close(unposed, reposed, atol=1e-5, rtol=0)


@pytest.mark.parametrize("gender", GENDERS)
def test_smplx_gives_the_same_body(tmp_path: Path, gender: str) -> None:
    smplx = pytest.importorskip("smplx")
    with np.load(OPENBODY_FOLDER / f"open_body_{gender}.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    path = tmp_path / "OPEN.pkl"
    path.write_bytes(pickle.dumps(arrays))
    face = dict.fromkeys(("nose", "reye", "leye", "rear", "lear"), 0)  # asked for, not compared
    extras = {"vertex_ids": face, "use_hands": False, "use_feet_keypoints": False}
    oracle = smplx.SMPL(model_path=str(path), batch_size=4, **extras)
    rotmats, betas = random_rotmats(4, 24).float(), random_betas(4).float()
    expected = oracle(
        betas=betas, body_pose=rotmats[:, 1:], global_orient=rotmats[:, :1], pose2rot=False
    )
    vertices, joints = load_body("open", gender)(betas, rotmats[:, 1:], rotmats[:, 0])
    torch.testing.assert_close(vertices, expected.vertices, atol=1e-5, rtol=0)
    torch.testing.assert_close(joints, expected.joints[:, :24], atol=1e-5, rtol=0)


# Geometry


def test_identity_pose_is_the_shaped_body(body64: Body) -> None:
    betas = random_betas(2)
    identity = torch.eye(3, dtype=torch.float64).expand(2, 24, 3, 3)
    vertices, joints = body64(betas, identity[:, 1:], identity[:, 0])
    shaped = body64.shape(betas)
    torch.testing.assert_close(vertices, shaped.vertices, atol=1e-6, rtol=0)
    torch.testing.assert_close(joints, shaped.joints, atol=1e-12, rtol=0)


def test_global_rotation_turns_about_the_pelvis(body64: Body) -> None:
    pose, turn, betas = random_rotmats(1, 23), random_rotmats(1, seed=1), random_betas(1)
    still, still_joints = body64(betas, pose, torch.eye(3, dtype=torch.float64)[None])
    turned, turned_joints = body64(betas, pose, turn)
    pelvis = still_joints[:, :1]
    # Weights are stored in float32 and sum to 1 within 1e-7, hence the tolerance.
    expected = (still - pelvis) @ turn.mT + pelvis
    torch.testing.assert_close(turned, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(turned_joints, (still_joints - pelvis) @ turn.mT + pelvis)


@pytest.mark.parametrize("name", ["left_elbow", "right_hip", "spine2", "head", "left_hand"])
def test_a_joint_moves_its_descendants_only(body64: Body, name: str) -> None:
    joint = SMPL_JOINT_NAMES.index(name)
    descendants = {joint}
    for child in range(joint + 1, 24):
        if PARENTS[child] in descendants:
            descendants.add(child)
    identity = torch.eye(3, dtype=torch.float64)
    pose = identity.repeat(1, 23, 1, 1)
    rest_vertices, rest = body64(torch.zeros(1, 10).double(), pose, identity[None])
    pose[0, joint - 1] = random_rotmats(1, seed=5)[0]
    vertices, joints = body64(torch.zeros(1, 10).double(), pose, identity[None])
    moved = {j for j in range(24) if (joints[0, j] - rest[0, j]).norm() > 1e-9}
    assert moved == descendants - {joint}
    # Vertices that no descendant holds, and no pose blend shape touches, stay.
    held = body64.weights[sorted(descendants)].sum(0) > 0
    touched = (body64.posedirs[9 * (joint - 1) : 9 * joint] != 0).view(9, 3, -1).any(0).any(0)
    assert (vertices - rest_vertices)[0, ~held & ~touched].abs().max() < 1e-9


def test_bones_keep_their_length(body64: Body) -> None:
    betas = random_betas(3)
    _, joints = body64(betas, random_rotmats(3, 23, angle=1.0), random_rotmats(3))
    rest = body64.shape(betas).joints
    parents = list(PARENTS[1:])
    torch.testing.assert_close(
        (joints[:, 1:] - joints[:, parents]).norm(dim=-1),
        (rest[:, 1:] - rest[:, parents]).norm(dim=-1),
    )


def test_joints_of_a_shape_are_those_of_its_vertices(body: Body) -> None:
    with np.load(body.path) as archive:
        regressor = torch.from_numpy(archive["J_regressor"])
    shaped = body.shape(random_betas(3).float())
    torch.testing.assert_close(shaped.joints, regressor @ shaped.vertices, atol=2e-6, rtol=0)


def test_many_samples_are_each_posed_alone(body: Body) -> None:
    # 2 x 40 samples need several blocks on the CPU; the person and sample order must survive.
    betas, turns = random_betas(2).float(), random_rotmats(2, seed=1).float()
    pose = random_rotmats(2, 40, 23, seed=2).float()
    vertices, joints = body.pose(body.shape(betas), pose, turns)
    assert vertices.shape == (2, 40, 6880, 3) and joints.shape == (2, 40, 24, 3)
    for person, sample in ((0, 0), (0, 39), (1, 7)):
        alone, joint = body(betas[person, None], pose[person, sample, None], turns[person, None])
        torch.testing.assert_close(vertices[person, sample], alone[0], atol=2e-6, rtol=0)
        torch.testing.assert_close(joints[person, sample], joint[0], atol=2e-6, rtol=0)


def test_nobody_gives_empty_bodies(body: Body) -> None:
    empty = torch.zeros(0, 10), torch.zeros(0, 23, 3, 3), torch.zeros(0, 3, 3)
    vertices, joints = body(*empty)
    assert vertices.shape == (0, 6880, 3) and joints.shape == (0, 24, 3)


def test_gradients_flow_and_the_dense_product_agrees(body: Body) -> None:
    assert body.sparse_posedirs is not None or not torch.backends.mkl.is_available()
    betas = random_betas(1).float().requires_grad_()
    pose = random_rotmats(1, 23).float().requires_grad_()
    turn = random_rotmats(1, seed=1).float().requires_grad_()
    vertices, joints = body(betas, pose, turn)
    (vertices.square().sum() + joints.square().sum()).backward()
    for tensor in (betas, pose, turn):
        assert tensor.grad is not None and tensor.grad.abs().max() > 0
    with torch.no_grad():
        sparse, _ = body(betas, pose.detach(), turn)
    torch.testing.assert_close(sparse, vertices.detach(), atol=1e-6, rtol=0)


def test_gradients_are_right(body64: Body) -> None:
    picks = torch.tensor([0, 1500, 4000])

    def some_vertices(betas: torch.Tensor, pose: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
        vertices, joints = body64(betas, pose, turn)
        return torch.cat([vertices[:, picks], joints[:, ::9]], dim=1)

    inputs = (random_betas(1), random_rotmats(1, 23), random_rotmats(1, seed=1))
    inputs = tuple(value.requires_grad_() for value in inputs)  # type: ignore[assignment]
    assert torch.autograd.gradcheck(some_vertices, inputs, fast_mode=True)


# Keypoints and parts


def test_keypoints_of_openbody_lie_where_their_names_say(body: Body) -> None:
    identity = torch.eye(3).expand(1, 24, 3, 3)
    vertices, joints = body(torch.zeros(1, 10), identity[:, 1:], identity[:, 0])
    at = dict(zip(COCO_KEYPOINT_NAMES, body.coco_joints(vertices, joints)[0], strict=True))
    smpl = dict(zip(SMPL_JOINT_NAMES, joints[0], strict=True))
    for name in COCO_KEYPOINT_NAMES[5:]:
        assert (at[name] - smpl[name]).norm() < 0.06, name
    assert at["nose"][2] > at["left_ear"][2]  # forward of the ears
    assert at["left_eye"][0] > 0 > at["right_eye"][0]  # x is to the body's left
    assert at["left_eye"][1] > at["nose"][1] > at["left_shoulder"][1]  # y is up


def test_h36m_joints_of_openbody_lie_at_its_joints(body: Body) -> None:
    betas, pose = random_betas(2).float() * 0.5, random_rotmats(2, 23, angle=0.3).float()
    vertices, joints = body(betas, pose, random_rotmats(2).float())
    h36m = body.h36m_joints(vertices)
    named = [name for name in H36M_JOINT_NAMES if name in SMPL_JOINT_NAMES and name != "pelvis"]
    assert len(named) == 13
    for name in named:
        row, joint = H36M_JOINT_NAMES.index(name), SMPL_JOINT_NAMES.index(name)
        assert (h36m[:, row] - joints[:, joint]).norm(dim=-1).max() < 0.03, name
    fourteen = [H36M_JOINT_NAMES[row] for row in H36M_TO_14]
    assert fourteen[:4] == ["right_ankle", "right_knee", "right_hip", "left_hip"]
    assert fourteen[6] == "right_wrist" and fourteen[11:] == ["left_wrist", "neck", "head_top"]
    torch.testing.assert_close(body.h36m_joints14(vertices)[:, 0], h36m[:, 6])


def test_parts_of_openbody(body: Body) -> None:
    assert body.vertex_parts is not None and body.vertex_parts.shape == (6880,)
    assert body.face_parts is not None and set(np.unique(body.face_parts)) == set(range(1, 25))
    assert body.faces.shape == (13756, 3) and body.faces.dtype == torch.int64


# Files


@pytest.mark.parametrize("write", [write_npz, write_pickle])
def test_smpl_files_load(tmp_path: Path, smpl_arrays: dict[str, Any], write: Any) -> None:
    path = write(tmp_path / ("body.npz" if write is write_npz else "body.pkl"), smpl_arrays)
    body = load_body(path, "male")
    assert (body.family, body.gender, body.num_vertices) == ("smpl", "male", 6890)
    assert body.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert body.vertex_parts is None and body.sparse_posedirs is not None
    # Twelve shape directions in the file: the first ten are used.
    betas = random_betas(1).float()
    expected = smpl_arrays["v_template"] + smpl_arrays["shapedirs"][:, :, :10] @ betas[0].numpy()
    np.testing.assert_allclose(body.shape(betas).vertices[0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "gender"),
    [
        ("SMPL_NEUTRAL.pkl", "neutral"),
        ("SMPL_MALE.npz", "male"),
        ("basicModel_neutral_lbs_10_207_0_v1.0.0.pkl", "neutral"),
        ("basicmodel_m_lbs_10_207_0_v1.0.0.pkl", "male"),
        ("basicModel_f_lbs_10_207_0_v1.0.0.pkl", "female"),
        ("basicmodel_f_lbs_10_207_0_v1.1.0.pkl", "female"),
        ("basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl", "neutral"),
    ],
)
def test_published_names_are_found(
    tmp_path: Path, smpl_arrays: dict[str, Any], name: str, gender: str
) -> None:
    write = write_npz if name.endswith(".npz") else write_pickle
    write(tmp_path / name, smpl_arrays)
    assert load_body(tmp_path, gender).gender == gender
    assert load_body(tmp_path / name).gender == gender
    other = "male" if gender != "male" else "female"
    with pytest.raises(FileNotFoundError, match=f"no {other} body model.*SMPL_{other.upper()}"):
        load_body(tmp_path, other)
    with pytest.raises(ValueError, match=f"is the {gender} body, but the {other}"):
        load_body(tmp_path / name, other)


def test_a_folder_of_openbody_files_loads() -> None:
    assert load_body(OPENBODY_FOLDER, "female").family == "openbody"


def test_h36m_regressor_is_found_beside_or_one_folder_up(
    tmp_path: Path, smpl_arrays: dict[str, Any]
) -> None:
    folder = tmp_path / "model_files" / "smpl"
    folder.mkdir(parents=True)
    path = write_npz(folder / "SMPL_NEUTRAL.npz", smpl_arrays)
    without = load_body(path)
    with pytest.raises(FileNotFoundError, match=r"J_regressor_h36m\.npy.*17 x 6890"):
        without.h36m_joints(without.v_template)
    regressor = np.random.default_rng(0).random((17, 6890)) / 6890
    np.save(folder.parent / "J_regressor_h36m.npy", regressor)
    body = load_body(path)
    np.testing.assert_allclose(
        body.h36m_joints(body.v_template), regressor @ smpl_arrays["v_template"], atol=1e-6
    )
    np.save(folder / "J_regressor_h36m.npy", regressor[:, :6880])  # OpenBody's: a loud error
    with pytest.raises(ValueError, match=r"shape \(17, 6880\).*\(17, 6890\)"):
        load_body(path)


def test_missing_files_and_unknown_genders_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.pkl does not exist"):
        load_body(tmp_path / "nothing.pkl")
    with pytest.raises(FileNotFoundError, match=r"no neutral body model: put SMPL_NEUTRAL\.pkl"):
        load_body(tmp_path)
    with pytest.raises(ValueError, match="Unknown gender 'm'"):
        load_body("open", "m")


def test_a_folder_as_smplx_lays_it_out_is_found(
    tmp_path: Path, smpl_arrays: dict[str, Any]
) -> None:
    (tmp_path / "smpl").mkdir()
    (tmp_path / "smplx").mkdir()
    write_npz(tmp_path / "smpl" / "SMPL_MALE.npz", smpl_arrays)
    assert load_body(tmp_path, "male").path == tmp_path / "smpl" / "SMPL_MALE.npz"
    with pytest.raises(FileNotFoundError, match="no neutral body model"):
        load_body(tmp_path)


@pytest.mark.parametrize("layout", ["csc_matrix", "coo_matrix", "lil_matrix"])
def test_a_regressor_may_be_an_object_of_an_npz(
    tmp_path: Path, smpl_arrays: dict[str, Any], layout: str
) -> None:
    sparse = getattr(scipy.sparse, layout)(smpl_arrays["J_regressor"])
    expected = load_body(write_npz(tmp_path / "plain.npz", smpl_arrays)).joint_template
    arrays = {**smpl_arrays, "J_regressor": sparse}
    body = load_body(write_npz(tmp_path / "object.npz", arrays))
    torch.testing.assert_close(body.joint_template, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"v_template": np.zeros((10475, 3))}, "is SMPL-X, another body: SMPL's own file"),
        ({"kintree_table": np.zeros((2, 52)), "weights": np.zeros((6890, 52))}, "is SMPL-H"),
        ({"posedirs": np.zeros((6890, 3, 93))}, "is STAR"),
        ({"v_template": np.zeros((778, 3))}, "is MANO"),
    ],
)
def test_relatives_of_smpl_are_named(
    tmp_path: Path, smpl_arrays: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    path = write_npz(tmp_path / "SMPL_NEUTRAL.npz", {**smpl_arrays, **change})
    with pytest.raises(BodyFileError, match=message):
        load_body(path)


def test_an_expression_of_chumpy_is_named(
    tmp_path: Path, smpl_arrays: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("chumpy", "chumpy.ch"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    kind = type("MatVecMult", (), {"__module__": "chumpy.ch"})
    sys.modules["chumpy.ch"].MatVecMult = kind  # type: ignore[attr-defined]
    path = write_pickle(tmp_path / "SMPL_NEUTRAL.pkl", {**smpl_arrays, "shapedirs": kind()})
    with pytest.raises(BodyFileError, match=r"shapedirs is an expression of chumpy \(MatVecMult\)"):
        load_body(path)


@pytest.mark.parametrize(
    "content",
    [5, None, [], {}, {"v_template": None}, {"v_template": [[1, 2], [3]]}, {"v_template": "x" * 99},
     {"v_template": [["a"] * 3] * 6890}, {"v_template": {"a": 1}}, {5: 6}],
    ids=str,
)  # fmt: skip
def test_pickles_of_something_else_are_one_line(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps(content, 2))
    with pytest.raises(BodyFileError, match="SMPL_NEUTRAL") as caught:
        load_body(tmp_path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_files_of_another_kind_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    for content in (
        b"",
        gzip.compress(b"SMPL"),
        b"\x89PNG\r\n",
        b"PK\x03\x04",
        b"Nr\xff\xff\xff\x0f.",
    ):
        path.write_bytes(content)
        with pytest.raises(BodyFileError, match="SMPL_NEUTRAL.pkl is ") as caught:
            load_body(tmp_path)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BodyFileError, match="not a regular file"):
        load_body(path)


def test_a_sparse_matrix_of_a_huge_shape_is_not_made_dense(
    tmp_path: Path, smpl_arrays: dict[str, Any]
) -> None:
    huge = scipy.sparse.coo_matrix(([1.0], ([0], [0])), shape=(10**9, 10**9))
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps({**smpl_arrays, "J_regressor": huge}, 2))
    with pytest.raises(BodyFileError, match="J_regressor must hold 24 x 6890"):
        load_body(path)


def test_mutated_files_are_bodies_or_one_clear_error(
    tmp_path: Path, smpl_arrays: dict[str, Any]
) -> None:
    small = {key: value[:40] for key, value in smpl_arrays.items()}
    rng = np.random.default_rng(0)
    for write, name in ((write_npz, "body.npz"), (write_pickle, "body.pkl")):
        whole = write(tmp_path / name, small).read_bytes()
        heads = [
            place for word in (b"numpy", b"NUMPY", b"descr", b"PK") for place in _all(whole, word)
        ]
        for number in range(200):
            content = bytearray(whole)
            for place in rng.integers(0, 150, rng.integers(1, 4)) + rng.choice(heads):
                content[min(place, len(whole) - 1)] = rng.integers(0, 256)
            cut = rng.integers(1, len(whole)) if number % 5 == 0 else len(whole)
            (tmp_path / name).write_bytes(content[:cut])
            with pytest.raises(BodyFileError, match="body") as caught:
                load_body(tmp_path / name)
            assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def _all(content: bytes, word: bytes) -> list[int]:
    return [match.start() for match in re.finditer(re.escape(word), content)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"posedirs": None}, "no posedirs"),
        ({"v_template": np.zeros((100, 3))}, "100 vertices; SMPL has 6890"),
        ({"weights": np.zeros((6890, 52))}, "weights must hold 6890 x 24"),
        ({"shapedirs": np.zeros((6890, 3, 4))}, "4 shape directions; 10 are needed"),
        ({"f": np.full((5, 3), 6890)}, "vertices that the body does not have"),
        ({"J_regressor": np.full((24, 6890), np.nan)}, "J_regressor must hold"),
        ({"kintree_table": np.zeros((2, 24), int)}, "not the tree of SMPL"),
        ({"v_template": np.array(["x"] * 6890)}, "v_template must hold V x 3"),
    ],
)
def test_wrong_arrays_are_named(
    tmp_path: Path, smpl_arrays: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    arrays = {key: value for key, value in {**smpl_arrays, **change}.items() if value is not None}
    path = write_npz(tmp_path / "SMPL_NEUTRAL.npz", arrays)
    with pytest.raises(ValueError, match=message):
        load_body(path)


def test_files_that_are_no_body_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "SMPL_NEUTRAL.pkl"
    text.write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ValueError, match=r"SMPL_NEUTRAL\.pkl is not a readable pickle"):
        load_body(tmp_path)
    text.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(ValueError, match="holds a list"):
        load_body(tmp_path)


class Attack:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.witness),)


@pytest.mark.parametrize("suffix", [".pkl", ".npz"])
def test_code_in_a_body_file_is_not_executed(tmp_path: Path, suffix: str) -> None:
    witness, path = tmp_path / "executed", tmp_path / f"SMPL_NEUTRAL{suffix}"
    if suffix == ".pkl":
        path.write_bytes(pickle.dumps({"v_template": Attack(witness)}, protocol=2))
    else:
        np.savez(path, v_template=np.array([Attack(witness)], dtype=object))
    with pytest.raises(ValueError, match="SMPL_NEUTRAL"):
        load_body(path)
    assert not witness.exists()


def test_a_truncated_npz_says_so(tmp_path: Path) -> None:
    whole = Path(load_body("open").path).read_bytes()
    path = tmp_path / "body.npz"
    for length in (1000, len(whole) // 2, len(whole) - 10):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"body.npz is truncated or damaged .*fetch it again"):
            load_body(path)
