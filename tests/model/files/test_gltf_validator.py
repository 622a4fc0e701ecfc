"""GLB files through the Khronos validator, where it is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hierprob3d.model.files.mesh_files import mesh_bytes
from hierprob3d.model.files.skinned_glb import Motion, SkinnedMesh, skinned_glb_bytes

PACKAGE = os.environ.get("HIERPROB3D_GLTF_VALIDATOR", "gltf-validator")
SCRIPT = """
const validator = require(process.argv[1]), fs = require("fs");
Promise.all(process.argv.slice(2).map(path =>
    validator.validateBytes(new Uint8Array(fs.readFileSync(path)))
)).then(reports => console.log(JSON.stringify(reports.map(report => report.issues))));
"""
VERTICES = np.array([[0.0, 0.5, 0.0], [0.25, -0.25, 0.125], [-0.25, -0.25, 0.125], [0, -0.25, -1]])
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
NORMALS = VERTICES / np.linalg.norm(VERTICES, axis=1, keepdims=True)


def issues(*paths: Path) -> list[dict]:
    """What the validator says of each file."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node to run the Khronos glTF validator")
    words = [node, "-e", SCRIPT, PACKAGE, *map(str, paths)]
    result = subprocess.run(words, capture_output=True, text=True)
    if "Cannot find module" in result.stderr:
        pytest.skip(
            "npm package gltf-validator not found; set HIERPROB3D_GLTF_VALIDATOR to its folder"
        )
    return list(json.loads(result.stdout))


def test_neither_errors_nor_warnings_nor_hints(tmp_path: Path) -> None:
    still, moving = tmp_path / "still.glb", tmp_path / "moving.glb"
    still.write_bytes(mesh_bytes("glb", VERTICES, FACES, NORMALS))
    weights = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [0.3, 0.7]])
    joints = np.array([[0.0, 0.0, 0.0], [0.0, -0.2, 0.0]])
    mesh = SkinnedMesh(VERTICES, NORMALS, FACES, weights, joints, (-1, 0), ("hip", "knee"))
    quats = np.array([[[1.0, 0, 0, 0], [0.6, 0.8, 0, 0]], [[0.8, 0, 0.6, 0], [1, 0, 0, 0]]])
    motion = Motion(np.array([0.0, 0.04]), quats, np.zeros((2, 3)))
    moving.write_bytes(skinned_glb_bytes(mesh, motion, "Jürgen"))
    for found in issues(still, moving):
        kinds = ("numErrors", "numWarnings", "numInfos", "numHints")
        assert [found[kind] for kind in kinds] == [0, 0, 0, 0], found["messages"]
