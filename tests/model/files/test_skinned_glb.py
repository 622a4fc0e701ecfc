from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.body.skeleton import PARENTS, SMPL_JOINT_NAMES
from hierprob3d.model.files.skinned_glb import Motion, SkinnedMesh, skinned_glb_bytes
from hierprob3d.model.rotation.rotations import (
    rotmat_to_unitquat,
    rotvec_to_rotmat,
    unitquat_to_rotmat,
)
from tests.glb_reader import Glb


def example(body: Body) -> tuple[SkinnedMesh, Motion, torch.Tensor]:
    """A body of its own shape in three poses, and their rotations (3, 24, 3, 3)."""
    torch.manual_seed(0)
    shaped = body.shape(torch.randn(1, 10))
    rotmats = rotvec_to_rotmat(0.4 * torch.randn(3, 24, 3))
    quats = rotmat_to_unitquat(rotmats).numpy() * np.array([1, -1, 1])[:, None, None]
    joints = shaped.joints[0].numpy()
    mesh = SkinnedMesh(
        shaped.vertices[0].numpy(), np.tile([0.0, 1.0, 0.0], (body.num_vertices, 1)),
        body.faces.numpy(), body.weights.T.numpy(), joints, PARENTS, SMPL_JOINT_NAMES,
    )  # fmt: skip
    places = np.array([[0.0, 0, 0], [0.1, 0, 0], [0.1, 0, 0.2]]) + joints[0]
    return mesh, Motion(np.arange(3) / 25, quats, places), rotmats


def played(file: Glb, frame: int) -> np.ndarray:
    """(24, 4, 4) transforms of the joints at a keyframe, as the specification plays it."""
    description = file.description
    local = {}
    for number, node in enumerate(description["nodes"][1:], 1):
        local[number] = dict(node)
    (animation,) = description["animations"]
    for channel in animation["channels"]:
        sampler = animation["samplers"][channel["sampler"]]
        value = file.array(sampler["output"])[frame]
        local[channel["target"]["node"]][channel["target"]["path"]] = value
    world = {0: np.eye(4)}

    def place(number: int, above: np.ndarray) -> None:
        node, matrix = local[number], np.eye(4)
        x, y, z, w = node["rotation"]
        matrix[:3, :3] = unitquat_to_rotmat(torch.tensor([w, x, y, z], dtype=torch.float64))
        matrix[:3, 3] = node["translation"]
        world[number] = above @ matrix
        for child in node.get("children", []):
            place(child, world[number])

    place(1, np.eye(4))
    return np.stack([world[number] for number in description["skins"][0]["joints"]])


def test_players_see_the_body_that_was_put_in(body: Body) -> None:
    mesh, motion, rotmats = example(body)
    file = Glb(skinned_glb_bytes(mesh, motion, "somebody"))
    (primitive,) = file.description["meshes"][0]["primitives"]
    attributes = {name: file.array(n) for name, n in primitive["attributes"].items()}
    np.testing.assert_array_equal(file.array(primitive["indices"]), mesh.faces.reshape(-1, 1))
    np.testing.assert_allclose(attributes["WEIGHTS_0"].sum(1), 1, atol=1e-6)
    inverse_binds = file.array(file.description["skins"][0]["inverseBindMatrices"])
    inverse_binds = inverse_binds.reshape(-1, 4, 4).swapaxes(1, 2)  # column-major
    torch.manual_seed(0)
    shaped = body.shape(torch.randn(1, 10))
    for frame in range(3):
        joints = played(file, frame)
        turned, places = rotmats[frame : frame + 1], motion.places[frame] - mesh.joints[0]
        vertices, expected = body.pose(shaped, turned[:, None, 1:], turned[:, 0])
        np.testing.assert_allclose(joints[:, :3, 3], expected[0, 0] + places, atol=1e-5)
        weights, chosen = attributes["WEIGHTS_0"], attributes["JOINTS_0"]
        transforms = (joints @ inverse_binds)[chosen] * weights[..., None, None]
        points = np.concatenate([mesh.vertices, np.ones((len(mesh.vertices), 1))], axis=1)
        skinned = np.einsum("vkij,vj->vi", transforms, points)[:, :3]
        distance = np.linalg.norm(skinned - vertices[0, 0].numpy() - places, axis=1)
        # Pose blend shapes and the fifth to ninth weights are what is left out.
        assert np.quantile(distance, 0.99) < 0.025 and distance.mean() < 0.004


def test_neighbouring_keys_are_never_the_long_way_round(body: Body) -> None:
    mesh, motion, _ = example(body)
    file = Glb(skinned_glb_bytes(mesh, motion, "somebody"))
    (animation,) = file.description["animations"]
    for channel in animation["channels"]:
        if channel["target"]["path"] == "rotation":
            quats = file.array(animation["samplers"][channel["sampler"]]["output"])
            assert ((quats[1:] * quats[:-1]).sum(1) >= 0).all()
    times = file.description["accessors"][animation["samplers"][0]["input"]]
    assert times["min"] == [0] and times["max"] == [np.float32(2 / 25)]


def python_with_blender() -> str:
    """A Python that has bpy, or a skip that says how to provide one."""
    other = os.environ.get("HIERPROB3D_BPY_PYTHON")
    if other is None and importlib.util.find_spec("bpy") is None:
        pytest.skip("no bpy (pip install bpy==4.5.*, Python 3.11); HIERPROB3D_BPY_PYTHON names "
                    "a Python that has it")  # fmt: skip
    return other or sys.executable


def test_blender_sees_the_motion_and_draws_it(body: Body, tmp_path: Path) -> None:
    python = python_with_blender()
    mesh, motion, rotmats = example(body)
    (tmp_path / "motion.glb").write_bytes(skinned_glb_bytes(mesh, motion, "somebody"))
    scene = Path(__file__).parents[2] / "blender_scene.py"
    words = [python, str(scene), "motion.glb", "25", str(tmp_path / "picture.png"), "0", "1", "2"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["frame_range"] == [0, 2] and found["vertices"] == body.num_vertices
    torch.manual_seed(0)
    shaped = body.shape(torch.randn(1, 10))
    for frame in range(3):
        _, joints = body.pose(shaped, rotmats[frame][None, None, 1:], rotmats[frame : frame + 1, 0])
        expected = joints[0, 0].numpy() + motion.places[frame] - mesh.joints[0]
        for bone, place in found["places"][str(frame)].items():
            x, y, z = expected[SMPL_JOINT_NAMES.index(bone)]
            np.testing.assert_allclose(place, (x, -z, y), atol=1e-4)  # Blender's z is up
    alpha = np.asarray(Image.open(tmp_path / "picture.png"))[..., 3] > 127
    rows, columns = np.nonzero(alpha)
    assert 0.05 < alpha.mean() < 0.5 and np.ptp(rows) > 60 and abs(columns.mean() - 60) < 20
