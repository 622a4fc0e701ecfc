"""Random skin, hair, clothes and folds of a body, evaluated per pixel in rest-pose space.

There are no texture files: each region of the body (DensePose parts, split at the waist and the
hairline) gets a colour and perhaps a pattern, a function of where on the T-posed body a pixel lies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hierprob3d.training.random.draws import Draws

REGIONS = (
    "chest", "waist", "upper_arm", "lower_arm", "hand", "upper_leg", "lower_leg", "foot", "face",
    "hair",
)  # fmt: skip
_REGION_OF_PART = (
    *("chest",) * 2, *("hand",) * 2, *("foot",) * 2, *("upper_leg",) * 4, *("lower_leg",) * 4,
    *("upper_arm",) * 4, *("lower_arm",) * 4, *("face",) * 2,
)  # fmt: skip
"""Region of the DensePose parts 1..24; `waist` and `hair` are cut out by position."""

_SKIN = ((255, 224, 196), (229, 184, 143), (198, 134, 86), (141, 85, 36), (80, 50, 30))
_HAIR = ((20, 18, 16), (70, 45, 25), (130, 90, 50), (200, 170, 110), (150, 150, 150))
_KIND_SHARES = {"plain": 0.5, "stripes": 0.2, "checks": 0.12, "mottled": 0.18}
_PLAIN = 0
_BARE = {"hand": 0.95, "face": 1.0, "foot": 0.15, "upper_leg": 0.05, "chest": 0.03}
"""Probability that a region shows skin whatever garment might reach it."""

_MAX_FOLD = 0.45
"""Largest tilt (tangent) that folds give to the normals of clothes."""


@dataclass(frozen=True)
class Wardrobe:
    """Clothes of B people, per region R = len(REGIONS).

    Attributes:
        colours: (B, R, 2, 3) main and second colour, 0..1.
        kinds: (B, R) index into the pattern kinds.
        waves: (B, R, 2, 3) wave vectors of the pattern, radians per metre of the rest pose.
        phases: (B, R, 2) radians.
        folds: (B, R) strength of the folds, 0 for skin.
        fold_waves: (B, 3, 3) wave vectors of the folds, radians per metre.
    """

    colours: Tensor
    kinds: Tensor
    waves: Tensor
    phases: Tensor
    folds: Tensor
    fold_waves: Tensor


def face_regions(rest_vertices: Tensor, faces: Tensor, face_parts: Tensor) -> Tensor:
    """Region (F,) of each face of the mean T-posed body.

    Args:
        rest_vertices: (V, 3) metres.
        faces: (F, 3).
        face_parts: (F,) DensePose part 1..24.
    """
    regions = torch.tensor([0, *(REGIONS.index(name) for name in _REGION_OF_PART)])
    region = regions.to(faces.device)[face_parts.long()]
    centre = rest_vertices[faces].mean(1)
    chest, head = REGIONS.index("chest"), REGIONS.index("face")
    torso_y = centre[region == chest, 1]
    waist_y = torso_y.min() + 0.3 * (torso_y.max() - torso_y.min())
    region[(region == chest) & (centre[:, 1] < waist_y)] = REGIONS.index("waist")
    low, high = centre[region == head].amin(0), centre[region == head].amax(0)
    span = ((centre - low) / (high - low))[:, 1:]  # height and depth within the head, 0..1
    hair = (span[:, 0] > 0.78) | ((span[:, 1] < 0.45) & (span[:, 0] > 0.35))
    region[(region == head) & hair] = REGIONS.index("hair")
    return region


def random_wardrobe(draws: Draws, num: int) -> Wardrobe:
    """Clothes of `num` people."""
    size = (num, len(REGIONS))
    skin = _between(draws, _SKIN, num)
    colours = draws.uniform(0, 1, *size, 2, 3) ** draws.uniform(0.6, 1.8, num, 1, 1, 1)
    kinds = draws.choice(tuple(_KIND_SHARES.values()), *size)
    waves = draws.normal(1.0, *size, 2, 3) * draws.uniform(20, 160, num, 1, 1, 1)
    phases = draws.uniform(0, 2 * math.pi, *size, 2)
    cloth = torch.ones(size, dtype=torch.bool, device=draws.device)
    properties = (colours, kinds, waves, phases)
    _wear(draws, properties, "chest", ("upper_arm", "lower_arm"), (0.85, 0.5), cloth)
    _wear(draws, properties, "upper_leg", ("waist", "lower_leg"), (0.7, 0.7), cloth)
    for name, probability in _BARE.items():
        cloth[:, REGIONS.index(name)] &= ~draws.chance(probability, num)
    colours = torch.where(cloth[..., None, None], colours, skin[:, None, None])
    colours[:, REGIONS.index("hair")] = _between(draws, _HAIR, num)[:, None]
    kinds = torch.where(cloth, kinds, _PLAIN)
    folds = cloth * draws.uniform(0, _MAX_FOLD, num, 1)
    fold_waves = draws.normal(1.0, num, 3, 3) * draws.uniform(15, 60, num, 3, 1)
    return Wardrobe(colours, kinds, waves, phases, folds, fold_waves)


def pixel_albedo(wardrobe: Wardrobe, person: Tensor, region: Tensor, rest: Tensor) -> Tensor:
    """Colour (N, 3), 0..1, of N pixels.

    Args:
        wardrobe: clothes of B people.
        person: (N,) index into the wardrobe.
        region: (N,) index into REGIONS.
        rest: (N, 3) position on the T-posed body, metres.
    """
    slot = person * len(REGIONS) + region
    waves = wardrobe.waves.flatten(0, 1)[slot]  # (N, 2, 3)
    sines = ((waves * rest[:, None]).sum(-1) + wardrobe.phases.flatten(0, 1)[slot]).sin()
    first, both = sines[:, 0], sines.prod(-1)
    mixes = torch.stack([first * 0, first > 0.3, both > 0, 0.5 + 0.5 * both], dim=-1)
    mix = mixes.gather(1, wardrobe.kinds.flatten()[slot][:, None])
    main, second = wardrobe.colours.flatten(0, 1)[slot].unbind(1)
    return main + mix * (second - main)


def pixel_folds(wardrobe: Wardrobe, person: Tensor, region: Tensor, rest: Tensor) -> Tensor:
    """Offset (N, 3) that folds add to the unit normals of N pixels; arguments as pixel_albedo."""
    strength = wardrobe.folds.flatten()[person * len(REGIONS) + region]
    waves = wardrobe.fold_waves[person]  # (N, 3 waves, xyz)
    slope = (waves * rest[:, None]).sum(-1).cos()
    direction = torch.nn.functional.normalize(waves, dim=-1)
    return strength[:, None] * torch.einsum("nk,nkc->nc", slope, direction)


def _between(draws: Draws, palette: tuple[tuple[int, int, int], ...], num: int) -> Tensor:
    """(num, 3) colours 0..1 between neighbours of a palette."""
    colours = torch.tensor(palette, device=draws.device) / 255
    place = draws.uniform(0, len(palette) - 1, num)
    low = place.long().clamp(max=len(palette) - 2)
    return torch.lerp(colours[low], colours[low + 1], (place - low)[:, None])


def _wear(
    draws: Draws,
    properties: tuple[Tensor, ...],
    garment: str,
    reaches: tuple[str, ...],
    probabilities: tuple[float, ...],
    cloth: Tensor,
) -> None:
    """Lets a garment extend over further regions, each only if the one before is covered."""
    num = len(cloth)
    covered = torch.ones(num, dtype=torch.bool, device=cloth.device)
    source = REGIONS.index(garment)
    for name, probability in zip(reaches, probabilities, strict=True):
        covered = covered & draws.chance(probability, num)
        region = REGIONS.index(name)
        for values in properties:
            chosen = covered.view(-1, *[1] * (values.ndim - 2))
            values[:, region] = torch.where(chosen, values[:, source], values[:, region])
        if name != "waist":
            cloth[:, region] = covered
