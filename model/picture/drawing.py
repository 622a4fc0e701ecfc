"""Pictures of bodies: on the photograph, from the side, with their spread in colour.

All functions take and return (H, W, 3) uint8 RGB pictures.  Bodies come in the body frame (metres,
y up) and are placed by the paper's camera of their crop (see `picture.cameras`), so a body drawn
here stands where the network saw it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from .cameras import half_turn_x, project_body
from .rasterizer import interpolate, rasterize

Picture = NDArray[np.uint8]

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
    a, b, c = vertices[:, faces].unbind(2)  # (B, F, 3) each
    face_normals = torch.linalg.cross(b - a, c - a)
    normals = torch.zeros_like(vertices)
    for corner in range(3):
        normals.index_add_(1, faces[:, corner], face_normals)
    return torch.nn.functional.normalize(normals, dim=-1)


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
    opacity: float = 0.85,
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
    pixels_per_metre = cameras[:, 0] * crops[:, 2]
    for person in pixels_per_metre.argsort().tolist():
        _draw_body(drawn, screen[person], faces, shaded[person], opacity)
    return drawn


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

    Returns:
        (len(turns) * size, N * width, 3).
    """
    if colours is None:
        colours = vertices.new_tensor(PLAIN_COLOUR).expand_as(vertices)
    centred = vertices - (vertices.amin(1, keepdim=True) + vertices.amax(1, keepdim=True)) / 2
    half_width, half_height = centred[..., [0, 2]].norm(dim=-1).max(), centred[..., 1].abs().max()
    reach = float(torch.maximum(half_width, half_height).clamp(min=1e-6))
    width = width or max(1, round(size * float(half_width) / reach))
    sheet = np.full((len(turns) * size, len(vertices) * width, 3), 255, np.uint8)
    normals = vertex_normals(vertices, faces)
    for row, degrees in enumerate(turns):
        turned = turn_about_vertical(centred, degrees)
        tints = shade(turn_about_vertical(normals, degrees), colours)
        for column, body in enumerate(turned):
            cell = sheet[row * size : (row + 1) * size, column * width : (column + 1) * width]
            draw_alone(cell, body, faces, tints[column], 0.95 / reach * size / 2)
    return sheet


def draw_alone(
    picture: Picture,
    body: Float[Tensor, "V 3"],
    faces: Int[Tensor, "F 3"],
    shaded: Float[Tensor, "V 3"],
    pixels_per_metre: float,
) -> None:
    """Draws one body whose origin stands in the middle of `picture`.

    Args:
        picture: changed in place.
        body: (V, 3) body frame.
        faces: (F, 3) vertex indices.
        shaded: (V, 3) RGB 0..1, light included, see `shade`.
        pixels_per_metre: scale.
    """
    height, width = picture.shape[:2]
    camera = body.new_tensor([[2 * pixels_per_metre / height, 0.0, 0.0]])
    crop = body.new_tensor([[width / 2, height / 2, height]])
    screen = _to_screen(body[None], camera, crop)[0]
    _draw_body(picture, screen, faces, shaded, opacity=1.0)


def _to_screen(vertices: Tensor, cameras: Tensor, crops: Tensor) -> Tensor:
    """Bodies (B, V, 3) as x, y in px of the picture and depth in metres."""
    depth = half_turn_x(vertices)[..., 2:]
    return torch.cat([project_body(vertices, cameras, crops), depth], dim=-1)


def _draw_body(
    picture: Picture, screen: Tensor, faces: Tensor, shaded: Tensor, opacity: float
) -> None:
    """Draws one body into `picture`, within the window that it covers.

    Args:
        picture: changed in place.
        screen: (V, 3) x, y in px and depth.
        faces: (F, 3) vertex indices.
        shaded: (V, 3) RGB 0..1, light included.
        opacity: 0..1.
    """
    window = _window(screen, picture.shape[0], picture.shape[1])
    if window is None:
        return
    x0, y0, x1, y1 = window
    corners = (screen - screen.new_tensor([x0, y0, 0]))[None]
    # Back faces stay in: where a posed body cuts through itself they close the gaps.
    fragments = rasterize(corners, faces, y1 - y0, x1 - x0)
    over = interpolate(fragments, faces, shaded[None])[0].clamp(0, 1).cpu().numpy() * 255
    alpha = _soft_mask(fragments.mask[0].cpu().numpy()) * opacity
    under = picture[y0:y1, x0:x1].astype(np.float32)
    picture[y0:y1, x0:x1] = np.rint(under + alpha[..., None] * (over - under)).astype(np.uint8)


def _window(points: Tensor, height: int, width: int) -> tuple[int, int, int, int] | None:
    """x0, y0, x1, y1 of the pixels that (N, 3) points span, with a margin of 1; None outside."""
    if not bool(points.isfinite().all()):
        raise ValueError("a body with NaN or infinite vertices, camera or crop cannot be drawn")
    points = points[:, :2]
    limit = points.new_tensor([width, height])
    low = (points.amin(0).floor() - 1).clamp(min=0).minimum(limit).int().tolist()
    high = (points.amax(0).ceil() + 1).clamp(min=0).minimum(limit).int().tolist()
    return (*low, *high) if high[0] > low[0] and high[1] > low[1] else None


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
