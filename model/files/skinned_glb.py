"""A body that moves, as binary glTF 2.0: a mesh with a skeleton, and its rotations over time.

Written by hand, as no library at hand writes skins. What readers see is linear blend skinning of
the T-pose with the four largest weights of each vertex, as viewers support no more; the body
model's pose blend shapes, bulges of some millimetres at bent joints, have no place in it.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .mesh_files import BODY_COLOUR, BODY_ROUGHNESS, INDICES_TARGET, VERTICES_TARGET

Floats = NDArray[np.floating]

_WEIGHTS_PER_VERTEX = 4
_COMPONENTS = {"u1": 5121, "<u4": 5125, "<f4": 5126}
_MATERIAL = {
    "name": "body",
    "pbrMetallicRoughness": {
        "baseColorFactor": BODY_COLOUR, "metallicFactor": 0.0, "roughnessFactor": BODY_ROUGHNESS,
    },
}  # fmt: skip


@dataclass(frozen=True)
class SkinnedMesh:
    """A body in T-pose that can be posed."""

    vertices: Floats
    """(V, 3) metres, y up."""
    normals: Floats
    """(V, 3) unit normals."""
    faces: NDArray[np.integer]
    """(F, 3) vertex indices from 0, counter-clockwise seen from outside."""
    weights: Floats
    """(V, J) skinning weights, each row with sum 1."""
    joints: Floats
    """(J, 3) metres."""
    parents: tuple[int, ...]
    """Parent of each joint, -1 for the first one."""
    names: tuple[str, ...]
    """Of the joints."""


@dataclass(frozen=True)
class Motion:
    """How it moves."""

    times: Floats
    """(T,) s, from 0."""
    quats: Floats
    """(T, J, 4) rotation of each joint relative to its parent, real part first."""
    places: Floats
    """(T, 3) of the first joint, metres."""


def skinned_glb_bytes(mesh: SkinnedMesh, motion: Motion, name: str) -> bytes:
    """The file: the mesh, one node per joint, and one animation.

    Args:
        mesh: the body.
        motion: its animation.
        name: of the body and of the animation.
    """
    arrays = _Arrays()
    primitive = {
        "attributes": _attributes(mesh, arrays),
        "indices": arrays.add(mesh.faces.reshape(-1), "<u4", "SCALAR", target=INDICES_TARGET),
        "material": 0,
    }
    inverse_binds = np.tile(np.eye(4), (len(mesh.joints), 1, 1))
    inverse_binds[:, 3, :3] = -mesh.joints  # column-major, as all matrices of glTF
    skin = {
        "inverseBindMatrices": arrays.add(inverse_binds.reshape(-1, 16), "<f4", "MAT4"),
        "joints": [joint + 1 for joint in range(len(mesh.joints))],
        "skeleton": 1,
    }
    description = {
        "asset": {"version": "2.0", "generator": "HierProb3D"},
        "scene": 0,
        "scenes": [{"nodes": [0, 1]}],
        "nodes": [{"name": name, "mesh": 0, "skin": 0}, *_joint_nodes(mesh, motion)],
        "materials": [_MATERIAL],
        "meshes": [{"name": name, "primitives": [primitive]}],
        "skins": [skin],
        "animations": [{"name": name, **_animation(motion, arrays)}],
        **arrays.description(),
    }
    return _container(description, arrays.content())


def _attributes(mesh: SkinnedMesh, arrays: _Arrays) -> dict[str, int]:
    missing = max(0, _WEIGHTS_PER_VERTEX - mesh.weights.shape[1])
    weights = np.pad(mesh.weights, ((0, 0), (0, missing)))
    strongest = np.argsort(-weights, axis=1, kind="stable")[:, :_WEIGHTS_PER_VERTEX]
    weights = np.take_along_axis(weights, strongest, axis=1)
    weights = weights / weights.sum(1, keepdims=True)
    joints = np.where(weights > 0, strongest, 0)  # unused ones are joint 0, as the format wants
    columns = {
        "POSITION": (mesh.vertices, "<f4", "VEC3"), "NORMAL": (mesh.normals, "<f4", "VEC3"),
        "JOINTS_0": (joints, "u1", "VEC4"), "WEIGHTS_0": (weights, "<f4", "VEC4"),
    }  # fmt: skip
    return {
        name: arrays.add(*column, with_range=name == "POSITION", target=VERTICES_TARGET)
        for name, column in columns.items()
    }


def _joint_nodes(mesh: SkinnedMesh, motion: Motion) -> list[dict[str, Any]]:
    """Nodes of the joints as they are in the first frame; joint 0 is node 1."""
    nodes = []
    first = _last_is_real(motion.quats)[0]
    for joint, parent in enumerate(mesh.parents):
        place = motion.places[0] if parent < 0 else mesh.joints[joint] - mesh.joints[parent]
        children = [c + 1 for c, above in enumerate(mesh.parents) if above == joint]
        nodes.append(
            {
                "name": mesh.names[joint],
                "translation": place.tolist(),
                "rotation": first[joint].tolist(),
                **({"children": children} if children else {}),
            }
        )
    return nodes


def _animation(motion: Motion, arrays: _Arrays) -> dict[str, Any]:
    """Rotations of all joints and places of the first one."""
    times = arrays.add(motion.times, "<f4", "SCALAR", with_range=True)
    quats = _last_is_real(motion.quats)
    outputs = [(1, "translation", arrays.add(motion.places, "<f4", "VEC3"))]
    outputs += [
        (joint + 1, "rotation", arrays.add(quats[:, joint], "<f4", "VEC4"))
        for joint in range(quats.shape[1])
    ]
    return {
        "samplers": [
            {"input": times, "output": output, "interpolation": "LINEAR"}
            for _, _, output in outputs
        ],
        "channels": [
            {"sampler": sampler, "target": {"node": node, "path": path}}
            for sampler, (node, path, _) in enumerate(outputs)
        ],
    }


def _last_is_real(quats: Floats) -> Floats:
    """Unit quaternions as glTF has them, in float32, none far from the one before."""
    quats = np.asarray(quats, np.float64)
    flips = (quats[1:] * quats[:-1]).sum(-1) < 0
    signs = 1 - 2 * (np.cumsum(flips, axis=0) % 2)
    quats = np.concatenate([quats[:1], quats[1:] * signs[..., None]])
    quats = quats / np.linalg.norm(quats, axis=-1, keepdims=True)
    return np.roll(quats, -1, axis=-1)


class _Arrays:
    """The binary chunk: arrays one after another, each with a view and an accessor."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._views: list[dict[str, Any]] = []
        self._accessors: list[dict[str, Any]] = []
        self._size = 0

    def add(
        self,
        values: NDArray[Any],
        kind: str,
        shape: str,
        *,
        with_range: bool = False,
        target: int | None = None,
    ) -> int:
        """Number of the accessor of an array (N,) or (N, C)."""
        array = np.ascontiguousarray(values, kind)
        view = {"buffer": 0, "byteOffset": self._size, "byteLength": array.nbytes}
        accessor = {
            "bufferView": len(self._views), "componentType": _COMPONENTS[kind],
            "count": len(array), "type": shape,
        }  # fmt: skip
        if with_range:
            columns = array.reshape(len(array), -1)
            accessor |= {"min": columns.min(0).tolist(), "max": columns.max(0).tolist()}
        self._views.append(view if target is None else {**view, "target": target})
        self._accessors.append(accessor)
        padded = array.tobytes() + b"\0" * (-array.nbytes % 4)
        self._pieces.append(padded)
        self._size += len(padded)
        return len(self._accessors) - 1

    def description(self) -> dict[str, Any]:
        return {
            "accessors": self._accessors,
            "bufferViews": self._views,
            "buffers": [{"byteLength": self._size}],
        }

    def content(self) -> bytes:
        return b"".join(self._pieces)


def _container(description: dict[str, Any], binary: bytes) -> bytes:
    text = json.dumps(description, ensure_ascii=False).encode()
    chunks = _chunk(b"JSON", text, b" ") + _chunk(b"BIN\x00", binary, b"\0")
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _chunk(kind: bytes, content: bytes, padding: bytes) -> bytes:
    """A chunk of a multiple of 4 bytes."""
    content += padding * (-len(content) % 4)
    return struct.pack("<I4s", len(content), kind) + content
