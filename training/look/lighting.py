"""Random white lights on synthetic people: ambient, diffuse and, if wanted, highlights (Phong).

Frame: x right, y down, z away from the camera, metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from hierprob3d.configs.synthetic_people import SynthesisConfig
from hierprob3d.training.random.draws import Draws

_SHININESS = 64
"""Exponent of the highlights (the paper's renderer's)."""


@dataclass(frozen=True)
class Lights:
    """One light for each of B people.

    Attributes:
        place: (B, 3) where the light stands, or the direction of one that is far away.
        is_distant: whether `place` is a direction, for all of them.
        ambient: (B,) strength.
        diffuse: (B,) strength.
        specular: (B,) strength of highlights, or None where there are none.
    """

    place: Tensor
    is_distant: bool
    ambient: Tensor
    diffuse: Tensor
    specular: Tensor | None


def random_lights(draws: Draws, num: int, config: SynthesisConfig) -> Lights:
    """Lights for `num` people."""
    place = draws.normal(1.0, num, 3)
    if config.light_distance is not None:
        place = normalize(place, dim=-1) * draws.uniform(*config.light_distance, num, 1)
    else:  # mostly above and in front
        place = place * place.new_tensor([1.0, 0.7, 0.5]) - place.new_tensor([0.0, 0.6, 1.0])
    return Lights(
        place=place,
        is_distant=config.light_distance is None,
        ambient=draws.uniform(*config.ambient, num),
        diffuse=draws.uniform(*config.diffuse, num),
        specular=draws.uniform(*config.specular, num) if max(config.specular) > 0 else None,
    )


def lit(
    lights: Lights, person: Tensor, albedo: Tensor, normal: Tensor, point: Tensor, eye: Tensor
) -> Tensor:
    """Colours (N, 3), 0..1, of N pixels.

    Args:
        lights: lights of B people.
        person: (N,) index into them.
        albedo: (N, 3) 0..1.
        normal: (N, 3) of the surface, of any length.
        point: (N, 3) on the surface, metres.
        eye: (B, 3) place of the camera, metres.
    """
    normal = normalize(normal, dim=-1)
    place = lights.place[person]
    to_light = normalize(place if lights.is_distant else place - point, dim=-1)
    cosine = (normal * to_light).sum(-1, keepdim=True)
    diffuse = lights.diffuse[person, None] * cosine.clamp(min=0)
    colours = albedo * (lights.ambient[person, None] + diffuse)
    if lights.specular is not None:
        to_eye = normalize(eye[person] - point, dim=-1)
        aligned = ((2 * cosine * normal - to_light) * to_eye).sum(-1, keepdim=True)
        glance = aligned.clamp(min=0) ** _SHININESS
        colours = colours + lights.specular[person, None] * torch.where(cosine > 0, glance, 0.0)
    return colours.clamp(0, 1)
