"""What hides a person in a synthetic picture, as masks (B, S, S) made for all pictures at once.

Masks are of the 256 px crop, of as many pixels S a side as asked for.

Three kinds: objects stand before the person; the frame ends and leaves black; parts of the person
are missing, and the background shows in their place (the paper's).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hierprob3d.configs.synthetic_people import HalvesConfig, SynthesisConfig
from hierprob3d.model.body.skeleton import NUM_KEYPOINTS
from hierprob3d.model.picture.proxy import LIMB_PARTS, PROXY_SIZE
from hierprob3d.training.random.draws import Draws

from .surface import SurfacePixels

_TRUNCATED_SIDES = (0.55, 0.05, 0.2, 0.2)
"""How often the frame ends at the bottom, at the top, on the left and on the right."""

_MAX_OBJECTS = 2
_BOX_MIDDLE = (0.35, 0.65)
"""Range of the middle of the missing square, over the side of the picture (the paper's)."""


@dataclass(frozen=True)
class MissingPerson:
    """Where the background shows in place of B people.

    Attributes:
        pixels: (N,) bool, of the pixels that see a body.
        halves: (B, 256, 256) bool, halves of the picture without the person.
        keypoints: (B, 17) bool, keypoints lost with the limbs around them.
    """

    pixels: Tensor
    halves: Tensor
    keypoints: Tensor


def random_objects(
    draws: Draws, num: int, config: SynthesisConfig, size: int = PROXY_SIZE
) -> Tensor:
    """Where an object stands before the person: one or two tilted ellipses or boxes."""
    shape = (num, _MAX_OBJECTS, 1, 1)
    there = draws.chance(config.occluder_probability, num, 1, 1, 1).repeat(1, _MAX_OBJECTS, 1, 1)
    there[:, 1:] &= draws.chance(0.5, num, 1, 1, 1)
    x, y = (draws.uniform(1 / 6, 5 / 6, *shape) * PROXY_SIZE for _ in range(2))
    width, height = (draws.uniform(0.04, 0.18, *shape) * PROXY_SIZE for _ in range(2))
    angle = draws.uniform(0, math.pi, *shape)
    columns = _centres(draws, size)
    right, down = columns - x, columns[:, None] - y
    along = (angle.cos() * right + angle.sin() * down) / width
    across = (angle.cos() * down - angle.sin() * right) / height
    ellipse = along.square() + across.square() <= 1
    box = torch.maximum(along.abs(), across.abs()) <= 1
    covered = torch.where(draws.chance(0.5, *shape), ellipse, box) & there
    return covered.any(1)


def random_frames(
    draws: Draws, num: int, config: SynthesisConfig, size: int = PROXY_SIZE
) -> Tensor:
    """Where the picture is: the content of the crop, sometimes cut by the picture's border."""
    margin = round(PROXY_SIZE * (1 - config.box_aspect) / 2)
    centres = _centres(draws, size)
    content = (centres > margin) & (centres < PROXY_SIZE - margin)
    cut = draws.chance(config.truncation_probability, num)
    side = draws.choice(_TRUNCATED_SIDES, num)
    share = torch.where(side < 2, draws.uniform(0.02, 0.45, num), draws.uniform(0.02, 0.35, num))
    depth = torch.where(cut, share * PROXY_SIZE, 0.0)
    frames = content & ~_border(side, depth, centres)
    return frames & ~random_halves(draws, num, config.black_halves, size)


def random_halves(draws: Draws, num: int, config: HalvesConfig, size: int = PROXY_SIZE) -> Tensor:
    """Halves of pictures, true where they are lost (the paper's, which may come together)."""
    centres = _centres(draws, size)
    lost = torch.zeros(num, size, size, dtype=torch.bool, device=draws.device)
    left_or_right = 2 + draws.below(2, num)
    kinds = (
        (config.bottom, left_or_right * 0, 1 / 5),
        (config.top, left_or_right * 0 + 1, 1 / 5),
        (config.side, left_or_right, 1 / 30),
    )
    for probability, side, jitter in kinds:
        depth = PROXY_SIZE * (0.5 + draws.uniform(-jitter, jitter, num))
        depth = torch.where(draws.chance(probability, num), depth, 0.0)
        lost |= _border(side, depth, centres)
    return lost


def missing_person(
    draws: Draws, pixels: SurfacePixels, part: Tensor, num: int, config: SynthesisConfig
) -> MissingPerson:
    """What is missing of people.

    Args:
        draws: source of randomness.
        pixels: the N pixels that see a body.
        part: (N,) DensePose part 1..24 of these.
        num: people.
        config: see SynthesisConfig.
    """
    gone = _missing_parts(draws, num, config)
    boxed = draws.chance(config.missing_box, num)
    middle = PROXY_SIZE * draws.uniform(*_BOX_MIDDLE, num, 2)
    half_side = torch.where(boxed, config.missing_box_side / 2, 0.0)[pixels.person]
    place = torch.stack([pixels.column, pixels.row], dim=-1) + 0.5
    in_box = (place - middle[pixels.person]).abs().amax(-1) < half_side
    halves = random_halves(draws, num, config.missing_halves)
    in_half = halves[pixels.person, pixels.row, pixels.column]
    return MissingPerson(
        pixels=gone[pixels.person, part] | in_box | in_half,
        halves=halves,
        keypoints=_lost_keypoints(draws, gone, config.missing_part_hides),
    )


def missing_keypoints(draws: Draws, num: int, config: SynthesisConfig) -> Tensor:
    """(B, 17) keypoints lost with missing parts, of people without a picture."""
    return _lost_keypoints(draws, _missing_parts(draws, num, config), config.missing_part_hides)


def _missing_parts(draws: Draws, num: int, config: SynthesisConfig) -> Tensor:
    """(B, 25) DensePose parts that are missing; 0 is none."""
    chances = torch.tensor((0.0, *config.missing_parts), device=draws.device)
    return draws.uniform(0, 1, num, len(chances)) < chances


def _lost_keypoints(draws: Draws, gone: Tensor, probability: float) -> Tensor:
    """(B, 17) keypoints lost with a limb, each missing part (B, 25) giving one chance."""
    lost = torch.zeros(len(gone), NUM_KEYPOINTS, dtype=torch.bool, device=gone.device)
    hides = gone & draws.chance(probability, *gone.shape)
    for keypoint, parts in LIMB_PARTS.items():
        lost[:, keypoint] = hides[:, list(parts)].any(1)
    return lost


def _border(side: Tensor, depth: Tensor, centres: Tensor) -> Tensor:
    """(B, S, S) the outermost `depth` (B,) pixels of the bottom, top, left or right (B,)."""
    from_side = torch.where(
        (side == 0) | (side == 3), PROXY_SIZE - centres[:, None], centres[:, None]
    )
    within = (from_side < depth).T  # (B, S)
    vertical = (side < 2)[:, None, None]
    return torch.where(vertical, within[:, :, None], within[:, None])


def _centres(draws: Draws, size: int) -> Tensor:
    """(S,) centres of the pixels, px of the 256 crop."""
    return (torch.arange(size, device=draws.device) + 0.5) * (PROXY_SIZE / size)
