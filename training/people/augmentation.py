"""Errors and mirror images given to rendered people at every step, and the network's input."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from hierprob3d.configs.keypoint_noise import KeypointNoiseConfig
from hierprob3d.model.body.skeleton import COCO_FLIP, JOINT_FLIP
from hierprob3d.model.picture.proxy import HEATMAP_STD, PROXY_SIZE
from hierprob3d.training.random.draws import Draws

from .rendered_people import RenderedSet

_LEAST_SHARE = 1e-6
_WILD_SHARE, _LOST_SHARE = 0.25, 0.15
"""Of weak keypoints, those whose places are wild guesses, and those that are not given at all."""
_WEAK_PX, _WILD_PX = torch.tensor(6.0), torch.tensor(22.0)
"""Deviations of weak keypoints."""
_GIRDLES = [[5, 6], [11, 12]]
"""Left and right shoulder, and hip."""
_LIMB_ENDS = ((7, 9), (8, 10), (13, 15), (14, 16))


def mirrored(people: RenderedSet, chosen: Tensor) -> RenderedSet:
    """Rendered people, those `chosen` (N,) bool replaced by their mirror images."""
    flipped_joints = people.joints2d[:, list(COCO_FLIP)].clone()
    flipped_joints[..., 0] = PROXY_SIZE - flipped_joints[..., 0]
    rotvecs = people.rotvecs[:, list(JOINT_FLIP)] * people.rotvecs.new_tensor([1.0, -1.0, -1.0])
    flipped = {
        "edges": people.edges.flip(-1),
        "joints2d": flipped_joints,
        "outside": people.outside[:, list(COCO_FLIP)],
        "hidden": people.hidden[:, list(COCO_FLIP)],
        "rotvecs": rotvecs,
        "betas": people.betas,
    }
    mixed = {
        name: torch.where(chosen.view(-1, *[1] * (value.ndim - 1)), flipped[name], value)
        for name, value in vars(people).items()
    }
    return RenderedSet(**mixed)


def detected_keypoints(
    people: RenderedSet, config: KeypointNoiseConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Keypoints as a detector would give them, with errors and losses.

    Returns:
        (N, 17, 2) px of the 256 crop and (N, 17) bool kept.
    """
    draws = Draws(generator)
    joints2d = _exchanged(_dressed(people.joints2d, config, draws), config, draws)
    joints2d = joints2d + _displacements(people, config, draws)
    return joints2d, _kept(people, config, draws)


def _dressed(joints2d: Tensor, config: KeypointNoiseConfig, draws: Draws) -> Tensor:
    """Keypoints (N, 17, 2), shoulders and hips where clothes seem to have them.

    Parallel lines stay parallel in a weak-perspective picture: moves along the line between the
    joints, and along the trunk, are shares of these lines in the picture as in space.
    """
    if not any((*config.girdles_widened, *config.girdles_shifted)):
        return joints2d
    size = len(joints2d), len(_GIRDLES), 1, 1
    shares = joints2d.new_tensor([config.girdles_widened, config.girdles_shifted])
    widened, shifted = shares[..., None, None]
    girdles = joints2d[:, _GIRDLES]  # (N, 2, 2 sides, 2)
    middles = girdles.mean(2, keepdim=True)
    trunks = middles[:, :1] - middles[:, 1:]
    apart = widened * draws.uniform(0, 1, *size) ** 2
    along = shifted * draws.normal(1.0, *size)
    joints2d = joints2d.clone()
    joints2d[:, _GIRDLES] = girdles + apart * (girdles - middles) + along * trunks
    return joints2d


def _exchanged(joints2d: Tensor, config: KeypointNoiseConfig, draws: Draws) -> Tensor:
    """Keypoints, left and right exchanged in some people."""
    joints2d = joints2d.clone()
    for left in config.swap_groups:
        group = list(left) + [COCO_FLIP[joint] for joint in left]
        swapped = draws.chance(config.swap_probability, len(joints2d), 1, 1)
        mirrored_group = joints2d[:, [COCO_FLIP[joint] for joint in group]]
        joints2d[:, group] = torch.where(swapped, mirrored_group, joints2d[:, group])
    if config.swap_all:
        swapped = draws.chance(config.swap_all, len(joints2d), 1, 1)
        joints2d = torch.where(swapped, joints2d[:, list(COCO_FLIP)], joints2d)
    return joints2d


def _displacements(people: RenderedSet, config: KeypointNoiseConfig, draws: Draws) -> Tensor:
    """Errors (N, 17, 2) px."""
    shape = people.joints2d.shape
    scale = people.joints2d.new_tensor(config.per_keypoint).repeat(len(people), 1)
    scale[people.hidden | people.outside] *= config.hidden_scale
    if config.person_spread:
        scale = scale * draws.normal(config.person_spread, len(people), 1).exp()
    if config.uniform_range:
        return draws.uniform(-1, 1, *shape) * (config.uniform_range * scale)[..., None]
    scale = config.deviation * scale
    scale[draws.chance(config.outlier_probability, *shape[:2])] = config.outlier_deviation
    return draws.normal(1.0, *shape) * scale[..., None]


def _kept(people: RenderedSet, config: KeypointNoiseConfig, draws: Draws) -> Tensor:
    """(N, 17) bool keypoints that are not lost."""
    shape, device = people.hidden.shape, people.hidden.device
    visible, hidden = torch.tensor([config.drop_visible, config.drop_hidden], device=device)
    drop = torch.where(people.hidden, hidden, visible)
    drop[people.outside] = config.drop_outside
    kept = draws.uniform(0, 1, *shape) >= drop
    for limb in _LIMB_ENDS:
        kept[:, list(limb)] &= ~draws.chance(config.drop_limbs, len(people), 1)
    return kept


def weak_keypoints(
    people: RenderedSet, joints2d: Tensor, kept: Tensor, draws: Draws
) -> tuple[Tensor, Tensor]:
    """Keypoints as a detector gives them before a threshold, those it is unsure of among them.

    Those lost within the picture come back as guesses of low confidence, most of them good:
    MoveNet's of 0.1 to 0.2 are off by 8 px of the crop in the median, those of 0.2 to 0.3 by 6 px.
    The rest of the lost ones, and those outside the picture, stay lost.

    Args:
        people: N people, for the true places.
        joints2d: (N, 17, 2) px of the crop, see `detected_keypoints`.
        kept: (N, 17) bool likewise.
        draws: source of randomness.

    Returns:
        (N, 17, 3) x, y, confidence, and (N, 17) bool those that are not lost.
    """
    shape = kept.shape
    lost = ~kept & ~people.outside
    is_wild = draws.chance(_WILD_SHARE, *shape)
    scale = torch.where(is_wild, _WILD_PX, _WEAK_PX) * draws.normal(0.4, len(kept), 1).exp()
    guesses = people.joints2d + draws.normal(1.0, *shape, 2) * scale[..., None]
    places = torch.where(lost[..., None], guesses, joints2d)
    confidence = torch.where(
        kept, draws.uniform(0.3, 0.95, *shape), draws.uniform(0.1, 0.3, *shape)
    )
    known = kept | (lost & ~draws.chance(_LOST_SHARE, *shape))
    return torch.cat([places, confidence[..., None]], dim=-1), known


def network_input(
    people: RenderedSet,
    joints2d: Tensor,
    kept: Tensor,
    stride: int,
    dtype: torch.dtype,
    heatmap_std: float = HEATMAP_STD,
) -> Tensor:
    """(N, 18, 256 / stride, 256 / stride) proxies averaged over `stride` pixels, channels last.

    The average of a Gaussian over a square of pixels is the product of its averaged profiles: the
    256 px heatmaps are never made.

    Args:
        people: N rendered people.
        joints2d: (N, 17, 2) px of the 256 crop.
        kept: (N, 17) bool; the other heatmaps are zero.
        stride: a multiple of the stride of the stored edges.
        dtype: of the result.
        heatmap_std: standard deviation of the heatmaps, px of the 256 crop.
    """
    pixels = torch.arange(PROXY_SIZE, device=joints2d.device)
    profiles = torch.exp(-0.5 * ((pixels - joints2d[..., None]) / heatmap_std) ** 2)
    profiles = profiles.unflatten(-1, (-1, stride)).mean(-1) * kept[..., None, None]
    across, down = profiles.permute(2, 0, 3, 1).to(dtype)  # (N, S, 17) each
    edges = avg_pool2d(people.edge_strength(), stride // people.stride).to(dtype)
    proxy = torch.cat([edges[..., None], down[:, :, None] * across[:, None]], dim=-1)
    return proxy.permute(0, 3, 1, 2)


def places_of_keypoints(joints2d: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """What `network.keypoint_lift.places_of_heatmaps` reads from the proxies, without making them.

    A heatmap is a Gaussian cut off at the picture's border, so its centre and mass are known.

    Args:
        joints2d: (N, 17, 2) px of the 256 crop.
        kept: (N, 17) bool; the other heatmaps are zero.
    """
    low, high = ((side - joints2d) / HEATMAP_STD for side in (-0.5, PROXY_SIZE - 0.5))
    within = torch.special.ndtr(high) - torch.special.ndtr(low)
    shift = (_density(low) - _density(high)) / within.clamp_min(_LEAST_SHARE)
    inside = (joints2d + HEATMAP_STD * shift).clamp(-0.5, PROXY_SIZE - 0.5)
    places = (inside + 0.5) / (PROXY_SIZE / 2) - 1
    return places * kept[..., None], within.prod(-1) * kept


def _density(x: Tensor) -> Tensor:
    """Of the standard normal distribution."""
    return torch.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)
