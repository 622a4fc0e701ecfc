"""Half-edge quadric collapse of one half of a symmetric mesh."""

from __future__ import annotations

import heapq

import numpy as np

_HEAD = 15
_LEAST_TURN_COSINE = 0.5
_LEAST_ROUNDNESS = 0.08
_MOST_NEIGHBOURS = 12
_EDGE_PENALTY = 2e-3
_MIRROR_X = np.diag([-1.0, 1.0, 1.0, 1.0])


class HalfMesh:
    """The x >= 0 half of a mesh, which loses vertices one by one, cheapest first.

    Kept vertices are original ones, so that everything known per vertex carries over. Locked
    vertices stay; the midline collapses along itself, so that the mirrored whole stays closed.

    Args:
        vertices: (M, 3).
        faces: (F, 3) vertex numbers.
        corner_uvs: (F, 3) texture coordinate of each corner.
        uvs: (T, 2).
        weights: (M, 24) skinning weights: where the skin bends, and on the head, more is kept.
        locked: vertices that stay.
    """

    def __init__(
        self,
        vertices: np.ndarray,
        faces: np.ndarray,
        corner_uvs: np.ndarray,
        uvs: np.ndarray,
        weights: np.ndarray,
        locked: set[int],
    ) -> None:
        self.vertices, self.uvs, self.locked = vertices, uvs, locked
        self.faces = [list(map(int, face)) for face in faces]
        self.corner_uvs = [list(map(int, corners)) for corners in corner_uvs]
        self.on_midline = np.abs(vertices[:, 0]) < 1e-9
        self.softness = 1 + 4 * (1 - weights.max(1)) + 5 * weights[:, _HEAD]
        self.faces_of: dict[int, set[int]] = {}
        for i, face in enumerate(self.faces):
            for vertex in face:
                self.faces_of.setdefault(vertex, set()).add(i)
        self.quadrics = {vertex: np.zeros((4, 4)) for vertex in self.faces_of}
        self.areas = dict.fromkeys(self.faces_of, 0.0)
        self._sum_quadrics()
        self.version = dict.fromkeys(self.faces_of, 0)
        self.queue: list[tuple[float, int, int, int, int]] = []

    def decimate(self, num_vertices: int) -> tuple[np.ndarray, np.ndarray]:
        """Faces and corner texture coordinates once the mirrored whole has that many vertices.

        Raises:
            ValueError: no more vertices can be removed without harm to the mesh.
        """
        count = sum(1 if self.on_midline[vertex] else 2 for vertex in self.faces_of)
        offered = count + 1
        while count > num_vertices:
            if not self.queue:  # what was refused may be allowed by now
                if offered == count:
                    raise ValueError(f"no mesh of {num_vertices} vertices: {count} are needed")
                self._enqueue_all()
                offered = count
            _, lost, kept, lost_version, kept_version = heapq.heappop(self.queue)
            if lost not in self.faces_of or kept not in self.faces_of:
                continue
            if (self.version[lost], self.version[kept]) != (lost_version, kept_version):
                continue
            if count - num_vertices == 1 and not self.on_midline[lost]:
                continue
            if self._collapse(lost, kept):
                count -= 1 if self.on_midline[lost] else 2
        left = sorted({i for faces in self.faces_of.values() for i in faces})
        return np.array([self.faces[i] for i in left]), np.array([self.corner_uvs[i] for i in left])

    def _enqueue_all(self) -> None:
        for vertex in self.faces_of:
            for neighbour in self._neighbours(vertex):
                self._enqueue(vertex, neighbour)

    def _sum_quadrics(self) -> None:
        """Area-weighted squared distances to the planes around each vertex and its mirror image."""
        for face in self.faces:
            normal = self._normal(face)
            area = float(np.linalg.norm(normal)) / 2
            plane = np.append(normal, -normal @ self.vertices[face[0]]) / (2 * area)
            for vertex in face:
                self.quadrics[vertex] += area * np.outer(plane, plane)
                self.areas[vertex] += area
        for vertex, quadric in self.quadrics.items():
            if self.on_midline[vertex]:
                self.quadrics[vertex] = quadric + _MIRROR_X @ quadric @ _MIRROR_X

    def _neighbours(self, vertex: int) -> set[int]:
        return {other for i in self.faces_of[vertex] for other in self.faces[i]} - {vertex}

    def _enqueue(self, lost: int, kept: int) -> None:
        """Offers the collapse of one vertex into another, if it is allowed at all."""
        if lost in self.locked or self.on_midline[lost] != self.on_midline[kept]:
            return
        place = np.append(self.vertices[kept], 1)
        distance = ((self.vertices[lost] - self.vertices[kept]) ** 2).sum()
        error = place @ (self.quadrics[lost] + self.quadrics[kept]) @ place
        cost = (error + _EDGE_PENALTY * self.areas[lost] * distance) * self.softness[lost]
        entry = (cost, lost, kept, self.version[lost], self.version[kept])
        heapq.heappush(self.queue, entry)

    def _collapse(self, lost: int, kept: int) -> bool:
        """Moves `lost` into `kept` unless that folds, thins or tears the mesh; says whether."""
        gone = [i for i in self.faces_of[lost] if kept in self.faces[i]]
        around, beyond = self._neighbours(lost), self._neighbours(kept)
        if len(around & beyond) != len(gone) or len(around | beyond) > _MOST_NEIGHBOURS:
            return False
        if len(gone) != (1 if self.on_midline[lost] else 2):
            return False
        kept_uv = self.corner_uvs[gone[0]][self.faces[gone[0]].index(kept)]
        if not all(self._may_move(i, lost, kept, kept_uv) for i in self.faces_of[lost] - set(gone)):
            return False
        for i in gone:
            for vertex in self.faces[i]:
                self.faces_of[vertex].discard(i)
        for i in self.faces_of.pop(lost):
            corner = self.faces[i].index(lost)
            self.faces[i][corner], self.corner_uvs[i][corner] = kept, kept_uv
            self.faces_of[kept].add(i)
        self.quadrics[kept] = self.quadrics[kept] + self.quadrics[lost]
        self.areas[kept] += self.areas[lost]
        self.version[kept] += 1
        for neighbour in self._neighbours(kept):
            self._enqueue(kept, neighbour)
            self._enqueue(neighbour, kept)
        return True

    def _may_move(self, i: int, lost: int, kept: int, kept_uv: int) -> bool:
        """Whether face i stays unflipped, in space and in texture, and not too thin."""
        face, uvs, corner = self.faces[i], self.corner_uvs[i], self.faces[i].index(lost)
        new_face = [*face[:corner], kept, *face[corner + 1 :]]
        new_uvs = [*uvs[:corner], kept_uv, *uvs[corner + 1 :]]
        old_normal, normal = self._normal(face), self._normal(new_face)
        lengths = np.linalg.norm(old_normal) * np.linalg.norm(normal)
        if old_normal @ normal <= _LEAST_TURN_COSINE * lengths:
            return False
        if self._roundness(new_face) <= min(_LEAST_ROUNDNESS, 0.9 * self._roundness(face)):
            return False
        return self._signed_uv_area(new_uvs) * self._signed_uv_area(uvs) > 0

    def _normal(self, face: list[int]) -> np.ndarray:
        a, b, c = self.vertices[face]
        return np.cross(b - a, c - a)

    def _roundness(self, face: list[int]) -> float:
        """Twice the area over the sum of squared sides."""
        corners = self.vertices[face]
        sides = ((corners - np.roll(corners, 1, axis=0)) ** 2).sum()
        return float(np.linalg.norm(self._normal(face)) / sides)

    def _signed_uv_area(self, uvs: list[int]) -> float:
        return float(np.linalg.det(self.uvs[uvs[1:]] - self.uvs[uvs[0]]))
