"""Pairs of sightings that are one person: the assignment with the largest similarity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .sightings import Floats, Integers, Sightings

_RESERVE, _RESERVE_PER_S = 0.15, 0.5
"""Similarity that a rival whom nobody has seen may have, more so over a longer time."""


@dataclass(frozen=True)
class Matched:
    """Pairs of sightings that are one person."""

    first: Integers
    second: Integers
    confidences: Floats


def match_pairs(
    seen: Sightings, first: Integers, second: Integers, similarity: Floats, least: float
) -> Matched:
    """The pairs of the assignment with the largest similarity, of those that are alike at all."""
    alike = np.flatnonzero(similarity >= least)
    if not len(alike):
        return Matched(alike, alike, np.empty(0))
    # An earlier and a later sighting are two nodes: what hangs together is decided together.
    edges = (np.ones(len(alike)), (first[alike], second[alike] + len(seen)))
    graph = coo_array(edges, shape=(2 * len(seen), 2 * len(seen)))
    _, labels = connected_components(graph, directed=False)
    order = np.argsort(labels[first[alike]], kind="stable")
    alike, group = alike[order], labels[first[alike]][order]
    bounds = np.flatnonzero(np.diff(group, prepend=-1, append=-1))
    is_alone = np.diff(bounds) == 1
    chosen = [alike[bounds[:-1][is_alone]]]
    for start, end in zip(bounds[:-1][~is_alone], bounds[1:][~is_alone], strict=True):
        some = alike[start:end]
        chosen.append(some[_best(first[some], second[some], similarity[some])])
    pairs = np.concatenate(chosen)
    confidences = _confidences(seen, first, second, similarity, pairs)
    return Matched(first[pairs], second[pairs], confidences)


def _best(first: Integers, second: Integers, similarity: Floats) -> Integers:
    """Which of some pairs the assignment takes."""
    row, column = _numbered(first), _numbered(second)
    number = np.full((row.max() + 1, column.max() + 1), -1)
    number[row, column] = np.arange(len(first))
    weights = np.where(number >= 0, similarity[number], 0)
    taken = number[linear_sum_assignment(weights, maximize=True)]
    return taken[taken >= 0]


def _numbered(some: Integers) -> Integers:
    """Small numbers for sightings: of one frame they lie side by side, else they are ranked."""
    from_first = some - some.min()
    if from_first.max() < 2 * len(some):
        return from_first
    return np.unique(some, return_inverse=True)[1]


def _confidences(
    seen: Sightings, first: Integers, second: Integers, similarity: Floats, pairs: Integers
) -> Floats:
    """How far chosen pairs stand out against all others with either of them."""
    rivals = similarity.copy()
    rivals[pairs] = 0
    strongest = np.zeros((2, len(seen)))
    np.maximum.at(strongest[0], first, rivals)
    np.maximum.at(strongest[1], second, rivals)
    first, second, best = first[pairs], second[pairs], similarity[pairs]
    rival = np.maximum(strongest[0][first], strongest[1][second])
    elapsed = seen.times[second] - seen.times[first]
    return best / (best + rival + _RESERVE + _RESERVE_PER_S * elapsed)
