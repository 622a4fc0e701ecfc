"""Whether two detections show one person: by their keypoints, not by the overlap of their boxes.

A detector may find somebody twice, the second time only in part, in a box inside the first one.
Boxes of a child in front of a parent, or of people in a crowd, lie in each other as well; but their
keypoints do not coincide. A network that looks for the keypoints in such a box may all the same see
the one in front.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from hierprob3d.model.body.skeleton import COCO_SIGMAS

_MIN_SIMILARITY = 0.8
"""A face that was found with its body, and once more alone, has 0.98."""

_MIN_SCORE = 0.2
"""Keypoints below it are guesses, which differ between two detections of one person."""

_MIN_SHARED = 3

_SAME_POSE = 0.7
"""Similarity of what a network sees of two detections from which on it is one person. Of 22 such
pairs in a rendered crowd, 21 were."""

_OWN_POSE = 0.65
"""Similarity to the detector's pose: of people found twice 0.7, of those behind others to 0.6."""


class SharedPoses(NamedTuple):
    """Of P people of one picture, who was given keypoints that fit another one of them better."""

    of_others: Tensor
    """(P,) bool: they are somebody else's, and this person's own are not known."""
    twice: Tensor
    """(P,) bool: they are this person's too, who was found twice."""


def keypoint_similarity(
    boxes: Float[Tensor, "P 4"], keypoints: Float[Tensor, "P 17 3"]
) -> Float[Tensor, "P P"]:
    """COCO's object keypoint similarity of every pair, 0 to 1.

    Over the keypoints that both have seen, by the smaller box's size; 0 where these are too few to
    tell.

    Args:
        boxes: (P, 4) x0 y0 x1 y1, px.
        keypoints: (P, 17, 3) x, y, score.

    Returns:
        (P, P), symmetric.
    """
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    smaller = torch.minimum(areas[:, None], areas)[..., None].clamp(min=1e-6)
    squares = (keypoints[:, None, :, :2] - keypoints[None, :, :, :2]).square().sum(-1)
    variances = boxes.new_tensor(COCO_SIGMAS).mul(2).square()
    seen = keypoints[..., 2] > _MIN_SCORE
    shared = seen[:, None] & seen
    similarities = (-squares / (2 * smaller * variances)).exp().where(shared, 0).sum(-1)
    counts = shared.sum(-1)
    return torch.where(counts >= _MIN_SHARED, similarities / counts.clamp(min=1), 0)


def without_duplicates(
    boxes: Float[Tensor, "P 4"], keypoints: Float[Tensor, "P 17 3"]
) -> list[int]:
    """Indices of the people none of whom is a better one once more.

    Args:
        boxes: (P, 4) of one picture, the best first.
        keypoints: (P, 17, 3), theirs.
    """
    return _firsts(keypoint_similarity(boxes, keypoints) > _MIN_SIMILARITY)


def shared_poses(
    boxes: Float[Tensor, "P 4"], keypoints: Float[Tensor, "P 17 3"], rough: Float[Tensor, "P 17 3"]
) -> SharedPoses:
    """Who has keypoints of another person of the picture, or is another person once more.

    Args:
        boxes: (P, 4) of one picture, the best first.
        keypoints: (P, 17, 3) that a network sees in them.
        rough: (P, 17, 3) those of the detector, which tell apart whom it detected.
    """
    num = len(boxes)
    both = keypoint_similarity(boxes.repeat(2, 1), torch.cat([keypoints, rough]))
    own = both[:num, num:].diagonal()
    order = torch.arange(num)
    fits_better = (own > own[:, None]) | ((own == own[:, None]) & (order < order[:, None]))
    is_shared = ((both[:num, :num] > _SAME_POSE) & fits_better).any(1)
    return SharedPoses(is_shared & (own <= _OWN_POSE), is_shared & (own > _OWN_POSE))


def without_overlaps(boxes: Float[Tensor, "P 4"], max_overlap: float) -> list[int]:
    """Indices of the boxes (P, 4), the best first, that no better one overlaps by more than that.

    Overlap is intersection over union: this is non-maximum suppression.
    """
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    common = (high - low).clamp(min=0).prod(-1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    return _firsts(common / (areas[:, None] + areas - common) > max_overlap)


def _firsts(is_same: Tensor) -> list[int]:
    """Of elements (P, P) that are like each other, those that are like no earlier one kept."""
    kept: list[int] = []
    for person, same_as in enumerate(is_same.tolist()):
        if not any(same_as[better] for better in kept):
            kept.append(person)
    return kept
