from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest

from hierprob3d.model.files.mesh_files import glb_bytes, obj_bytes, ply_bytes

VERTICES = np.array([[0.0, 0.5, 0.0], [0.25, -0.25, 0.125], [-0.25, -0.25, 0.125], [0, -0.25, -1]])
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
NORMALS = VERTICES / np.linalg.norm(VERTICES, axis=1, keepdims=True)


def test_obj_counts_from_one() -> None:
    lines = obj_bytes(VERTICES, FACES).decode("ascii").splitlines()
    assert lines[0] == "v 0.000000 0.500000 0.000000"
    assert lines[4] == "f 1 3 2"
    assert len(lines) == 8


def test_ply_holds_the_mesh() -> None:
    data = ply_bytes(VERTICES, FACES)
    header, body = data.split(b"end_header\n")
    assert header.startswith(b"ply\nformat binary_little_endian 1.0\n")
    assert b"element vertex 4\n" in header and b"element face 4\n" in header
    np.testing.assert_array_equal(
        np.frombuffer(body[:48], "<f4").reshape(4, 3), VERTICES.astype(np.float32)
    )
    assert struct.unpack("<B3i", body[48:61]) == (3, 0, 2, 1)
    assert len(body) == 48 + 4 * 13


def test_glb_keeps_the_rules_of_its_container() -> None:
    data = glb_bytes(VERTICES, FACES, NORMALS)
    magic, version, length = struct.unpack("<4sII", data[:12])
    assert (magic, version, length) == (b"glTF", 2, len(data))
    json_length, kind = struct.unpack("<I4s", data[12:20])
    assert kind == b"JSON" and json_length % 4 == 0
    description = json.loads(data[20 : 20 + json_length])
    binary_length, kind = struct.unpack("<I4s", data[20 + json_length : 28 + json_length])
    assert kind == b"BIN\x00" and 28 + json_length + binary_length == len(data)
    assert description["buffers"][0]["byteLength"] == 48 + 48 + 48
    assert description["accessors"][0]["min"] == [-0.25, -0.25, -1.0]
    assert description["accessors"][0]["max"] == [0.25, 0.5, 0.125]
    binary = data[28 + json_length :]
    indices = description["bufferViews"][2]["byteOffset"]
    np.testing.assert_array_equal(np.frombuffer(binary[indices:], "<u4"), FACES.ravel())


@pytest.mark.parametrize("kind", ["obj", "ply", "glb"])
def test_an_independent_reader_finds_the_same_mesh(kind: str) -> None:
    trimesh = pytest.importorskip("trimesh")
    data = {
        "obj": obj_bytes(VERTICES, FACES), "ply": ply_bytes(VERTICES, FACES),
        "glb": glb_bytes(VERTICES, FACES, NORMALS),
    }[kind]  # fmt: skip
    mesh = trimesh.load(io.BytesIO(data), file_type=kind, force="mesh", process=False)
    np.testing.assert_allclose(mesh.vertices, VERTICES, atol=1e-6)
    np.testing.assert_array_equal(mesh.faces, FACES)
    assert mesh.volume > 0, "faces must turn outwards"
