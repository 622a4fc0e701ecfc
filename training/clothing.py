"""Random skin, hair, clothes and folds of a body, evaluated per pixel in rest-pose space.

There are no texture files: each region of the body (DensePose parts, split at the waist and the
hairline) gets a colour and perhaps a pattern, a function of where on the T-posed body a pixel lies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

REGIONS = (
    "chest", "waist", "upper_arm", "lower_arm", "hand", "upper_leg", "lower_leg", "foot", "face",
    "hair",
)  # fmt: skip
_REGION_OF_PART = (
    *("chest",) * 2, *("hand",) * 2, *("foot",) * 2, *("upper_leg",) * 4, *("lower_leg",) * 4,
    *("upper_arm",) * 4, *("lower_arm",) * 4, *("face",) * 2,
)  # fmt: skip
"""Region of the DensePose parts 1..24; `waist` and `hair` are cut out by position."""

_SKIN = np.array([[255, 224, 196], [229, 184, 143], [198, 134, 86], [141, 85, 36], [80, 50, 30]])
_HAIR = np.array([[20, 18, 16], [70, 45, 25], [130, 90, 50], [200, 170, 110], [150, 150, 150]])
_KINDS = ("plain", "stripes", "checks", "mottled")
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

    @property
    def device(self) -> torch.device:
        """Where the tensors lie."""
        return self.colours.device


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


def random_wardrobe(rng: np.random.Generator, num: int, device: torch.device) -> Wardrobe:
    """Clothes of `num` people."""
    skin = _shade(rng, _SKIN, num)
    colours = rng.uniform(0, 1, (num, len(REGIONS), 2, 3)) ** rng.uniform(0.6, 1.8, (num, 1, 1, 1))
    kinds = rng.choice(len(_KINDS), (num, len(REGIONS)), p=[0.5, 0.2, 0.12, 0.18])
    cloth = np.ones((num, len(REGIONS)), bool)
    waves = rng.normal(size=(num, len(REGIONS), 2, 3)) * rng.uniform(20, 160, (num, 1, 1, 1))
    phases = rng.uniform(0, 2 * np.pi, (num, len(REGIONS), 2))
    properties = (colours, kinds, waves, phases)
    _wear(rng, properties, "chest", ("upper_arm", "lower_arm"), (0.85, 0.5), cloth)
    _wear(rng, properties, "upper_leg", ("waist", "lower_leg"), (0.7, 0.7), cloth)
    bare = {"hand": 0.95, "face": 1.0, "foot": 0.15, "upper_leg": 0.05, "chest": 0.03}
    for name, probability in bare.items():
        cloth[:, REGIONS.index(name)] &= rng.random(num) >= probability
    colours = np.where(cloth[..., None, None], colours, skin[:, None, None])
    colours[:, REGIONS.index("hair")] = _shade(rng, _HAIR, num)[:, None]
    kinds = np.where(cloth, kinds, _KINDS.index("plain"))
    folds = cloth * rng.uniform(0, _MAX_FOLD, (num, 1))
    fold_waves = rng.normal(size=(num, 3, 3)) * rng.uniform(15, 60, (num, 3, 1))
    arrays = (colours, kinds, waves, phases, folds, fold_waves)
    tensors = [torch.as_tensor(a, device=device) for a in arrays]
    return Wardrobe(*(t.float() if t.is_floating_point() else t for t in tensors))


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


def _shade(rng: np.random.Generator, palette: np.ndarray, num: int) -> np.ndarray:
    """(num, 3) colours 0..1 between neighbours of a palette."""
    place = rng.uniform(0, len(palette) - 1, num)
    low = place.astype(int)
    share = (place - low)[:, None]
    return (palette[low] * (1 - share) + palette[low + 1] * share) / 255


def _wear(
    rng: np.random.Generator,
    properties: tuple[np.ndarray, ...],
    garment: str,
    reaches: tuple[str, ...],
    probabilities: tuple[float, ...],
    cloth: np.ndarray,
) -> None:
    """Lets a garment extend over further regions, each only if the one before is covered."""
    num = len(cloth)
    covered = np.ones(num, bool)
    source = REGIONS.index(garment)
    for name, probability in zip(reaches, probabilities, strict=True):
        covered &= rng.random(num) < probability
        region = REGIONS.index(name)
        for values in properties:
            values[covered, region] = values[covered, source]
        if name != "waist":
            cloth[:, region] = covered
