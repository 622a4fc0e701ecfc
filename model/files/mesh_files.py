"""Triangle meshes as OBJ, PLY and GLB bytes, written by hand.

All three formats are frozen and small enough to be written in a few lines, so that meshes can be
had without another package to install; tests read the results back with trimesh where it is
installed.  Axes are those of the vertices: metres and y up, as OBJ readers expect and glTF demands.
"""

from __future__ import annotations

import io
import json
import struct

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]

_GLTF_FLOAT, _GLTF_UINT32 = 5126, 5125
_GLTF_ARRAY_BUFFER, _GLTF_INDEX_BUFFER = 34962, 34963
_GLB_JSON, _GLB_BINARY = b"JSON", b"BIN\x00"
_MATERIAL = {
    "pbrMetallicRoughness": {
        "baseColorFactor": [0.72, 0.78, 0.90, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.8,
    },
}  # fmt: skip


def obj_bytes(vertices: Floats, faces: Integers) -> bytes:
    """Wavefront OBJ text, micrometre precision; faces count from 1.

    Args:
        vertices: (V, 3) metres.
        faces: (F, 3) vertex indices from 0.
    """
    text = io.BytesIO()
    np.savetxt(text, vertices, fmt="v %.6f %.6f %.6f")
    np.savetxt(text, np.asarray(faces) + 1, fmt="f %d %d %d")
    return text.getvalue()


def ply_bytes(vertices: Floats, faces: Integers) -> bytes:
    """Binary little-endian PLY, float32.

    Args:
        vertices: (V, 3) metres.
        faces: (F, 3) vertex indices from 0.
    """
    header = (
        "ply\nformat binary_little_endian 1.0\n"
        f"element vertex {len(vertices)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        f"element face {len(faces)}\n"
        "property list uchar int vertex_indices\nend_header\n"
    )
    records = np.empty(len(faces), dtype=[("count", "u1"), ("corners", "<i4", 3)])
    records["count"] = 3
    records["corners"] = faces
    return header.encode("ascii") + np.asarray(vertices, "<f4").tobytes() + records.tobytes()


def glb_bytes(vertices: Floats, faces: Integers, normals: Floats) -> bytes:
    """Binary glTF 2.0 with one mesh of one plain material.

    Args:
        vertices: (V, 3) metres, y up.
        faces: (F, 3) vertex indices from 0, counter-clockwise seen from outside.
        normals: (V, 3) unit normals, for smooth shading (viewers shade flat without them).
    """
    points = np.ascontiguousarray(vertices, "<f4")
    arrays = [points, np.ascontiguousarray(normals, "<f4"), np.ascontiguousarray(faces, "<u4")]
    binary = b"".join(array.tobytes() for array in arrays)  # all multiples of 4 bytes, as demanded
    description = {
        "asset": {"version": "2.0", "generator": "HierProb3D"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "materials": [_MATERIAL],
        "meshes": [{"primitives": [
            {"attributes": {"POSITION": 0, "NORMAL": 1}, "indices": 2, "material": 0}
        ]}],
        "accessors": [
            {
                **_accessor(0, _GLTF_FLOAT, len(points), "VEC3"),
                "min": points.min(0).tolist(), "max": points.max(0).tolist(),
            },
            _accessor(1, _GLTF_FLOAT, len(points), "VEC3"),
            _accessor(2, _GLTF_UINT32, arrays[2].size, "SCALAR"),
        ],
        "bufferViews": _buffer_views(arrays),
        "buffers": [{"byteLength": len(binary)}],
    }  # fmt: skip
    text = json.dumps(description).encode("ascii")
    chunks = _chunk(_GLB_JSON, text, b" ") + _chunk(_GLB_BINARY, binary, b"\x00")
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _accessor(view: int, component: int, count: int, kind: str) -> dict[str, object]:
    return {"bufferView": view, "componentType": component, "count": count, "type": kind}


def _buffer_views(arrays: list[NDArray[np.generic]]) -> list[dict[str, int]]:
    """Where each array lies in the binary chunk; the last one holds the indices."""
    sizes = [array.nbytes for array in arrays]
    targets = [_GLTF_ARRAY_BUFFER] * (len(arrays) - 1) + [_GLTF_INDEX_BUFFER]
    return [
        {"buffer": 0, "byteOffset": sum(sizes[:index]), "byteLength": size, "target": target}
        for index, (size, target) in enumerate(zip(sizes, targets, strict=True))
    ]


def _chunk(kind: bytes, content: bytes, padding: bytes) -> bytes:
    """One GLB chunk, padded to a multiple of 4 bytes."""
    content += padding * (-len(content) % 4)
    return struct.pack("<I4s", len(content), kind) + content
