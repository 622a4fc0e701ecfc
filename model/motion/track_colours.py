"""What tracks wear: colours over some sightings, where they change, and how alike they are."""

from __future__ import annotations

import numpy as np

from .sightings import Floats, Integers, Sightings, colour_distances
from .track_links import along

_MIN_CHANGE = 20.0
"""Distance between the colours before and after that one person's do not have."""

_MIN_SIGHTINGS = 2
"""On either side, that tell a change from noise."""


def colours_along(
    seen: Sightings, neighbour: Integers, places: Integers, count: int
) -> tuple[Floats, Integers]:
    """(M, 5, 3) median colours of sightings and those before them, or after; and of how many.

    Args:
        seen: the people of a video.
        neighbour: (N,) sighting before each one, or after it; -1 where there is none.
        places: (M,) sightings to begin at.
        count: sightings that are looked at, at most.
    """
    colours = np.full((count, len(places), *seen.known_colours.shape[1:]), np.nan, np.float32)
    for hop in range(count):
        on = places >= 0
        colours[hop, on] = seen.known_colours[places[on]]
        places = np.where(on, neighbour[places], -1)
    counts = (~np.isnan(colours[..., 0])).sum(0)
    colours.sort(axis=0)  # unknown ones last
    middle = [np.take_along_axis(colours, place[None, ..., None], axis=0)[0]
              for place in (np.maximum(counts - 1, 0) // 2, counts // 2)]  # fmt: skip
    return (middle[0] + middle[1]) / 2, counts.max(1, initial=0)


def changes(seen: Sightings, previous: Integers, following: Integers, count: int) -> Integers:
    """Sightings after which a track wears something else, the greatest change first.

    Args:
        seen: the people of a video.
        previous: (N,) sighting before each one; -1 where there is none.
        following: (N,) the one after it, likewise.
        count: sightings on either side whose colours are compared, at most.
    """
    first = np.flatnonzero(following >= 0)
    second = following[first]
    before, num_before = colours_along(seen, previous, first, count)
    after, num_after = colours_along(seen, following, second, count)
    apart = colour_distances(before, after)
    is_sure = np.minimum(num_before, num_after) >= _MIN_SIGHTINGS
    found = np.flatnonzero(is_sure & (apart >= _MIN_CHANGE))
    chosen, is_taken = list[int](), np.zeros(len(seen), bool)
    for number in found[np.argsort(-apart[found], kind="stable")]:
        if is_taken[first[number]]:
            continue
        chosen.append(int(first[number]))
        for neighbour, place in ((previous, first[number]), (following, second[number])):
            is_taken[along(neighbour, place, count)] = True  # the same change seen from beside it
    return np.array(chosen, np.int64)
