"""Who is who in a video: sightings become tracks, by keypoints and boxes.

The whole video is at hand, so nothing is decided in passing. People of frames that follow each
other are matched by the assignment with the largest similarity, first where they were, then where
their motion so far takes them. Tracks that end where another begins a little later are joined
likewise, by how far both motions miss each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .pair_matching import Matched, match_pairs
from .sightings import Floats, Integers, Sightings, colour_similarity, looks_alike, pair_similarity
from .track_colours import changes, colours_along
from .track_links import MOTION_SPAN_S, Links, along, hops, velocities

_MIN_SIMILARITY = 0.2
"""Of sightings in frames that follow each other."""

_REACH, _REACH_PER_S = 2.0, 4.0
"""Sizes that somebody moves at most between frames; boxes of people half hidden jump."""

_MIN_JOIN = 0.03
"""Of an end and a beginning."""

_JOIN_TOLERANCE, _JOIN_DRIFT_PER_S = 0.2, 0.5
"""Distance that two motions may miss each other by, as a share of the person's size."""

_SIZE_TOLERANCE, _SIZE_DRIFT_PER_S = 0.15, 0.25
"""Change of the size, in its logarithm: people bend and are half hidden."""

_BOX_SHARE = 0.6
"""Boxes change more: people are half hidden."""

_OWN = 0.4
"""What speaks for the nearest match where it was cut."""

_MAX_BEND = 1.6
"""Change of a velocity from one frame to the next that nobody's motion has, sizes per second."""

_BEND_TOLERANCE, _BEND_DRIFT_PER_S = 0.8, 4.0
"""Change of it over a gap, likewise."""

_HOPS_APART = 5
"""Sightings on either side of a bend that are needed to tell it from noise."""

_SIGHTINGS_BESIDE, _SIGHTINGS_JOINED = 6, 16
"""Sightings that tell what a track wears on either side of a link, and at either side of a gap."""

_JOIN_COLOUR_TOLERANCE = 15.0
"""Mean distance between the colours of a person's parts before and after a gap."""


@dataclass(frozen=True)
class Tracks:
    """Which sightings of a video are one person."""

    track_ids: Integers
    """(N,) from 0, in the order in which people appear."""
    previous: Integers
    """(N,) number of the track's sighting before; -1 for its first."""
    link_confidences: Floats
    """(N,) how sure it is that the sighting before is of the same person, 0 to 1; 1 for a first."""

    @property
    def track_confidences(self) -> Floats:
        """(N,) how sure it is that the track is one person: the smallest of its links."""
        smallest = np.ones(self.track_ids.max(initial=-1) + 1)
        np.minimum.at(smallest, self.track_ids, self.link_confidences)
        return smallest[self.track_ids]


def track_people(seen: Sightings, max_gap_s: float = 1.0) -> Tracks:
    """The tracks of a video.

    Args:
        seen: the people of all its frames.
        max_gap_s: how long somebody may be out of sight. Where frames are further apart than that,
            people are looked for in the next one only.
    """
    first, second = _pairs_of_frames(seen, max_gap_s)
    links = Links.none(len(seen))
    alike = looks_alike(seen, first, second)
    for _ in range(2):  # the second time with the velocities of the first
        shifts = _shifts(seen, links, first, second)
        links = Links.none(len(seen))
        similarity = pair_similarity(seen, first, second, shifts) * alike
        links.add(match_pairs(seen, first, second, similarity, _MIN_SIMILARITY))
    _go_on_with_twins(seen, links)
    was_next = links.next.copy()
    _cut_changes(seen, links)
    _cut_bends(seen, links)
    links.add(_joined(seen, links, was_next, max_gap_s))
    return Tracks(_labels(links), links.previous, links.confidences)


def _pairs_of_frames(seen: Sightings, max_gap_s: float) -> tuple[Integers, Integers]:
    """(M,) and (M,): everybody of a frame with those of the next one that may be them."""
    _, starts, counts = np.unique(seen.frame_indices, return_index=True, return_counts=True)
    if len(starts) < 2:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    steps = np.diff(seen.times[starts])
    is_near = steps <= max(max_gap_s, 1.5 * float(np.median(steps)))
    before, after = np.flatnonzero(is_near), np.flatnonzero(is_near) + 1
    sizes = counts[before] * counts[after]
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    width = np.repeat(counts[after], sizes)
    first = np.repeat(starts[before], sizes) + within // width
    second = np.repeat(starts[after], sizes) + within % width
    apart = np.abs(seen.centres[first] - seen.centres[second]).max(-1)
    reach = _REACH + _REACH_PER_S * (seen.times[second] - seen.times[first])
    is_in_reach = apart < reach * np.maximum(seen.sizes[first], seen.sizes[second])
    return first[is_in_reach], second[is_in_reach]


def _shifts(seen: Sightings, links: Links, first: Integers, second: Integers) -> Floats:
    """(M, 2) how far the first of each pair moves until the second, as it did so far."""
    velocity = velocities(seen, links.previous, np.arange(len(seen)))
    return velocity[first] * (seen.times[second] - seen.times[first])[:, None]


def _go_on_with_twins(seen: Sightings, links: Links) -> None:
    """Where a track ends in one of two twins, and the other begins one, it goes on with that."""
    for pair in seen.twins:
        for last, other in (pair, pair[::-1]):
            ends = links.next[last] < 0 <= links.previous[last]
            if ends and links.previous[other] < 0 <= links.next[other]:
                before = links.previous[last]
                links.next[before], links.previous[other] = other, before
                links.confidences[other] = links.confidences[last]
                links.previous[last], links.confidences[last] = -1, 1


def _cut_bends(seen: Sightings, links: Links) -> None:
    """Cuts links at which a motion bends as no motion does, beside somebody else.

    Where two pass before each other, and one of them is not found, the nearest match may go on
    with the other: what comes after tells.
    """
    first = np.flatnonzero(links.next >= 0)
    second = links.next[first]
    bends = _bends(seen, links, first, second)
    for number in np.argsort(-bends, kind="stable"):
        if bends[number] < _MAX_BEND:
            break
        one, other = first[number], second[number]
        near = along(links.previous, one, _HOPS_APART), along(links.next, other, _HOPS_APART)
        has_both = all(len(side) == _HOPS_APART for side in near)  # else the velocities are noise
        if has_both and _is_near_others(seen, one, np.concatenate(near)):
            links.cut(one)


def _cut_changes(seen: Sightings, links: Links) -> None:
    """Cuts links after which somebody wears something else."""
    if seen.colours is None:
        return
    for place in changes(seen, links.previous, links.next, _SIGHTINGS_BESIDE):
        links.cut(place)


def _bends(seen: Sightings, links: Links, first: Integers, second: Integers) -> Floats:
    """(M,) change of the velocity from before the first to after the second, sizes per second."""
    before = velocities(seen, links.previous, first)
    after = velocities(seen, links.next, second)
    size = np.sqrt(seen.sizes[first] * seen.sizes[second])
    is_known = (links.previous[first] >= 0) & (links.next[second] >= 0)
    return np.where(is_known, np.linalg.norm(after - before, axis=-1) / size, 0)


def _is_near_others(seen: Sightings, place: int, own: Integers) -> bool:
    """Whether anybody else is seen close by, within the time that velocities are taken over."""
    start = np.searchsorted(seen.times, seen.times[place] - MOTION_SPAN_S)
    stop = np.searchsorted(seen.times, seen.times[place] + MOTION_SPAN_S, "right")
    others = np.setdiff1d(np.arange(start, stop), own)
    apart = np.linalg.norm(seen.centres[others] - seen.centres[place], axis=-1)
    return bool((apart < seen.sizes[place] / 2).any())


def _joined(seen: Sightings, links: Links, was_next: Integers, max_gap_s: float) -> Matched:
    """Ends of tracks with the beginnings of others a little later, or their own where cut."""
    is_double = (links.next < 0) & (links.previous < 0) & seen.have_twin  # found twice, for once
    ends = np.flatnonzero((links.next < 0) & ~is_double)
    beginnings = np.flatnonzero((links.previous < 0) & ~is_double)
    times = seen.times[beginnings]
    order = np.argsort(times, kind="stable")
    beginnings, times = beginnings[order], times[order]
    low = np.searchsorted(times, seen.times[ends], "right")
    high = np.searchsorted(times, seen.times[ends] + max_gap_s + 1e-6, "right")
    counts = np.maximum(high - low, 0)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    first = np.repeat(ends, counts)
    second = beginnings[np.repeat(low, counts) + within]
    similarity = _join_similarity(seen, links, first, second)
    similarity = similarity + _OWN * (1 - similarity) * (was_next[first] == second)
    return match_pairs(seen, first, second, similarity, _MIN_JOIN)


def _join_similarity(
    seen: Sightings, links: Links, first: Integers, second: Integers
) -> NDArray[np.float64]:
    """How well the motion before a gap leads to the one after it, and back; 0 to 1."""
    elapsed = (seen.times[second] - seen.times[first])[:, None]
    before = velocities(seen, links.previous, first)
    after = velocities(seen, links.next, second)
    miss = seen.places[second] - seen.places[first]
    forward = np.linalg.norm(miss - before * elapsed, axis=-1)
    backward = np.linalg.norm(miss - after * elapsed, axis=-1)
    size = np.sqrt(seen.sizes[first] * seen.sizes[second])
    allowed = size * (_JOIN_TOLERANCE + _JOIN_DRIFT_PER_S * elapsed[:, 0])
    growth = _growth(seen, links, first, second)
    growth = growth / (_SIZE_TOLERANCE + _SIZE_DRIFT_PER_S * elapsed[:, 0])
    distance = np.minimum(forward, backward) / allowed
    bend = _bends(seen, links, first, second)
    bend = bend / (_BEND_TOLERANCE + _BEND_DRIFT_PER_S * elapsed[:, 0])
    moves = np.exp(-(np.square(distance) + np.square(growth) + np.square(bend)) / 2)
    if seen.colours is None:
        return moves
    before, _ = colours_along(seen, links.previous, first, _SIGHTINGS_JOINED)
    after, _ = colours_along(seen, links.next, second, _SIGHTINGS_JOINED)
    return moves * colour_similarity(before, after, _JOIN_COLOUR_TOLERANCE)


def _growth(
    seen: Sightings, links: Links, first: Integers, second: Integers
) -> NDArray[np.float64]:
    """(M,) change of the size over gaps, in its logarithm: of the trunk, else of the box."""
    before, after = (
        seen.trunks[_nearest_known(seen, neighbour, some)]
        for neighbour, some in ((links.previous, first), (links.next, second))
    )
    of_boxes = np.log(seen.sizes[second] / seen.sizes[first])
    of_trunks = np.log(after / before)
    return np.abs(np.where(np.isnan(of_trunks), of_boxes * _BOX_SHARE, of_trunks))


def _nearest_known(seen: Sightings, neighbour: Integers, found: Integers) -> Integers:
    """(M,) for each of some sightings the nearest along its track whose trunk is seen."""
    for _ in range(hops(seen)):
        is_blind = np.isnan(seen.trunks[found]) & (neighbour[found] >= 0)
        found = np.where(is_blind, neighbour[found], found)
    return found


def _labels(links: Links) -> Integers:
    """(N,) numbers of tracks in the order of their first sightings."""
    later = np.flatnonzero(links.previous >= 0)
    size = len(links.previous)
    edges = (np.ones(len(later)), (links.previous[later], later))
    _, labels = connected_components(coo_array(edges, shape=(size, size)), directed=False)
    _, starts, inverse = np.unique(labels, return_index=True, return_inverse=True)
    ranks = np.empty(len(starts), np.int64)
    ranks[np.argsort(starts, kind="stable")] = np.arange(len(starts))
    return ranks[inverse]
