"""Pictures of bodies: on the photograph, from the side, with their spread in colour.

All functions take and return (H, W, 3) uint8 RGB pictures.  Bodies come in the body frame (metres,
y up) and are placed by the paper's camera of their crop (see `picture.cameras`), so a body drawn
here stands where the network saw it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from .cameras import half_turn_x, project_body
from .painted_surface import paint_surface

Picture = NDArray[np.uint8]
_Window = tuple[int, int, int, int]

PLAIN_COLOUR = (0.72, 0.78, 0.90)
"""RGB of a body without spread colours: a pale blue that differs from skin, grass and walls."""

PERSON_COLOURS = (
    PLAIN_COLOUR, (0.95, 0.76, 0.55), (0.66, 0.86, 0.66), (0.90, 0.70, 0.82),
    (0.92, 0.88, 0.58), (0.62, 0.85, 0.86),
)  # fmt: skip
"""RGB by person of a picture, repeated when there are more people."""

SPREAD_RAMP = (
    (0.27, 0.00, 0.33), (0.25, 0.28, 0.53), (0.17, 0.45, 0.56), (0.12, 0.62, 0.54),
    (0.44, 0.80, 0.35), (0.99, 0.91, 0.14),
)  # fmt: skip
"""Dark violet to yellow at equal steps, of steadily growing lightness, as viridis."""

FULL_SPREAD_M = 0.2
"""Spread at the bright end of the ramp; the paper's pictures end there too."""

LIGHT = (-0.35, -0.55, -0.76)
"""Direction to the light after the half turn: from the upper left, behind the viewer."""

OPACITY = 0.85
"""Of bodies over photographs, 0..1."""

AMBIENT = 0.4
"""Share of the colour that a face turned away from the light keeps."""


def spread_colours(
    spread: Float[Tensor, "*batch"], full_spread: float = FULL_SPREAD_M
) -> Float[Tensor, "*batch 3"]:
    """RGB of per-vertex spreads on `SPREAD_RAMP`; spreads above `full_spread` stay at its end.

    Args:
        spread: (...,) mean distances in metres.
        full_spread: spread in metres at the bright end.

    Returns:
        (..., 3) RGB 0..1.
    """
    ramp = torch.tensor(SPREAD_RAMP, device=spread.device)
    position = (spread.float() / full_spread).clamp(0, 1) * (len(ramp) - 1)
    low = position.floor().long().clamp(max=len(ramp) - 2)
    return torch.lerp(ramp[low], ramp[low + 1], (position - low)[..., None])


def vertex_normals(
    vertices: Float[Tensor, "B V 3"], faces: Int[Tensor, "F 3"]
) -> Float[Tensor, "B V 3"]:
    """Unit normals, pointing outwards where faces run counter-clockwise seen from outside.

    Args:
        vertices: (B, V, 3).
        faces: (F, 3) vertex indices.

    Returns:
        (B, V, 3); faces count by their area.
    """
    columns = _as_columns(vertices)
    a, b, c = (columns.index_select(0, faces[:, i]).unflatten(1, (-1, 3)) for i in range(3))
    normals = torch.linalg.cross(b - a, c - a).flatten(1)  # (F, B 3)
    sums = _faces_of_vertices(faces, vertices.shape[1]).to(normals.dtype) @ normals
    normals = sums.unflatten(1, (len(vertices), 3)).transpose(0, 1)
    return torch.nn.functional.normalize(normals, dim=-1)


def _as_columns(values: Tensor) -> Tensor:
    """(N, B C) of values (B, N, C)."""
    return values.transpose(0, 1).flatten(1)


_faces_of = WeakTensorKeyDictionary()
"""By faces, and by number of vertices, what `_faces_of_vertices` made."""


def _faces_of_vertices(faces: Tensor, num_vertices: int) -> Tensor:
    """Sparse (V, F): 1 where a vertex is a corner of a face. Made once for each tensor of faces."""
    known: dict[int, Tensor] = _faces_of.setdefault(faces, {})
    if num_vertices not in known:
        owners = torch.arange(len(faces), device=faces.device).repeat_interleave(3)
        places = torch.stack([faces.flatten(), owners])
        ones = torch.ones(places.shape[1], device=faces.device)
        with torch.inference_mode(False), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            size = (num_vertices, len(faces))
            entries = torch.sparse_coo_tensor(places, ones, size, check_invariants=True)
            known[num_vertices] = (
                entries.to_sparse_csr() if torch.backends.mkl.is_available() else entries.coalesce()
            )
    return known[num_vertices]


def turn_about_vertical(
    vertices: Float[Tensor, "*batch 3"], degrees: float
) -> Float[Tensor, "*batch 3"]:
    """Bodies turned about the vertical axis: by 90, who faced the viewer faces the right border.

    Args:
        vertices: (..., 3) body frame.
        degrees: angle of the right-handed turn about y.
    """
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y, z = vertices.unbind(-1)
    return torch.stack([cos * x + sin * z, y, cos * z - sin * x], dim=-1)


def draw_bodies(
    image: Picture,
    vertices: Float[Tensor, "P V 3"],
    faces: Int[Tensor, "F 3"],
    cameras: Float[Tensor, "P 3"],
    crops: Float[Tensor, "P 3"],
    colours: Float[Tensor, "P V 3"] | None = None,
    opacity: float = OPACITY,
) -> Picture:
    """The photograph with every person's body drawn over it; nearer people cover farther ones.

    A weak-perspective camera knows no distance, so the person drawn larger per metre counts as the
    nearer one.  Each body is rasterized in its own window: the cost follows the area of the people.

    Args:
        image: photograph.
        vertices: (P, V, 3) body frame.
        faces: (F, 3) vertex indices.
        cameras: (P, 3) weak-perspective cameras of the crops.
        crops: (P, 3) crop records (centre x, centre y, side) in px of the photograph.
        colours: (P, V, 3) RGB 0..1 per vertex; None gives each person one plain colour.
        opacity: of the bodies, 0..1.
    """
    drawn = image.copy()
    if colours is None:
        colours = plain_colours(vertices)
    screen = _to_screen(vertices, cameras, crops)
    shaded = shade(vertex_normals(vertices, faces), colours)
    windows = _windows(screen, *image.shape[:2])
    inside = _within(screen, windows)
    pixels_per_metre = cameras[:, 0] * crops[:, 2]
    for person in pixels_per_metre.argsort().tolist():
        _draw_body(drawn, inside[person], windows[person], faces, shaded[person], opacity)
    return drawn


def draw_each(
    image: Picture,
    vertices: Float[Tensor, "N V 3"],
    faces: Int[Tensor, "F 3"],
    camera: Float[Tensor, "1 3"],
    crop: Float[Tensor, "1 3"],
    normals: Float[Tensor, "N V 3"],
) -> list[Picture]:
    """The photograph once for each body, in `PLAIN_COLOUR`; as `draw_bodies` draws one.

    Args:
        image: photograph.
        vertices: (N, V, 3) body frame.
        faces: (F, 3) vertex indices.
        camera: (1, 3) of all bodies.
        crop: (1, 3) of all bodies.
        normals: (N, V, 3) of the vertices, see `vertex_normals`.
    """
    pictures = [image.copy() for _ in vertices]
    screens = _to_screen(vertices, camera, crop)
    shaded = shade(normals, vertices.new_tensor(PLAIN_COLOUR).expand_as(vertices))
    _draw_one_in_each(pictures, screens, faces, shaded, OPACITY)
    return pictures


def plain_colours(vertices: Float[Tensor, "P V 3"]) -> Float[Tensor, "P V 3"]:
    """One colour of `PERSON_COLOURS` per person for all its vertices.  (P, V, 3)."""
    palette = vertices.new_tensor(PERSON_COLOURS)
    index = torch.arange(len(vertices), device=vertices.device) % len(palette)
    return palette[index][:, None].expand_as(vertices)


def draw_views(
    vertices: Float[Tensor, "N V 3"],
    faces: Int[Tensor, "F 3"],
    colours: Float[Tensor, "N V 3"] | None = None,
    turns: Sequence[float] = (0.0, 90.0),
    size: int = 256,
    width: int | None = None,
    normals: Float[Tensor, "N V 3"] | None = None,
) -> Picture:
    """Contact sheet on white: one column per body, one row per turn about the vertical axis.

    All bodies share one scale and stand centred on their own middle, so they can be compared.

    Args:
        vertices: (N, V, 3) body frame.
        faces: (F, 3) vertex indices.
        colours: (N, V, 3) RGB 0..1; None draws all in `PLAIN_COLOUR`.
        turns: degrees about the vertical axis, one row each.
        size: height of one cell in px.
        width: of one cell in px; None: what the widest body needs, `size` at most.
        normals: (N, V, 3) of the vertices, where they are known already.

    Returns:
        (len(turns) * size, N * width, 3).
    """
    if colours is None:
        colours = vertices.new_tensor(PLAIN_COLOUR).expand_as(vertices)
    low, high = _bounds(vertices)
    centred = vertices - ((low + high) / 2)[:, None]
    half_width, half_height = centred[..., [0, 2]].norm(dim=-1).max(), centred[..., 1].abs().max()
    reach = float(torch.maximum(half_width, half_height).clamp(min=1e-6))
    width = width or max(1, round(size * float(half_width) / reach))
    sheet = np.full((len(turns) * size, len(vertices) * width, 3), 255, np.uint8)
    normals = vertex_normals(vertices, faces) if normals is None else normals
    for row, degrees in enumerate(turns):
        turned = turn_about_vertical(centred, degrees)
        tints = shade(turn_about_vertical(normals, degrees), colours)
        line = sheet[row * size : (row + 1) * size]
        cells = [line[:, left : left + width] for left in range(0, line.shape[1], width)]
        draw_alone(cells, turned, faces, tints, 0.95 / reach * size / 2)
    return sheet


def draw_alone(
    pictures: Sequence[Picture],
    bodies: Float[Tensor, "N V 3"],
    faces: Int[Tensor, "F 3"],
    shaded: Float[Tensor, "N V 3"],
    pixels_per_metre: float,
) -> None:
    """Draws one body into each picture; its origin stands in the middle.

    Args:
        pictures: N of one size, changed in place.
        bodies: (N, V, 3) body frame.
        faces: (F, 3) vertex indices.
        shaded: (N, V, 3) RGB 0..1, light included, see `shade`.
        pixels_per_metre: scale.
    """
    height, width = pictures[0].shape[:2]
    camera = bodies.new_tensor([[2 * pixels_per_metre / height, 0.0, 0.0]])
    crop = bodies.new_tensor([[width / 2, height / 2, height]])
    _draw_one_in_each(pictures, _to_screen(bodies, camera, crop), faces, shaded, 1.0)


def _draw_one_in_each(
    pictures: Sequence[Picture], screens: Tensor, faces: Tensor, shaded: Tensor, opacity: float
) -> None:
    """Draws body after body, each into a picture of its own, all of one size."""
    windows = _windows(screens, *pictures[0].shape[:2])
    inside = _within(screens, windows)
    for picture, body, window, tints in zip(pictures, inside, windows, shaded, strict=True):
        _draw_body(picture, body, window, faces, tints, opacity)


def _to_screen(vertices: Tensor, cameras: Tensor, crops: Tensor) -> Tensor:
    """Bodies (B, V, 3) as x, y in px of the picture and depth in metres."""
    depth = half_turn_x(vertices)[..., 2:]
    return torch.cat([project_body(vertices, cameras, crops), depth], dim=-1)


def _draw_body(
    picture: Picture, inside: Tensor, window: _Window, faces: Tensor, shaded: Tensor, opacity: float
) -> None:
    """Draws one body into `picture`, within the window that it covers.

    Args:
        picture: changed in place.
        inside: (V, 3) x, y in px of the window and depth.
        window: of the body, see `_windows`.
        faces: (F, 3) vertex indices.
        shaded: (V, 3) RGB 0..1, light included.
        opacity: 0..1.
    """
    x0, y0, x1, y1 = window
    if x1 <= x0 or y1 <= y0:
        return
    over, mask = paint_surface(inside, faces, shaded, y1 - y0, x1 - x0)
    over *= 255
    alpha = _soft_mask(mask) * np.float32(opacity)
    under = picture[y0:y1, x0:x1].astype(np.float32)
    over -= under
    over *= cv2.merge((alpha, alpha, alpha))  # NumPy is slow to spread numbers over so few channels
    over += under
    picture[y0:y1, x0:x1] = np.rint(over, out=over).astype(np.uint8)


def _within(screens: Tensor, windows: Sequence[_Window]) -> Tensor:
    """Bodies (N, V, 3) on the screen as their windows have them."""
    corners = screens.new_tensor([(x0, y0, 0) for x0, y0, _, _ in windows]).view(-1, 1, 3)
    return screens - corners


def _bounds(points: Tensor) -> tuple[Tensor, Tensor]:
    """Least and largest coordinates (N, C) of points (N, V, C); along rows, as columns are slow."""
    return points.mT.contiguous().aminmax(dim=-1)


def _windows(screens: Tensor, height: int, width: int) -> list[_Window]:
    """x0, y0, x1, y1 of the pixels that points (N, V, 3) span, and 1 more; 0 wide if outside."""
    if not bool(screens.sum().isfinite()) and not bool(screens.isfinite().all()):
        raise ValueError("a body with NaN or infinite vertices, camera or crop cannot be drawn")
    limit = screens.new_tensor([width, height])
    low, high = _bounds(screens[..., :2])
    low = (low.floor() - 1).clamp(min=0).minimum(limit)
    high = (high.ceil() + 1).clamp(min=0).minimum(limit)
    return [tuple(window) for window in torch.cat([low, high], dim=1).int().tolist()]


def shade(
    normals: Float[Tensor, "*batch 3"], colours: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch 3"]:
    """Colours (..., 3) under one distant light: ambient plus Lambert's cosine."""
    cosine = (half_turn_x(normals) @ normals.new_tensor(LIGHT)).clamp(min=0)
    return colours * (AMBIENT + (1 - AMBIENT) * cosine[..., None])


def _soft_mask(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Mask as 0..1 whose border pixels fade inwards, against jagged outlines."""
    soft = cv2.blur(mask.astype(np.float32), (3, 3), borderType=cv2.BORDER_REPLICATE)
    return np.where(mask, soft, 0).astype(np.float32)


def shrink_to(image: Picture, max_side: int) -> tuple[Picture, float]:
    """The picture with its longer side at most `max_side`, and its size over the old one."""
    height, width = image.shape[:2]
    scale = min(1.0, max_side / max(height, width))
    if scale == 1.0:
        return image, scale
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shrunk = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return shrunk.astype(np.uint8, copy=False), scale


def cut_out_crop(image: Picture, crop: Sequence[float], size: int = 256) -> Picture:
    """The square that the network saw, black where it leaves the photograph.

    Args:
        image: photograph.
        crop: centre x, centre y, side in px of the photograph.
        size: side of the returned picture in px.
    """
    centre_x, centre_y, side = (float(value) for value in crop)
    scale = size / side
    matrix = np.array(
        [[scale, 0.0, size / 2 - scale * centre_x], [0.0, scale, size / 2 - scale * centre_y]]
    )
    matrix[:, 2] += (scale - 1) / 2  # pixel centres lie at +0.5, OpenCV's at whole numbers
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.warpAffine(image, matrix, (size, size), flags=flags).astype(np.uint8, copy=False)
