"""Sightings linked to those of the same person before and after, and how people move along them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .pair_matching import Matched
from .sightings import Floats, Integers, Sightings

MOTION_SPAN_S = 0.4
"""Time over which a velocity is taken: shorter is noise, longer is another motion."""


@dataclass
class Links:
    """For each sighting the one before and after it, -1 where there is none, and how sure."""

    previous: Integers
    next: Integers
    confidences: Floats

    @classmethod
    def none(cls, count: int) -> Links:
        """Of so many sightings, all alone."""
        return cls(np.full(count, -1), np.full(count, -1), np.ones(count))

    def add(self, matched: Matched) -> None:
        """Links pairs, and with what confidence."""
        self.next[matched.first] = matched.second
        self.previous[matched.second] = matched.first
        self.confidences[matched.second] = matched.confidences

    def cut(self, place: int) -> None:
        """Ends the track of a sighting with it; what came after is another one's beginning."""
        self.previous[self.next[place]] = -1
        self.next[place] = -1


def velocities(seen: Sightings, neighbour: Integers, numbers: Integers) -> Floats:
    """(M, 2) px per second over the last sightings, or the next ones; 0 where there are none.

    Args:
        seen: the people of a video.
        neighbour: (N,) sighting before each one, or after it; -1 where there is none.
        numbers: (M,) sightings whose velocities are wanted.
    """
    far = numbers
    for _ in range(max(1, hops(seen))):
        further = neighbour[far]
        is_near = np.abs(seen.times[further] - seen.times[numbers]) <= MOTION_SPAN_S
        far = np.where((further >= 0) & (is_near | (far == numbers)), further, far)
    elapsed = seen.times[numbers] - seen.times[far]
    moved = seen.places[numbers] - seen.places[far]
    return moved / np.where(elapsed == 0, 1, elapsed)[:, None]


def hops(seen: Sightings) -> int:
    """Frames in the time that velocities are taken over."""
    return min(16, int(MOTION_SPAN_S / (seen.step_s or MOTION_SPAN_S) + 0.5))


def along(neighbour: Integers, place: int, count: int) -> Integers:
    """At most so many sightings of a track from one on."""
    found = [place]
    while len(found) < count and neighbour[found[-1]] >= 0:
        found.append(int(neighbour[found[-1]]))
    return np.array(found)
