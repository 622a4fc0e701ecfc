"""The people seen in a video as columns, and how alike two sightings of somebody are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hierprob3d.model.body.skeleton import BODY_PARTS, COCO_SIGMAS

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]

_MIN_SCORE = 0.2
"""Keypoints below it are guesses, which jump."""

_HIPS, _SHOULDERS = [11, 12], [5, 6]
_MIN_SHARED = 3
_TOLERANCE = 2.0
"""Times the distances that COCO allows its annotators: people move between frames."""

_SAME = 0.6
"""Similarity of the keypoints of two people in a frame above which they are the same ones."""

_DRIFT_PER_S = 0.5
"""What is added to those distances per second, as a share of the person's size."""

_COLOUR_WEIGHTS = np.array([0.25, 1, 1], np.float32)
"""Of squared differences: lightness changes with the light."""

_COLOUR_TOLERANCE, _MAX_COLOUR_DISTANCE = 25.0, 60.0
"""Mean distance of a person's parts from one frame to the next; parts further apart are covered."""

_UNKNOWN_COLOUR = 0.6
"""Similarity of colours that are not known."""

_COVERED, _FRONT = 0.6, 0.1
"""Share of a box that another's lies over, and how much higher that may end, in sizes."""


@dataclass(frozen=True)
class Sightings:
    """N people seen in a video, in the order of their frames."""

    frame_indices: Integers
    """(N,) frame of the video, ascending."""
    times: Floats
    """(N,) presentation time, s."""
    boxes: Floats
    """(N, 4) x0 y0 x1 y1, px."""
    keypoints: Floats
    """(N, 17, 3) x, y in px, confidence."""
    colours: Floats | None = None
    """(N, 5, 3) as of `part_colours`, not numbers where unknown; None where nobody's are known."""

    def __len__(self) -> int:
        return len(self.frame_indices)

    @cached_property
    def step_s(self) -> float | None:
        """Usual time from one frame with people to the next; None where there is but one."""
        times = np.unique(self.times)
        return float(np.median(np.diff(times))) if len(times) > 1 else None

    @cached_property
    def centres(self) -> Floats:
        """(N, 2) middles of the boxes, px."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2

    @cached_property
    def sizes(self) -> Floats:
        """(N,) roots of the boxes' areas, px."""
        return np.sqrt(np.maximum((self.boxes[:, 2:] - self.boxes[:, :2]).prod(-1), 1e-6))

    @cached_property
    def places(self) -> Floats:
        """(N, 2) middles of the hips, or of the box where these are not seen, px."""
        hips = self.keypoints[:, _HIPS, :2].mean(1)
        return np.where(self._has_own(_HIPS)[:, None], hips, self.centres)

    @cached_property
    def trunks(self) -> Floats:
        """(N,) lengths from the hips to the shoulders, px; NaN where these are not seen.

        Boxes of people who are half hidden tell less of how near somebody is.
        """
        hips, shoulders = (self.keypoints[:, points, :2].mean(1) for points in (_HIPS, _SHOULDERS))
        lengths = np.linalg.norm(hips - shoulders, axis=-1)
        return np.where(self._has_own(_HIPS + _SHOULDERS), np.maximum(lengths, 1), np.nan)

    @cached_property
    def known_colours(self) -> NDArray[np.float32]:
        """(N, 5, 3) colours of the parts whose keypoints are seen, others not numbers."""
        if self.colours is None:
            return np.full((len(self), len(BODY_PARTS), 3), np.nan, np.float32)
        is_seen = self.keypoints[..., 2] > _MIN_SCORE
        parts = [np.any([is_seen[:, corners].all(1) for corners in pieces], axis=0)
                 for pieces in BODY_PARTS.values()]  # fmt: skip
        is_known = np.stack(parts, axis=1) & ~(self.have_twin | self.are_covered)[:, None]
        return np.where(is_known[..., None], self.colours, np.nan).astype(np.float32)

    @cached_property
    def are_covered(self) -> NDArray[np.bool_]:
        """(N,) whether somebody else's box lies over much of theirs."""
        first, second = _pairs_within_frames(self.frame_indices)
        low = np.maximum(self.boxes[first, :2], self.boxes[second, :2])
        high = np.minimum(self.boxes[first, 2:], self.boxes[second, 2:])
        shared = np.maximum(high - low, 0).prod(-1)
        found = np.zeros(len(self), bool)
        for mine, other in ((first, second), (second, first)):
            behind = self.boxes[mine, 3] < self.boxes[other, 3] + _FRONT * self.sizes[mine]
            found[mine[(shared > _COVERED * np.square(self.sizes[mine])) & behind]] = True
        return found

    def _has_own(self, points: list[int]) -> NDArray[np.bool_]:
        """(N,) whether keypoints are seen, and nobody else's."""
        return (self.keypoints[:, points, 2] > _MIN_SCORE).all(1) & ~self.have_twin

    @cached_property
    def twins(self) -> Integers:
        """(M, 2) two sightings of a frame that have the same keypoints.

        Somebody was found twice, or who stands behind has the keypoints of whom they are hidden by:
        only the box says who it is.
        """
        first, second = _pairs_within_frames(self.frame_indices)
        no_shift = np.zeros((len(first), 2), np.float32)
        similarity, is_known = _keypoint_similarity(self, first, second, no_shift)
        is_same = is_known & (similarity > _SAME)
        return np.stack([first[is_same], second[is_same]], axis=1)

    @cached_property
    def have_twin(self) -> NDArray[np.bool_]:
        """(N,) whether somebody else in the frame has the same keypoints."""
        found = np.zeros(len(self), bool)
        found[self.twins] = True
        return found


def _pairs_within_frames(frame_indices: Integers) -> tuple[Integers, Integers]:
    """(M,) and (M,): every two sightings of a frame; frames are ascending."""
    _, starts, counts = np.unique(frame_indices, return_index=True, return_counts=True)
    first, second = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for count in np.unique(counts):  # frames with that many people at once
        one, other = np.triu_indices(count, 1)
        of_frames = starts[counts == count][:, None]
        first.append((of_frames + one).ravel())
        second.append((of_frames + other).ravel())
    return np.concatenate(first), np.concatenate(second)


def pair_similarity(
    seen: Sightings, first: Integers, second: Integers, shifts: Floats
) -> NDArray[np.float64]:
    """How alike pairs of sightings are: mean of box overlap and keypoint similarity, 0 to 1.

    Args:
        seen: the people of a video.
        first: (M,) numbers of the earlier ones.
        second: (M,) numbers of the later ones.
        shifts: (M, 2) how far the earlier ones are expected to have moved, px.
    """
    overlap = _overlap(seen.boxes[first] + np.tile(shifts, 2), seen.boxes[second])
    similarity, is_known = _keypoint_similarity(seen, first, second, shifts.astype(np.float32))
    is_known &= ~(seen.have_twin[first] | seen.have_twin[second])
    return np.where(is_known, (overlap + similarity) / 2, overlap)


def looks_alike(seen: Sightings, first: Integers, second: Integers) -> Floats | float:
    """(M,) how alike pairs of sightings are by their colours; 1 where nobody's are known."""
    if seen.colours is None:
        return 1.0
    colours = seen.known_colours
    return colour_similarity(colours[first], colours[second], _COLOUR_TOLERANCE)


def colour_distances(first: Floats, second: Floats) -> NDArray[np.float64]:
    """(M,) mean distance between colours of parts (M, 5, 3) that both have; NaN without any."""
    apart = np.sqrt((np.square(first - second) * _COLOUR_WEIGHTS).sum(-1))
    is_known = ~np.isnan(apart)
    sums = np.where(is_known, np.minimum(apart, _MAX_COLOUR_DISTANCE), 0).sum(-1)
    counts = is_known.sum(-1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def colour_similarity(first: Floats, second: Floats, tolerance: float) -> NDArray[np.float64]:
    """(M,) how well colours agree, 0 to 1, in units of a distance."""
    apart = colour_distances(first, second)
    return np.where(np.isnan(apart), _UNKNOWN_COLOUR, np.exp(-np.square(apart / tolerance) / 2))


def _overlap(first: Floats, second: Floats) -> Floats:
    """(M,) intersection over union of boxes (M, 4)."""
    low = np.maximum(first[:, :2], second[:, :2])
    high = np.minimum(first[:, 2:], second[:, 2:])
    shared = np.maximum(high - low, 0).prod(-1)
    areas = [np.maximum(box[:, 2:] - box[:, :2], 0).prod(-1) for box in (first, second)]
    return shared / np.maximum(areas[0] + areas[1] - shared, 1e-6)


def _keypoint_similarity(
    seen: Sightings, first: Integers, second: Integers, shifts: Floats
) -> tuple[Floats, NDArray[np.bool_]]:
    """(M,) similarity by the keypoints that both have, and whether these are enough to tell."""
    before, after = seen.keypoints[first], seen.keypoints[second]
    squares = np.square(before[..., :2] + shifts[:, None] - after[..., :2]).sum(-1)
    elapsed = np.abs(seen.times[second] - seen.times[first])[:, None].astype(np.float32)
    sizes = np.sqrt(seen.sizes[first] * seen.sizes[second])[:, None].astype(np.float32)
    allowed = sizes * (_TOLERANCE * np.array(COCO_SIGMAS, np.float32) + _DRIFT_PER_S * elapsed)
    shared = (before[..., 2] > _MIN_SCORE) & (after[..., 2] > _MIN_SCORE)
    counts = shared.sum(-1)
    alike = np.where(shared, np.exp(-squares / (2 * np.square(allowed))), 0).sum(-1)
    return alike / np.maximum(counts, 1), counts >= _MIN_SHARED
