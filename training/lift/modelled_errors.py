"""What detectors would say of views, by models of their errors."""

from __future__ import annotations

import torch
from torch import Tensor

from hierprob3d.configs.keypoint_noise import KeypointNoiseConfig
from hierprob3d.model.body.skeleton import COCO_LANDMARKS, LANDMARK_FLIP, NUM_LANDMARKS
from hierprob3d.model.network.lift_input import LiftInput
from hierprob3d.training.people.augmentation import detected_keypoints, weak_keypoints
from hierprob3d.training.random.draws import Draws

from .views import Views

KEYPOINT_OF_LANDMARK = (
    0, 1, 1, 1, 2, 2, 2, 3, 4, 0, 0, 5, 6, 7, 8, 9, 10, 9, 10, 9, 10, 9, 10, 11, 12, 13, 14, 15,
    16, 15, 16, 15, 16,
)  # fmt: skip
"""COCO keypoint with which each landmark is seen or hidden."""

_ALWAYS_CLAIMED = [*range(13), 23, 24]
"""Face, shoulders and hips: BlazePose takes them for visible wherever they are in the picture."""
_SWAPPED = 0.025


def modelled(
    views: Views, noises: tuple[KeypointNoiseConfig, ...], exact_share: float, draws: Draws
) -> LiftInput:
    """Both detectors' answers for the views.

    Args:
        views: N people in any order: the first share of them has the first noise, and so on, the
            last share true places.
        noises: errors of keypoints, each of as many people.
        exact_share: of people whose points are where they are.
        draws: source of randomness.
    """
    num = len(views)
    num_exact = int(exact_share * num)
    bounds = torch.linspace(0, num - num_exact, len(noises) + 1).long().tolist()
    parts = []
    for noise, low, high in zip(noises, bounds, bounds[1:], strict=False):
        people = views[low:high].as_rendered()
        joints2d, kept = detected_keypoints(people, noise, draws.generator)
        parts.append(_weak(*weak_keypoints(people, joints2d, kept, draws)))
    exact = views[bounds[-1] :].as_rendered()
    parts.append(_weak(*weak_keypoints(exact, exact.joints2d, ~exact.outside, draws)))
    is_exact = torch.arange(num) >= bounds[-1]
    return LiftInput(torch.cat(parts), _landmarks(views, is_exact, draws))


def _weak(keypoints: Tensor, known: Tensor) -> Tensor:
    return keypoints.masked_fill(~known[..., None], torch.nan)


def _landmarks(views: Views, is_exact: Tensor, draws: Draws) -> Tensor:
    """(N, 33, 5) as BlazePose's: hidden ones are off by 4 px, those outside are wild guesses."""
    num = len(views)
    owner = list(KEYPOINT_OF_LANDMARK)
    outside, hidden = views.outside[:, owner], views.hidden[:, owner]

    def by_sight(of_outside: float, of_hidden: float, of_seen: float) -> Tensor:
        values = torch.where(hidden, of_hidden, torch.full(hidden.shape, of_seen))
        return values.masked_fill(outside, of_outside)

    scale = by_sight(12.0, 4.2, 2.0) * draws.normal(0.5, num, 1).exp()
    scale = scale * draws.normal(0.3, num, NUM_LANDMARKS).exp()
    scale = scale.masked_fill(draws.chance(0.02, num, NUM_LANDMARKS), 22.0)
    true_places = views.landmarks.clone()
    true_places[:, list(COCO_LANDMARKS)] = views.keypoints
    errors = draws.normal(1.0, num, NUM_LANDMARKS, 2) * (scale * ~is_exact[:, None])[..., None]
    places = true_places + errors
    swapped = draws.chance(_SWAPPED, num)[:, None, None]
    places = torch.where(swapped, places[:, list(LANDMARK_FLIP)], places)
    slope = 1.0 + draws.normal(1.5, num, 1)  # often of the wrong sign
    depth = views.depth * slope + draws.normal(60.0, num, NUM_LANDMARKS)
    claimed = torch.zeros(NUM_LANDMARKS)
    claimed[_ALWAYS_CLAIMED] = 4.0
    visible = by_sight(-3.0, 0.5, 3.0) + draws.normal(1.5, num, NUM_LANDMARKS) + claimed * ~outside
    present = by_sight(0.0, 4.0, 4.0) + draws.normal(1.5, num, NUM_LANDMARKS)
    confidence = torch.stack([visible.sigmoid(), present.sigmoid()], dim=-1)
    return torch.cat([places, depth[..., None], confidence], dim=-1)
