"""MakeHuman's skin as one closed, symmetric, decimated triangle mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from hierprob3d.model.body.skeleton import SMPL_JOINT_NAMES
from tools.build_openbody.decimation import HalfMesh
from tools.build_openbody.makehuman import MakeHuman

_FIRST_HELPER = 13380
"""MakeHuman's vertices from here on are eyes, tongue, clothes helpers and joint cubes."""

_FINGERS = ("finger1-3.L", "finger2-3.L", "finger3-3.L", "finger4-3.L", "finger5-3.L")
_TOES = ("toe1-2.L", "toe5-3.L")
_MIDLINE = 1e-9


@dataclass(frozen=True)
class Skin:
    """The mesh of the body model."""

    ids: np.ndarray
    """(V,) MakeHuman's number of each vertex."""
    faces: np.ndarray
    """(F, 3)."""
    uvs: np.ndarray
    """(T, 2) texture coordinates."""
    uv_faces: np.ndarray
    """(F, 3) texture coordinate of each corner."""
    mirror: np.ndarray
    """(V,) vertex that each vertex becomes in the mirror image."""
    nose: int
    """The foremost vertex of the head's midline."""


def make_skin(data: MakeHuman, weights: np.ndarray, num_vertices: int) -> Skin:
    """The outer skin with that many vertices: eyes, tongue and cavities removed, holes filled.

    Args:
        data: MakeHuman's arrays.
        weights: (M, 24) skinning weights of its vertices.
        num_vertices: wanted count, even.

    Returns:
        Skin, closed and symmetric.
    """
    quads, quad_uvs = _outer_quads(data)
    ids = np.unique(quads)
    mirror = np.full(len(data.vertices), -1)
    twins = cKDTree(data.vertices[ids]).query(data.vertices[ids] * [-1, 1, 1])[1]
    mirror[ids] = ids[twins]
    faces, corner_uvs, uv_mirror = _left_half(data.vertices, quads, quad_uvs, mirror)
    nose, landmarks = _landmarks(data, weights, ids)
    half = HalfMesh(
        data.vertices, faces, corner_uvs, data.uvs, weights,
        _seam_vertices(faces, corner_uvs) | landmarks,
    )  # fmt: skip
    faces, corner_uvs = half.decimate(num_vertices)
    faces = np.concatenate([faces, mirror[faces][:, ::-1]])
    mirrored_uvs = np.vectorize(uv_mirror.get)(corner_uvs)[:, ::-1]
    corner_uvs = np.concatenate([corner_uvs, mirrored_uvs])
    ids = np.unique(faces)
    number = np.full(len(data.vertices), -1)
    number[ids] = np.arange(len(ids))
    used, uv_faces = np.unique(corner_uvs, return_inverse=True)
    return Skin(
        ids=ids,
        faces=number[faces],
        uvs=data.uvs[used],
        uv_faces=uv_faces.reshape(corner_uvs.shape),
        mirror=number[mirror[ids]],
        nose=int(number[nose]),
    )


def _outer_quads(data: MakeHuman) -> tuple[np.ndarray, np.ndarray]:
    """Quads of the visible skin, and their texture coordinates."""
    skin = np.zeros(len(data.vertices), bool)
    skin[np.unique(data.quads[(data.quads < _FIRST_HELPER).all(1)])] = True
    inner = np.zeros(len(data.vertices), bool)
    inner[data.cavity] = True
    keep = skin[data.quads].all(1) & ~inner[data.quads].any(1)
    return data.quads[keep], data.quad_uvs[keep]


def _left_half(
    vertices: np.ndarray, quads: np.ndarray, quad_uvs: np.ndarray, mirror: np.ndarray
) -> tuple[np.ndarray, np.ndarray, dict[int, int]]:
    """Triangles of the x >= 0 half with mouth and eye holes filled.

    Returns:
        Faces (F, 3), their texture corners (F, 3), and the texture coordinate across the mirror of
        each one.
    """
    left = (vertices[quads][:, :, 0] > -_MIDLINE).all(1)
    if ((vertices[quads][:, :, 0] < _MIDLINE).all(1) == left).any():
        raise ValueError("A quad of the mesh crosses the midline.")
    other_half = {
        tuple(sorted(quad)): dict(zip(quad, uvs, strict=True))
        for quad, uvs in zip(quads[~left].tolist(), quad_uvs[~left].tolist(), strict=True)
    }
    faces: list[list[int]] = []
    corners: list[list[int]] = []
    uv_mirror: dict[int, int] = {}
    any_corner: dict[int, int] = {}
    for quad, uvs in zip(quads[left].tolist(), quad_uvs[left].tolist(), strict=True):
        for triangle in _split_quad(vertices[quad]):
            faces.append([quad[i] for i in triangle])
            corners.append([uvs[i] for i in triangle])
        twin = other_half[tuple(sorted(mirror[quad].tolist()))]
        for vertex, uv in zip(quad, uvs, strict=True):
            uv_mirror.setdefault(uv, twin[int(mirror[vertex])])
            any_corner.setdefault(vertex, uv)
    for loop in _holes(faces, vertices):
        for filling in _fill(loop, vertices):
            faces.append(list(filling))
            corners.append([any_corner[i] for i in filling])
    return np.array(faces), np.array(corners), uv_mirror


def _split_quad(corners: np.ndarray) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """The two triangles of a quad (4, 3), cut along its shorter diagonal."""
    diagonals = np.linalg.norm(corners[[0, 1]] - corners[[2, 3]], axis=1)
    i = 0 if diagonals[0] <= diagonals[1] else 1
    return (i, i + 1, i + 2), (i, i + 2, (i + 3) % 4)


def _holes(faces: list[list[int]], vertices: np.ndarray) -> list[list[int]]:
    """Borders of the half mesh other than the midline: closed loops, and chains that end on it."""
    edges = {(face[i], face[(i + 1) % 3]) for face in faces for i in range(3)}
    following = {
        b: a
        for a, b in edges
        if (b, a) not in edges and max(vertices[a, 0], vertices[b, 0]) > _MIDLINE
    }
    loops = []
    while following:
        ends = set(following.values())
        start = next((a for a in following if a not in ends), next(iter(following)))
        loop = [start]
        while loop[-1] in following:
            after = following.pop(loop[-1])
            if after == start:
                break
            loop.append(after)
        loops.append(loop)
    return loops


def _fill(loop: list[int], vertices: np.ndarray) -> list[tuple[int, ...]]:
    """Triangles of a closed polygon, shortest diagonal first."""
    loop, triangles = list(loop), []
    while len(loop) > 3:
        corners = vertices[loop]
        spans = np.linalg.norm(np.roll(corners, 1, 0) - np.roll(corners, -1, 0), axis=1)
        i = int(spans.argmin())
        triangles.append((loop[i - 1], loop[i], loop[(i + 1) % len(loop)]))
        loop.pop(i)
    return [*triangles, tuple(loop)]


def _seam_vertices(faces: np.ndarray, corner_uvs: np.ndarray) -> set[int]:
    """Vertices with more than one texture coordinate."""
    corners: dict[int, set[int]] = {}
    for vertex, uv in zip(faces.ravel().tolist(), corner_uvs.ravel().tolist(), strict=True):
        corners.setdefault(vertex, set()).add(uv)
    return {vertex for vertex, uvs in corners.items() if len(uvs) > 1}


def _landmarks(data: MakeHuman, weights: np.ndarray, ids: np.ndarray) -> tuple[int, set[int]]:
    """The nose, and all vertices of nose, left eye, ear, heel, toes and finger tips.

    They stay through the decimation, so that these ends keep their place.
    """
    vertices = data.vertices[ids]
    head = weights[ids, SMPL_JOINT_NAMES.index("head")] > 0.9
    ends = [SMPL_JOINT_NAMES.index(name) for name in ("left_ankle", "left_foot")]
    foot = weights[ids][:, ends].sum(1) > 0.9
    left = vertices[:, 0] > _MIDLINE

    def nearest(point: np.ndarray, among: np.ndarray) -> int:
        distance = np.linalg.norm(vertices - point, axis=1)
        return int(ids[np.where(among, distance, np.inf).argmin()])

    def extreme(score: np.ndarray, among: np.ndarray) -> int:
        return int(ids[np.where(among, score, -np.inf).argmax()])

    nose = extreme(vertices[:, 2], head & (np.abs(vertices[:, 0]) < _MIDLINE))
    eye = nearest(data.heads[data.bone("eye.L")] + [0, 0.004, 0.03], head & left)
    ear = extreme(vertices[:, 0], head)
    heel = extreme(-vertices[:, 2] - vertices[:, 1], foot & left)
    anywhere = np.ones(len(ids), bool)
    tips = {nearest(data.tails[data.bone(bone)], anywhere) for bone in (*_FINGERS, *_TOES)}
    return nose, {nose, eye, ear, heel, *tips}
