from __future__ import annotations

import io

import numpy as np
import pytest
import trimesh

from hierprob3d.model.files.mesh_files import mesh_bytes
from tests.glb_reader import Glb

VERTICES = np.array([[0.0, 0.5, 0.0], [0.25, -0.25, 0.125], [-0.25, -0.25, 0.125], [0, -0.25, -1]])
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
NORMALS = VERTICES / np.linalg.norm(VERTICES, axis=1, keepdims=True)


def test_obj_is_plain_text_that_counts_from_one() -> None:
    lines = mesh_bytes("obj", VERTICES, FACES, NORMALS).decode("ascii").split("\n")
    rows = [line for line in lines if line]
    assert rows[0] == "v 0.000000 0.500000 0.000000"
    assert rows[4] == "f 1 3 2"
    assert len(rows) == 8


def test_ply_holds_the_mesh_in_float32() -> None:
    header, body = mesh_bytes("ply", VERTICES, FACES, NORMALS).split(b"end_header\n")
    assert header.startswith(b"ply\nformat binary_little_endian 1.0\n")
    assert b"element vertex 4\n" in header and b"element face 4\n" in header
    vertices = np.frombuffer(body[:48], "<f4").reshape(4, 3)
    np.testing.assert_array_equal(vertices, VERTICES.astype(np.float32))


@pytest.mark.parametrize("kind", ["obj", "ply", "glb"])
def test_the_mesh_is_read_back_as_it_was(kind: str) -> None:
    data = mesh_bytes(kind, VERTICES, FACES, NORMALS)
    mesh = trimesh.load(io.BytesIO(data), file_type=kind, force="mesh", process=False)
    np.testing.assert_allclose(mesh.vertices, VERTICES, atol=1e-6)
    np.testing.assert_array_equal(mesh.faces, FACES)
    assert mesh.volume > 0, "faces must turn outwards"


def test_glb_has_normals_and_a_material() -> None:
    file = Glb(mesh_bytes("glb", VERTICES, FACES, NORMALS))
    (primitive,) = file.description["meshes"][0]["primitives"]
    np.testing.assert_allclose(file.array(primitive["attributes"]["NORMAL"]), NORMALS, atol=1e-6)
    material = file.description["materials"][primitive["material"]]["pbrMetallicRoughness"]
    assert material["metallicFactor"] == 0 and material["roughnessFactor"] == 0.8
