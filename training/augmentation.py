"""Errors and mirror images given to rendered people at every step, and the network's input."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from configs.training import KeypointNoiseConfig
from model.proxy import HEATMAP_STD, PROXY_SIZE
from model.skeleton import COCO_FLIP, SMPL_JOINT_NAMES
from training.rendered_set import RenderedSet

_SWAPS = (((5, 7, 9), (6, 8, 10)), ((11, 13, 15), (12, 14, 16)))
"""Left and right keypoints that detectors confuse together: arms, and legs."""
_LIMB_ENDS = ((7, 9), (8, 10), (13, 15), (14, 16))
_MIRRORED_JOINTS = tuple(
    SMPL_JOINT_NAMES.index(name.replace("left", "?").replace("right", "left").replace("?", "right"))
    for name in SMPL_JOINT_NAMES
)


def mirrored(people: RenderedSet, chosen: Tensor) -> RenderedSet:
    """Rendered people, those `chosen` (N,) bool replaced by their mirror images."""
    flipped_joints = people.joints2d[:, list(COCO_FLIP)].clone()
    flipped_joints[..., 0] = PROXY_SIZE - flipped_joints[..., 0]
    rotvecs = people.rotvecs[:, list(_MIRRORED_JOINTS)] * people.rotvecs.new_tensor(
        [1.0, -1.0, -1.0]
    )
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

    def chance(probability: float, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=people.edges.device) < probability

    num = len(people)
    joints2d = people.joints2d.clone()
    for left, right in _SWAPS:
        swapped = chance(config.swap_probability, num, 1, 1)
        both = joints2d[:, list(left + right)]
        joints2d[:, list(left + right)] = torch.where(
            swapped, joints2d[:, list(right + left)], both
        )
    scale = torch.full(joints2d.shape[:2], config.deviation, device=joints2d.device)
    scale[chance(config.outlier_probability, num, 17)] = config.outlier_deviation
    noise = torch.randn(joints2d.shape, generator=generator, device=joints2d.device)
    joints2d = joints2d + noise * scale[..., None]
    drop = torch.full(joints2d.shape[:2], config.drop_visible, device=joints2d.device)
    drop[people.hidden] = config.drop_hidden
    drop[people.outside] = config.drop_outside
    kept = torch.rand(num, 17, generator=generator, device=joints2d.device) >= drop
    for limb in _LIMB_ENDS:
        kept[:, list(limb)] &= ~chance(config.drop_limbs, num, 1)
    return joints2d, kept


def network_input(
    people: RenderedSet, joints2d: Tensor, kept: Tensor, stride: int, dtype: torch.dtype
) -> Tensor:
    """(N, 18, 256 / stride, 256 / stride) proxies averaged over `stride` pixels, channels last.

    The average of a Gaussian over a square of pixels is the product of its averaged profiles, so
    the 256 px heatmaps are never made.

    Args:
        people: N rendered people.
        joints2d: (N, 17, 2) px of the 256 crop.
        kept: (N, 17) bool; the other heatmaps are zero.
        stride: a multiple of the stride of the stored edges.
        dtype: of the result.
    """
    pixels = torch.arange(PROXY_SIZE, device=joints2d.device)
    profiles = torch.exp(-0.5 * ((pixels - joints2d[..., None]) / HEATMAP_STD) ** 2)
    profiles = profiles.unflatten(-1, (-1, stride)).mean(-1) * kept[..., None, None]
    across, down = profiles.permute(2, 0, 3, 1).to(dtype)  # (N, S, 17) each
    edges = avg_pool2d(people.edge_strength(), stride // people.stride).to(dtype)
    proxy = torch.cat([edges[..., None], down[:, :, None] * across[:, None]], dim=-1)
    return proxy.permute(0, 3, 1, 2)
