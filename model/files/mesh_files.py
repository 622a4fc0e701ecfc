"""Triangle meshes as OBJ, PLY and GLB bytes, by trimesh.

Axes are those of the vertices: metres and y up, as OBJ readers expect and glTF demands.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

BODY_COLOUR = (0.72, 0.78, 0.90, 1.0)
"""Of the one plain material that bodies have."""

BODY_ROUGHNESS = 0.8
VERTICES_TARGET, INDICES_TARGET = 34962, 34963
"""What glTF calls arrays of vertices and of indices."""


def mesh_bytes(
    kind: str,
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    normals: NDArray[np.floating],
) -> bytes:
    """A mesh file.

    Args:
        kind: obj: text with six decimals; ply: binary, float32; glb: with a material and normals.
        vertices: (V, 3) metres, y up.
        faces: (F, 3) vertex indices from 0, counter-clockwise seen from outside.
        normals: (V, 3) unit normals, for smooth shading (viewers shade flat without them).
    """
    material = PBRMaterial(
        name="body", baseColorFactor=BODY_COLOUR, metallicFactor=0.0,
        roughnessFactor=BODY_ROUGHNESS,
    )  # fmt: skip
    mesh = trimesh.Trimesh(
        vertices, faces, vertex_normals=normals, visual=TextureVisuals(material=material),
        process=False,
    )  # fmt: skip
    content = mesh.export(file_type=kind, **_DETAILS[kind])
    return content.encode("ascii") if isinstance(content, str) else bytes(content)


def _name_targets(tree: dict[str, Any]) -> None:
    """Says of every array what it is for, as validators like it and trimesh does not."""
    for mesh in tree["meshes"]:
        for primitive in mesh["primitives"]:
            for accessor in primitive["attributes"].values():
                _view(tree, accessor)["target"] = VERTICES_TARGET
            _view(tree, primitive["indices"])["target"] = INDICES_TARGET


def _view(tree: dict[str, Any], accessor: int) -> dict[str, Any]:
    view: dict[str, Any] = tree["bufferViews"][tree["accessors"][accessor]["bufferView"]]
    return view


_DETAILS: dict[str, dict[str, Any]] = {
    "obj": {"digits": 6, "header": None, "include_normals": False, "include_texture": False,
            "include_color": False},
    "ply": {"vertex_normal": False},
    "glb": {"include_normals": True, "tree_postprocessor": _name_targets},
}  # fmt: skip
