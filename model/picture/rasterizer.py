"""Batched z-buffer rasterizer: which face each pixel sees, where on it, and how far away.

Screen frame: x right, y down, in pixels, the centre of pixel (row i, column j) at
(j + 0.5, i + 0.5); z is depth, smaller is nearer.  Every candidate (face, pixel) pair of a batch
is tested at once, so the cost follows the area drawn, not the number of faces or pictures.
Nothing is differentiable.  pytorch3d (0.3 for square pictures, 0.4 for all), where installed,
serves as a second backend.  For colours alone see `painted_surface`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

MAX_CANDIDATES = 4_000_000
"""(face, pixel) pairs tested at once; bounds the memory at about 60 bytes a pair."""

BACKENDS = ("torch", "pytorch3d")
_backend: ContextVar[str] = ContextVar("rasterizer", default="")


@contextmanager
def rasterizing_by(backend: str) -> Iterator[None]:
    """Within it, pictures are rasterized by the backend of that name where none is given.

    Args:
        backend: one of BACKENDS, or for pictures of colours also opencv.
    """
    token = _backend.set(backend)
    try:
        yield
    finally:
        _backend.reset(token)


def wanted_backend(otherwise: str) -> str:
    """The backend of `rasterizing_by`, or the other one outside it."""
    return _backend.get() or otherwise


@dataclass(frozen=True)
class Fragments:
    """What each pixel sees.

    Attributes:
        face_ids: (B, H, W) int64 face index, -1 where nothing is.
        barycentrics: (B, H, W, 3) weights of the face's corners, 0 where nothing is.
        depth: (B, H, W) depth of the surface, infinite where nothing is.
    """

    face_ids: Tensor
    barycentrics: Tensor
    depth: Tensor

    @property
    def mask(self) -> Bool[Tensor, "B H W"]:
        """(B, H, W) bool, true where a face is seen."""
        return self.face_ids >= 0


def rasterize(
    vertices: Float[Tensor, "B V 3"],
    faces: Int[Tensor, "F 3"],
    height: int,
    width: int,
    *,
    perspective: bool = False,
    cull_back_faces: bool = False,
    backend: str | None = None,
) -> Fragments:
    """Nearest face of every pixel.

    Args:
        vertices: (B, V, 3) screen x, y in pixels and depth z.
        faces: (F, 3) vertex indices, shared by the batch.
        height: rows of the picture.
        width: columns of the picture.
        perspective: x, y come from a perspective division by z: barycentrics and depth are
            corrected for it, and faces with a corner at z <= 0 are left out.
        cull_back_faces: skip faces turned away (counter-clockwise seen from outside, as SMPL's);
            changes nothing for a closed surface seen from outside, and halves the work.
        backend: "torch" or "pytorch3d"; None: that of `rasterizing_by`, otherwise torch.
    """
    backend = backend or wanted_backend("torch")
    if backend == "pytorch3d":
        return _rasterize_pytorch3d(vertices, faces, height, width, perspective, cull_back_faces)
    if backend != "torch":
        raise ValueError(f"unknown rasterizer backend {backend!r}; choose from {BACKENDS}")
    corners = vertices[:, faces].flatten(0, 1).float()  # (B*F, 3 corners, xyz)
    boxes = _pixel_boxes(corners, height, width, cull_back_faces)
    drawn = boxes.counts.nonzero()[:, 0]  # most faces of a small picture meet no pixel centre
    corners = corners[drawn]
    planes = _face_planes(corners, perspective)
    picture = torch.div(drawn, len(faces), rounding_mode="floor")
    size = (len(vertices), height, width)
    keys = _depth_buffer(boxes[drawn], planes, picture, size)
    return _resolve(keys, planes, corners[..., 2], drawn % len(faces), perspective)


def interpolate(
    fragments: Fragments, faces: Int[Tensor, "F 3"], attributes: Float[Tensor, "_ V C"]
) -> Float[Tensor, "B H W C"]:
    """Attributes of the surface at every pixel, 0 where nothing is.

    Args:
        fragments: result of `rasterize`.
        faces: (F, 3) vertex indices.
        attributes: (B, V, C) per vertex, or (1, V, C) shared by the batch.

    Returns:
        (B, H, W, C).
    """
    batch = len(fragments.face_ids)
    seen = fragments.mask
    corner_ids = faces[fragments.face_ids[seen]]  # (N, 3)
    attributes = attributes.expand(batch, -1, -1)
    picture = torch.arange(batch, device=faces.device)[:, None, None].expand_as(seen)[seen]
    values = attributes[picture[:, None], corner_ids]  # (N, 3, C)
    out = attributes.new_zeros(*seen.shape, attributes.shape[-1])
    out[seen] = torch.einsum("nk,nkc->nc", fragments.barycentrics[seen], values)
    return out


def _face_planes(corners: Tensor, perspective: bool) -> Tensor:
    """Coefficients a, b, c of w = a x + b y + c for two barycentrics and the depth.  (F, 3, 3).

    The third plane is z, or -1/z under perspective: both are linear on the screen and grow with
    distance.  Degenerate faces get planes that no pixel passes.
    """
    x, y, z = corners.unbind(-1)  # (F, 3) each
    next_x, next_y = x.roll(-1, -1), y.roll(-1, -1)
    last_x, last_y = x.roll(-2, -1), y.roll(-2, -1)
    area = _signed_area(x, y)
    edges = torch.stack(
        [next_y - last_y, last_x - next_x, next_x * last_y - last_x * next_y], dim=-1
    )  # (F, 3 barycentrics, abc)
    weights = edges / area[:, None, None]
    distance = -1 / z if perspective else z
    depth = torch.einsum("fk,fkc->fc", distance, weights)
    planes = torch.stack([weights[:, 0], weights[:, 1], depth], dim=1)
    usable = (area.abs() > 1e-12) & planes.isfinite().all(-1).all(-1)
    if perspective:
        usable &= (z > 0).all(-1)
    outside = planes.new_tensor([[0.0, 0.0, -1.0]]).expand(3, 3)
    return torch.where(usable[:, None, None], planes, outside)


@dataclass(frozen=True)
class _PixelBoxes:
    """Bounding boxes of F faces in pixels: first column and row, columns, number of pixels."""

    x0: Tensor
    y0: Tensor
    columns: Tensor
    counts: Tensor

    def __getitem__(self, faces: Tensor) -> _PixelBoxes:
        return _PixelBoxes(self.x0[faces], self.y0[faces], self.columns[faces], self.counts[faces])


def _pixel_boxes(corners: Tensor, height: int, width: int, cull_back_faces: bool) -> _PixelBoxes:
    """Boxes of faces (F, 3, 3); those of faces that are not to be drawn hold no pixel."""
    x, y = corners[..., 0], corners[..., 1]
    x0 = _first_centre(x.amin(-1), width)
    y0 = _first_centre(y.amin(-1), height)
    columns = (_first_centre(x.amax(-1), width) - x0).clamp(min=0)
    rows = (_first_centre(y.amax(-1), height) - y0).clamp(min=0)
    counts = columns * rows
    if cull_back_faces:
        counts = counts * (_signed_area(x, y) < 0)
    return _PixelBoxes(x0, y0, columns, counts)


def _depth_buffer(
    boxes: _PixelBoxes, planes: Tensor, picture: Tensor, size: tuple[int, int, int]
) -> Tensor:
    """(B, H, W) int64 keys: ordered depth in the high half, face in the low half; max if empty.

    Args:
        boxes: of the F faces drawn.
        planes: (F, 3, 3) of these.
        picture: (F,) of these, 0..B-1.
        size: B, H and W.
    """
    _, height, width = size
    keys = torch.full(
        (math.prod(size),), torch.iinfo(torch.int64).max, dtype=torch.int64, device=planes.device
    )
    for chunk in _chunks(boxes.counts):
        count = boxes.counts[chunk]
        owner = chunk.repeat_interleave(count)
        start = (count.cumsum(0) - count).repeat_interleave(count)
        index = torch.arange(len(owner), device=owner.device) - start
        row = torch.div(index, boxes.columns[owner], rounding_mode="floor")
        column = index - row * boxes.columns[owner] + boxes.x0[owner]
        row = row + boxes.y0[owner]
        plane = planes[owner]  # (N, 3, abc)
        values = plane[..., 0] * (column + 0.5)[:, None] + plane[..., 1] * (row + 0.5)[:, None]
        values = values + plane[..., 2]
        inside = (values[:, 0] >= 0) & (values[:, 1] >= 0) & (values[:, 0] + values[:, 1] <= 1)
        pixel = (picture[owner] * height + row) * width + column
        key = (_ordered_bits(values[:, 2]) << 32) | owner
        keys.scatter_reduce_(0, pixel[inside], key[inside], "amin")
    return keys.view(size)


def _first_centre(coordinate: Tensor, limit: int) -> Tensor:
    """Index of the first pixel centre at or after a coordinate, within 0..limit."""
    coordinate = torch.nan_to_num(coordinate, nan=0.0, posinf=limit, neginf=0.0)
    return (coordinate - 0.5).ceil().clamp(0, limit).long()


def _signed_area(x: Tensor, y: Tensor) -> Tensor:
    """Twice the signed area (F,) of triangles (F, 3) on the screen; negative faces the viewer."""
    return (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])


def _chunks(counts: Tensor) -> list[Tensor]:
    """Faces split so that no part (but one of a single huge face) exceeds MAX_CANDIDATES pixels."""
    faces = torch.arange(len(counts), device=counts.device)
    if len(faces) == 0:
        return []
    part = torch.div(counts.cumsum(0) - counts, MAX_CANDIDATES, rounding_mode="floor")
    sizes = torch.unique_consecutive(part, return_counts=True)[1]
    return list(faces.split(sizes.tolist()))


def _ordered_bits(depth: Tensor) -> Tensor:
    """int64 that sorts as the float32 `depth` does."""
    bits = depth.view(torch.int32).long()
    return torch.where(bits >= 0, bits, -(bits & 0x7FFFFFFF))


def _resolve(
    keys: Tensor, planes: Tensor, corner_depth: Tensor, face_ids: Tensor, perspective: bool
) -> Fragments:
    """Fragments of the winning faces, of which the keys hold the places in the other tensors."""
    seen = keys != torch.iinfo(torch.int64).max
    _, row, column = seen.nonzero(as_tuple=True)
    owner = keys[seen] & 0xFFFFFFFF
    plane = planes[owner]
    values = plane[..., 0] * (column + 0.5)[:, None] + plane[..., 1] * (row + 0.5)[:, None]
    values = values + plane[..., 2]
    weights = torch.stack([values[:, 0], values[:, 1], 1 - values[:, 0] - values[:, 1]], dim=-1)
    distance = values[:, 2]
    if perspective:
        distance = -1 / distance
        weights = weights / corner_depth[owner] * distance[:, None]
    winners = torch.full_like(keys, -1)
    winners[seen] = face_ids[owner]
    barycentrics = planes.new_zeros(*keys.shape, 3)
    barycentrics[seen] = weights
    depth = planes.new_full(keys.shape, torch.inf)
    depth[seen] = distance
    return Fragments(winners, barycentrics, depth)


def _rasterize_pytorch3d(
    vertices: Tensor, faces: Tensor, height: int, width: int, perspective: bool, cull: bool
) -> Fragments:
    """The same through pytorch3d's rasterizer (its NDC has x left, y up, short side -1..1)."""
    try:
        from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
        from pytorch3d.structures import Meshes
    except ImportError as error:
        raise ValueError(
            "the pytorch3d rasterizer was asked for but pytorch3d is not installed; "
            "use backend 'torch' or install pytorch3d"
        ) from error
    short = min(height, width)
    z = vertices[..., 2]
    # It leaves out what lies at a negative depth; only under perspective does the origin matter.
    finite = z[z.isfinite()]
    shift = 0.0 if perspective or not len(finite) else 1.0 - float(finite.min())
    ndc = torch.stack(
        [
            (width - 2 * vertices[..., 0]) / short,
            (height - 2 * vertices[..., 1]) / short,
            z + shift,
        ],
        dim=-1,
    )
    meshes = Meshes(ndc, faces.expand(len(vertices), -1, -1))
    face_ids, depth, barycentrics, _ = rasterize_meshes(
        meshes, height if height == width else (height, width), faces_per_pixel=1, bin_size=0,
        blur_radius=0.0, perspective_correct=perspective, cull_backfaces=cull,
    )  # fmt: skip
    face_ids, depth, barycentrics = face_ids[..., 0], depth[..., 0], barycentrics[..., 0, :]
    seen = face_ids >= 0
    return Fragments(
        torch.where(seen, face_ids % len(faces), face_ids),
        torch.where(seen[..., None], barycentrics, 0.0),
        torch.where(seen, depth - shift, torch.inf),
    )
