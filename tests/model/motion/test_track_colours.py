from __future__ import annotations

import numpy as np
from walking_boxes import walk

from hierprob3d.model.motion.person_tracks import track_people
from hierprob3d.model.motion.sightings import Sightings, colour_distances
from hierprob3d.model.motion.track_colours import changes, colours_along

WORN = np.array([[60.0, 40, 0], [60, 0, 40]])


def dressed(seen: Sightings, who: np.ndarray, noise: float = 4.0) -> Sightings:
    """The same people, one in red and one in yellow."""
    colours = np.random.default_rng(0).normal(0, noise, (len(who), 5, 3))
    columns = (seen.frame_indices, seen.times, seen.boxes, seen.keypoints)
    return Sightings(*columns, colours + WORN[who][:, None])


def test_colours_tell_who_turned_round_behind_each_other() -> None:
    times = np.arange(90) / 25
    starts = [(100.0, 300.0, 120.0, 0.0), (500.0, 303.0, -120.0, 0.0)]
    seen, who = walk(starts, times, lambda person, time: abs(time - 1.67) > 0.12)
    turned = np.where(seen.times > 1.67, 1 - who, who)
    for looks, people in ((seen, who), (dressed(seen, turned), turned)):
        tracks = track_people(looks)
        assert len(set(zip(tracks.track_ids, people, strict=True))) == 2
        assert tracks.track_ids.max() == 1
    # Who cannot be told from the other by colours is told by the motion, as without.
    alike = track_people(dressed(seen, np.zeros(len(who), int)))
    assert len(set(zip(alike.track_ids, who, strict=True))) == 2


def test_a_change_of_clothes_is_found_where_it_is() -> None:
    seen, _ = walk([(100.0, 300.0, 20.0, 0.0)], np.arange(30) / 25)
    place = np.arange(30)
    previous, following = place - 1, np.append(place[1:], -1)
    changed = dressed(seen, (place > 12).astype(int))
    assert changes(changed, previous, following, 6).tolist() == [12]
    assert not len(changes(dressed(seen, np.zeros(30, int)), previous, following, 6))
    # One frame in which somebody else is before the person is none.
    assert not len(changes(dressed(seen, (place == 12).astype(int)), previous, following, 6))


def test_colours_of_hidden_parts_and_of_people_behind_others_are_not_known() -> None:
    starts = [(300.0, 300.0, 0.0, 0.0), (310.0, 320.0, 0.0, 0.0)]
    seen, who = walk(starts, np.arange(4) / 25)
    people = dressed(seen, who)
    assert people.are_covered.tolist() == (who == 0).tolist()
    assert np.isnan(people.known_colours[who == 0]).all()
    people.keypoints[who == 1, 13:, 2] = 0  # knees and feet
    columns = (seen.frame_indices, seen.times, seen.boxes, people.keypoints)
    legs_hidden = dressed(Sightings(*columns), who)
    known = ~np.isnan(legs_hidden.known_colours[who == 1]).any(-1)
    assert known.all(0).tolist() == [True, True, True, False, False]
    first, count = colours_along(legs_hidden, np.full(8, -1), np.flatnonzero(who == 1)[:1], 3)
    assert count.tolist() == [1] and np.isnan(first[0, 3:]).all()
    apart = colour_distances(first, np.full((1, 5, 3), np.nan))
    assert np.isnan(apart).all()
