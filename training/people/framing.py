"""Random cameras and crops: from bodies in metres to the pixels of the 256 px crop.

Frame of the bodies: x right, y down, z away from the camera, metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hierprob3d.configs.synthetic_people import SynthesisConfig
from hierprob3d.model.picture.proxy import PROXY_SIZE
from hierprob3d.training.random.draws import Draws

_LOWER_LEGS = (5, 6, 11, 12, 13, 14)
_LEGS = (*_LOWER_LEGS, 7, 8, 9, 10)
_ARMS = (3, 4, 19, 20, 21, 22)
_LEFT_OUT = ((), _LEGS, (*_LEGS, *_ARMS), _LOWER_LEGS)
"""DensePose parts outside the box: of the whole body, then of the three extreme crops."""

_NEAREST = 0.2
"""Relative depth below which a point is projected as if it were there."""


@dataclass(frozen=True)
class FramedPeople:
    """B people on the screen of their crops.

    Attributes:
        vertices: (B, V, 3) x, y px, z metres.
        keypoints: (B, 17, 3) likewise.
        eye: (B, 3) place of the camera in the frame of the bodies, metres.
        scale: (B,) px per metre as far away as the body.
        picture: (B, 2, 2) first and last x and y, px, of the picture that the crop is cut from;
            None where it has no end.
    """

    vertices: Tensor
    keypoints: Tensor
    eye: Tensor
    scale: Tensor
    picture: Tensor | None = None


def boxed_vertices(vertex_parts: Tensor) -> Tensor:
    """(4, V) vertices that the box of the whole body and of each extreme crop goes around.

    Args:
        vertex_parts: (V,) DensePose part 1..24.
    """
    left_out = [torch.tensor(parts, device=vertex_parts.device) for parts in _LEFT_OUT]
    return torch.stack([~torch.isin(vertex_parts, parts) for parts in left_out])


def frame_people(
    draws: Draws, vertices: Tensor, keypoints: Tensor, boxed: Tensor, config: SynthesisConfig
) -> FramedPeople:
    """People seen by random cameras, cropped as prediction would, give or take.

    Args:
        draws: source of randomness.
        vertices: (B, V, 3) metres.
        keypoints: (B, 17, 3) metres.
        boxed: result of `boxed_vertices`.
        config: see SynthesisConfig.
    """
    num = len(vertices)
    focal = draws.uniform(*config.focal_length, num)
    jitter = 1 + config.distance_jitter * draws.uniform(-1, 1, num)
    distance = focal * config.distance_per_focal * jitter
    sideways = draws.normal(config.camera_xy_std, num, 2)
    sideways = sideways - sideways.new_tensor(config.camera_offset)
    eye = torch.cat([sideways, -distance[:, None]], dim=1)
    flat = [_perspective(points, eye) for points in (vertices, keypoints)]
    extreme = draws.chance(config.extreme_crop_probability, num)
    kind = torch.where(extreme, 1 + draws.choice(config.extreme_crop_shares, num), 0)
    reach = config.picture_size / 2 * (distance / focal)[:, None, None]  # metres, of the picture
    seen = flat[0][..., :2]
    seen = seen.clamp(-reach, reach) if config.picture_size else seen
    centre, side = _tight_box(seen, boxed[kind], config.box_aspect)
    box_scale = config.box_scale + config.box_scale_jitter * draws.uniform(-1, 1, num)
    scale = (PROXY_SIZE / (side * box_scale))[:, None, None]
    jitter2d = config.box_centre_jitter * draws.uniform(-1, 1, num, 2)
    if config.picture_size:  # in its pixels
        jitter2d = jitter2d * scale[:, 0] * (distance / focal)[:, None]
    shift = PROXY_SIZE / 2 + jitter2d
    offset = shift[:, None] - scale * centre[:, None]
    on_screen = [
        torch.cat([points[..., :2] * scale + offset, points[..., 2:]], dim=-1) for points in flat
    ]
    ends = torch.cat([offset - scale * reach, offset + scale * reach], dim=1)
    picture = ends if config.picture_size else None
    return FramedPeople(on_screen[0], on_screen[1], eye, scale[:, 0, 0], picture)


def inside_picture(picture: Tensor, size: int) -> Tensor:
    """(B, size, size) pixels of the 256 px crop within the ends of `FramedPeople.picture`."""
    centres = (torch.arange(size, device=picture.device) + 0.5) * (PROXY_SIZE / size)
    within = (centres >= picture[:, 0, :, None]) & (centres < picture[:, 1, :, None])
    across, down = within.unbind(1)
    return down[:, :, None] & across[:, None]


def _perspective(points: Tensor, eye: Tensor) -> Tensor:
    """Points (B, N, 3) seen from the eye (B, 3): x, y over relative depth, and z as it is."""
    seen = points - eye[:, None]
    distance = -eye[:, None, 2:]
    nearness = distance / seen[..., 2:].clamp(min=_NEAREST)
    return torch.cat([seen[..., :2] * nearness, points[..., 2:]], dim=-1)


def _tight_box(points: Tensor, inside: Tensor, aspect: float) -> tuple[Tensor, Tensor]:
    """Centre (B, 2) and height (B,) of the box of an aspect around the points marked `inside`."""
    low = points.masked_fill(~inside[..., None], torch.inf).amin(1)
    high = points.masked_fill(~inside[..., None], -torch.inf).amax(1)
    extent = high - low
    return (low + high) / 2, torch.maximum(extent[:, 1], extent[:, 0] / aspect)
