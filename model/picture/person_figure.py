"""The result figure of a person: what the network was given, and what it says, in one picture.

As the figure that the paper's code draws: the crop, the proxy, the mode over the crop with the
spread of its vertices in colour, the same body turned, and the mean shape in T-pose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .drawing import (
    FULL_SPREAD_M,
    PLAIN_COLOUR,
    Picture,
    draw_alone,
    draw_bodies,
    shade,
    spread_colours,
    turn_about_vertical,
    vertex_normals,
)
from .lettering import write_text
from .overlays import spread_bar
from .proxy_picture import ProxyKeypoints, draw_confidences, draw_proxy

SQUARE = 448
"""Side of the crop, the proxy and the mode over the crop, px."""

_LIST_WIDTH = 240
_GAP, _MARGIN, _CAPTION, _SCALE_HEIGHT = 16, 24, 26, 34
_WIDTH = 3 * SQUARE + _LIST_WIDTH + 2 * _GAP
_TURNS = (90.0, 180.0, 270.0)
_VIEW_HEIGHT = 440
_ARMS_WIDTH = 404
"""Of the T-pose from the front, which needs more room than the other views, px."""

_VIEW_WIDTH = (_WIDTH - _ARMS_WIDTH) // 4 - _GAP
_INK, _FAINT = (40, 44, 52), (205, 209, 216)
_FLOOR = (246, 247, 249)


@dataclass(frozen=True)
class FigureParts:
    """What the figure of one person shows."""

    crop: Picture
    """(SQUARE, SQUARE, 3), what the network saw."""

    edges: np.ndarray
    """(S, S) uint8 edges of the proxy."""

    keypoints: ProxyKeypoints
    mode: Tensor
    """(V, 3) body of the mode, body frame."""

    t_pose: Tensor
    """(V, 3) mean shape in T-pose, body frame."""

    faces: Tensor
    camera: Tensor
    """(3,) weak perspective of the crop."""

    spread: Tensor | None
    """(V,) spread of the vertices in metres; None: no samples were drawn."""

    height: str
    """Of the mean shape, in words."""


def draw_person_figure(parts: FigureParts) -> Picture:
    """The figure, (H, W, 3): two rows of captioned pictures on white."""
    colours = parts.mode.new_tensor(PLAIN_COLOUR).expand_as(parts.mode)
    if parts.spread is not None:
        colours = spread_colours(parts.spread)
    half = SQUARE / 2
    whole = parts.mode.new_tensor([[half, half, SQUARE]])
    mode = draw_bodies(
        parts.crop, parts.mode[None], parts.faces, parts.camera[None], whole, colours[None]
    )
    proxy = np.concatenate(
        [
            draw_proxy(parts.edges, parts.keypoints, SQUARE),
            draw_confidences(parts.keypoints, SQUARE, _LIST_WIDTH),
        ],
        axis=1,
    )
    says = "the most probable body" + ("" if parts.spread is None else ", colour: spread")
    first = [
        ("the crop", parts.crop),
        ("the proxy: edges and keypoints; grey ones are below the threshold", proxy),
        (says, mode),
    ]
    second = list(zip(_view_captions(), _draw_views(parts, colours), strict=True))
    rows = [_row(first), _scale_row(parts.spread is not None), _row(second)]
    figure = np.concatenate(rows, axis=0)
    return np.pad(figure, ((_GAP, _MARGIN), (_MARGIN, _MARGIN), (0, 0)), constant_values=255)


def _view_captions() -> list[str]:
    turned = [f"turned by {degrees:.0f}°" for degrees in _TURNS]
    return [*turned, "mean shape in T-pose", "its left side"]


def _draw_views(parts: FigureParts, colours: Tensor) -> list[Picture]:
    """The turned mode and the T-pose from two sides, all at one scale."""
    plain = parts.t_pose.new_tensor(PLAIN_COLOUR).expand_as(parts.t_pose)
    views = [(0, colours, degrees) for degrees in _TURNS] + [(1, plain, 0.0), (1, plain, -90.0)]
    widths = [*[_VIEW_WIDTH] * len(_TURNS), _ARMS_WIDTH, _VIEW_WIDTH]
    upright = torch.stack([parts.mode, parts.t_pose])
    normals = vertex_normals(upright, parts.faces)
    bodies = [turn_about_vertical(upright[which], degrees) for which, _, degrees in views]
    scale = min(map(_pixels_per_metre, bodies, widths))
    cells = [np.full((_VIEW_HEIGHT, width, 3), _FLOOR, np.uint8) for width in widths]
    for cell, body, (which, tints, degrees) in zip(cells, bodies, views, strict=True):
        if which == 1:
            _draw_heights(cell, body, scale, parts.height)
        shaded = shade(turn_about_vertical(normals[which], degrees), tints)
        centred = body - (body.amin(0) + body.amax(0)) / 2
        draw_alone([cell], centred[None], parts.faces, shaded[None], scale)
    return cells


def _pixels_per_metre(body: Tensor, width: int) -> float:
    """The largest scale at which a body fits, with room for the words of the heights."""
    extent = (body.amax(0) - body.amin(0)).clamp(min=1e-3)
    return min((width - 24) / float(extent[0]), (_VIEW_HEIGHT - 64) / float(extent[1]))


def _draw_heights(cell: Picture, body: Tensor, scale: float, height: str) -> None:
    """Lines each half metre above the soles, and one at the crown with the height."""
    low, high = float(body[:, 1].amin()), float(body[:, 1].amax())
    foot = cell.shape[0] / 2 + (high - low) / 2 * scale
    for number in range(int((high - low) / 0.5) + 1):
        row = round(foot - number * 0.5 * scale)
        cell[row, 8:-8] = _FAINT
        write_text(cell, f"{number * 0.5:.1f} m", (10, row - 3), 0.34, (130, 134, 142))
    crown = round(foot - (high - low) * scale)
    cell[crown - 1 : crown + 1, 8:-8] = _INK
    write_text(cell, height, (cell.shape[1] - 10, crown - 6), 0.42, _INK, ends=True)


def _row(pictures: Sequence[tuple[str, Picture]]) -> Picture:
    """Captioned pictures of one height side by side, `_WIDTH` wide."""
    height = pictures[0][1].shape[0]
    row = np.full((_CAPTION + height, _WIDTH, 3), 255, np.uint8)
    left = 0
    for caption, picture in pictures:
        write_text(row, caption, (left, _CAPTION - 9), 0.47, _INK)
        row[_CAPTION:, left : left + picture.shape[1]] = picture
        left += picture.shape[1] + _GAP
    return row


def _scale_row(has_spread: bool) -> Picture:
    """Below the mode over the crop, the scale of its colours."""
    row = np.full((_SCALE_HEIGHT, _WIDTH, 3), 255, np.uint8)
    if has_spread:
        left = _WIDTH - SQUARE + 40
        row[10:20, left:-60] = spread_bar(10, SQUARE - 100)
        write_text(row, "0 cm", (left - 6, 20), 0.4, _INK, ends=True)
        write_text(row, f"{FULL_SPREAD_M * 100:.0f}+ cm", (_WIDTH - 54, 20), 0.4, _INK)
    return row
