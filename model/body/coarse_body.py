"""A body of fewer vertices, for small pictures and viewers: some of the vertices, and all poses."""

from __future__ import annotations

import copy

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from .mesh_body import Body


def coarse_body(body: Body, num_vertices: int) -> Body:
    """The body with evenly spread vertices of its own and the faces between them.

    Shape and pose move them exactly as in the whole body. It has no regressors: no COCO and no
    Human3.6M joints.

    Args:
        body: In float32 on the CPU.
        num_vertices: Of the new body; as many as there are leaves it as it is.
    """
    if num_vertices >= body.num_vertices:
        return body
    vertices, faces = body.v_template.numpy(), body.faces.numpy()
    chosen = evenly_spread(vertices, num_vertices)
    coarse = copy.copy(body)
    coarse._buffers = dict(body._buffers)  # those of the whole body stay as they are
    places = torch.from_numpy(chosen)
    coarse.faces = torch.from_numpy(faces_between(vertices, faces, chosen))
    coarse.v_template = body.v_template[places]
    coarse.shapedirs = body.shapedirs.unflatten(1, (-1, 3))[:, places].flatten(1)
    coarse.posedirs = body.posedirs.unflatten(1, (3, -1))[:, :, places].flatten(1)
    coarse.sparse_posedirs = None
    coarse.weights = body.weights[:, places].contiguous()
    coarse.coco_regressor = coarse.h36m_regressor = None
    return coarse


def evenly_spread(vertices: NDArray[np.floating], num: int) -> NDArray[np.int64]:
    """Numbers (num,) of vertices (V, 3), each the farthest from all before it, ascending."""
    chosen = [int(vertices[:, 1].argmax())]
    distance = np.full(len(vertices), np.inf, vertices.dtype)
    for _ in range(num - 1):
        np.minimum(distance, np.square(vertices - vertices[chosen[-1]]).sum(1), out=distance)
        chosen.append(int(distance.argmax()))
    return np.sort(np.array(chosen))


def faces_between(
    vertices: NDArray[np.floating], faces: NDArray[np.int64], chosen: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Faces (F', 3) between the chosen vertices, counted among these.

    Every vertex goes to the chosen one that is nearest along the surface; wherever three of these
    regions meet in a face there is a face between their middles.

    Args:
        vertices: (V, 3).
        faces: (F, 3) of the whole mesh.
        chosen: Numbers of vertices, ascending.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import dijkstra

    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    lengths = np.linalg.norm(vertices[ends[:, 0]] - vertices[ends[:, 1]], axis=1)
    graph = csr_array((lengths, (ends[:, 0], ends[:, 1])), shape=(len(vertices),) * 2)
    _, _, nearest = dijkstra(
        graph, directed=False, indices=chosen, min_only=True, return_predecessors=True
    )
    corners = np.searchsorted(chosen, nearest[faces])
    a, b, c = corners.T
    corners = corners[(a != b) & (b != c) & (c != a)]
    _, first = np.unique(np.sort(corners, axis=1), axis=0, return_index=True)
    return corners[np.sort(first)].astype(np.int64)


def quantised(vertices: Float[Tensor, "... 3"], step_m: float) -> NDArray[np.int16]:
    """Places in whole steps, for files that must be small.

    Args:
        vertices: (..., 3) metres.
        step_m: Size of a step; places more than 32,767 steps from the origin are cut off there.
    """
    limit = np.iinfo(np.int16).max
    steps = (vertices / step_m).round().clamp(-limit, limit)
    return steps.numpy().astype(np.int16)
