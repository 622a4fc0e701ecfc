"""Where on a texture each face of a body lies: DensePose's charts for SMPL, or a body's own UV."""

from __future__ import annotations

import copy
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.io import loadmat
from torch import Tensor

from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.files.file_errors import one_line_errors
from hierprob3d.model.files.npz_files import ArrayFileError, read_arrays

ATLAS_ROWS, ATLAS_COLUMNS = 6, 4
"""DensePose textures: one cell per part 1..24, down the first column, then down the next."""

_DENSEPOSE_KEYS = ("All_Faces", "All_FaceIndices", "All_vertices", "All_U_norm", "All_V_norm")


@dataclass(frozen=True)
class TextureMap:
    """Faces of a body and their corners on a texture.

    Attributes:
        faces: (F, 3) int64 vertices of the body.
        corners: (F, 3, 2) float32 places of a face's corners on the texture: x right, y down, 0..1
            from the first to the last pixel.
        face_parts: (F,) uint8 DensePose part 1..24, or None where the body file has its own.
    """

    faces: Tensor
    corners: Tensor
    face_parts: NDArray[np.uint8] | None = None


def load_densepose_uv(path: str | Path, body: Body) -> TextureMap:
    """The map of DensePose's UV_Processed.mat, for the textures of SURREAL and of the paper.

    Args:
        path: the file.
        body: SMPL; the faces are given in its vertices and turned outwards as its own.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is another file, or the body is not SMPL.
    """
    if body.family != "smpl":
        raise ValueError(
            f"{path} maps SMPL's 6890 vertices and {body.path} has {body.num_vertices}; "
            "set data.body_model to SMPL's file, or leave data.densepose_uv out"
        )
    arrays = _read_densepose(Path(path))
    charts = arrays["All_Faces"].reshape(-1, 3).astype(np.int64) - 1  # vertices of the charts
    parts = arrays["All_FaceIndices"].ravel().astype(np.int64)
    to_body = arrays["All_vertices"].ravel().astype(np.int64) - 1
    uv = np.column_stack([arrays["All_U_norm"].ravel(), arrays["All_V_norm"].ravel()])
    in_range = len(charts) == len(parts) and len(to_body) == len(uv) and np.isfinite(uv).all()
    limits = ((charts, len(uv)), (to_body, body.num_vertices), (parts - 1, 24))
    if not in_range or not all(_indexes(array, limit) for array, limit in limits):
        raise ValueError(f"{path} is damaged: its faces, vertices and parts do not fit together")
    column, row = np.divmod(parts - 1, ATLAS_ROWS)
    cell = np.column_stack([column, row])[:, None]
    within = np.stack([uv[charts, 0], 1 - uv[charts, 1]], axis=-1)  # v points up in a cell
    corners = (cell + within) / [ATLAS_COLUMNS, ATLAS_ROWS]
    faces = to_body[charts]
    template = body.v_template.cpu().numpy()
    if _signed_volume(template, faces) * _signed_volume(template, body.faces.cpu().numpy()) < 0:
        faces, corners = faces[:, ::-1], corners[:, ::-1]
    return TextureMap(
        torch.from_numpy(faces.copy()),
        torch.from_numpy(corners.astype(np.float32)),
        parts.astype(np.uint8),
    )


def own_texture_map(body: Body) -> TextureMap:
    """The map that a body file carries: `vt` (T, 2), 0..1, y up, and `ft` (F, 3) into it.

    Raises:
        ValueError: the file carries none.
    """
    arrays = read_arrays(body.path, ("vt", "ft")) if zipfile.is_zipfile(body.path) else {}
    if len(arrays) == 2:
        with one_line_errors(ArrayFileError, body.path, "has no usable texture coordinates"):
            corners = arrays["vt"][arrays["ft"]] * [1, -1] + [0, 1]
            return TextureMap(body.faces.cpu(), torch.from_numpy(corners).float())
    raise ValueError(
        f"{body.path} has no texture coordinates; SMPL's come with data.densepose_uv="
        "UV_Processed.mat, or leave data.textures out"
    )


def with_densepose_parts(body: Body, texture_map: TextureMap) -> Body:
    """A copy of the body with the faces of a DensePose map and their parts."""
    assert texture_map.face_parts is not None
    other = copy.deepcopy(body, {id(tensor): tensor for tensor in body.buffers()})  # shared
    other.faces = texture_map.faces.to(body.faces.device)
    other.face_parts = texture_map.face_parts
    other.vertex_parts = np.zeros(body.num_vertices, np.uint8)
    other.vertex_parts[texture_map.faces.numpy()] = texture_map.face_parts[:, None]
    return other


def _read_densepose(path: Path) -> dict[str, NDArray]:
    if not path.is_file():
        raise FileNotFoundError(
            f"no UV map at {path}; pass DensePose's with data.densepose_uv=PATH"
        )
    mend = "; DensePose's UV_Processed.mat is needed"
    with one_line_errors(ArrayFileError, path, "is no MATLAB file", mend):
        arrays = loadmat(path, variable_names=_DENSEPOSE_KEYS)
    missing = [key for key in _DENSEPOSE_KEYS if key not in arrays]
    if missing:
        raise ValueError(
            f"{path} has no {', '.join(missing)}; DensePose's UV_Processed.mat is needed"
        )
    return {key: arrays[key] for key in _DENSEPOSE_KEYS}


def _indexes(array: NDArray, limit: int) -> bool:
    """Whether all values are indices of something that long."""
    return array.size > 0 and array.min() >= 0 and array.max() < limit


def _signed_volume(vertices: NDArray, faces: NDArray) -> float:
    """Six times the volume of a mesh, negative if its faces look inwards."""
    a, b, c = vertices[faces].transpose(1, 0, 2)
    return float((a * np.cross(b, c)).sum())
