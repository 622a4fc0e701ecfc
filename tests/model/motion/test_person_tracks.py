from __future__ import annotations

import numpy as np
import pytest
from walking_boxes import walk

from hierprob3d.model.motion.person_tracks import track_people
from hierprob3d.model.motion.sightings import Sightings

CROSSING = [(100.0, 300.0, 120.0, 0.0), (500.0, 310.0, -120.0, 0.0), (300.0, 700.0, 40.0, 0.0)]


def assert_same_people(track_ids: np.ndarray, who: np.ndarray) -> None:
    """One track for each person, and one person for each track."""
    assert len(set(zip(track_ids, who, strict=True))) == len(set(track_ids)) == len(set(who))


@pytest.mark.parametrize("fps", [5, 25, 60])
def test_people_who_cross_keep_their_numbers(fps: int) -> None:
    seen, who = walk(CROSSING, np.arange(3 * fps) / fps)
    tracks = track_people(seen)
    assert_same_people(tracks.track_ids, who)
    assert tracks.track_ids[:3].tolist() == [0, 1, 2]  # in the order of appearance
    is_first = tracks.previous < 0
    assert (tracks.link_confidences[is_first] == 1).all() and is_first.sum() == 3
    assert (who[tracks.previous[~is_first]] == who[~is_first]).all()


def test_the_one_behind_is_hidden_while_they_cross() -> None:
    # They meet after 1.7 s, where the second is not found for 0.8 s.
    seen, who = walk(
        CROSSING, np.arange(90) / 30, lambda person, time: person != 1 or abs(time - 1.7) > 0.4
    )
    tracks = track_people(seen)
    assert_same_people(tracks.track_ids, who)
    gaps = seen.times - seen.times[tracks.previous]
    over_gap = (tracks.previous >= 0) & (gaps > 0.7)
    assert over_gap.sum() == 1
    usual = np.median(tracks.link_confidences)
    assert tracks.link_confidences[over_gap][0] < usual
    assert tracks.track_confidences[who == 1].max() < 0.9 * usual


def test_a_track_does_not_go_on_with_the_other_one() -> None:
    # Where they meet only one of two is found: first the one, then the other, at the same place.
    def is_seen(person: int, time: float) -> bool:
        return not (1.667 < time < 1.95 if person == 0 else 1.45 < time < 1.667)

    starts = [(100.0, 300.0, 180.0, 0.0), (700.0, 302.0, -180.0, 0.0)]
    seen, who = walk(starts, np.arange(85) / 25, is_seen)
    tracks = track_people(seen)
    assert_same_people(tracks.track_ids, who)
    assert tracks.track_confidences.max() < 0.7


@pytest.mark.parametrize(("pause", "num_tracks"), [(0.95, 2), (1.3, 3)])
def test_gaps_of_a_second(pause: float, num_tracks: int) -> None:
    times = np.arange(100) / 25
    seen, who = walk(CROSSING[:2], times, lambda who, time: who == 0 or not 1 < time < 1 + pause)
    assert track_people(seen, 1.0).track_ids.max() + 1 == num_tracks


def test_nobody_is_seen_for_a_while() -> None:
    times = np.arange(75) / 25
    seen, who = walk(CROSSING, times, lambda who, time: not 0.3 < time < 1.0)
    assert_same_people(track_people(seen).track_ids, who)


def test_frames_that_are_far_apart_are_unsure() -> None:
    near, _ = walk(CROSSING, np.arange(30) / 25)
    far, _ = walk(CROSSING, np.arange(3) * 1.5)
    assert track_people(near).track_confidences.min() > 0.7
    links = track_people(far)
    linked = links.link_confidences[links.previous >= 0]
    assert (linked < 0.6).all()


def test_one_person_one_frame_and_nobody() -> None:
    seen, _ = walk(CROSSING[:1], np.zeros(1))
    assert track_people(seen).track_ids.tolist() == [0]
    nobody = Sightings(*(np.empty(shape) for shape in ((0,), (0,), (0, 4), (0, 17, 3))))
    assert track_people(nobody).track_ids.tolist() == []


def test_somebody_found_twice_for_a_moment_stays_one_track() -> None:
    seen, who = walk(CROSSING[:1], np.arange(40) / 25)
    part = seen.boxes[20] + [12.0, 12.0, -12.0, -30.0]  # the same keypoints in a smaller box
    order = np.argsort(np.append(seen.frame_indices, 20), kind="stable")
    twice = Sightings(
        *(np.append(values, [value], axis=0)[order]
          for values, value in ((seen.frame_indices, 20), (seen.times, seen.times[20]),
                                (seen.boxes, part), (seen.keypoints, seen.keypoints[20]))),
    )  # fmt: skip
    assert twice.twins.tolist() == [[20, 21]] and twice.have_twin.sum() == 2
    tracks = track_people(twice)
    assert len(set(tracks.track_ids)) == 2
    assert np.bincount(tracks.track_ids).tolist() in ([40, 1], [1, 40])


def test_who_has_the_keypoints_of_another_is_told_by_the_box() -> None:
    # Where they pass, the one behind is found with the keypoints of the one in front.
    seen, who = walk(CROSSING[:2], np.arange(75) / 25)
    front, behind = (np.flatnonzero(who == person) for person in (0, 1))
    near = np.abs(seen.centres[front, 0] - seen.centres[behind, 0]) < 60
    keypoints = seen.keypoints.copy()
    keypoints[behind[near]] = keypoints[front[near]]
    passing = Sightings(seen.frame_indices, seen.times, seen.boxes, keypoints)
    assert near.sum() > 5 and passing.have_twin.sum() == 2 * near.sum()
    assert np.isnan(passing.trunks[behind[near]]).all()
    assert_same_people(track_people(passing).track_ids, who)


def test_keypoints_that_are_guesses_leave_it_to_the_boxes() -> None:
    seen, who = walk(CROSSING, np.arange(50) / 25)
    guesses = np.random.default_rng(1).uniform(0, 500, seen.keypoints.shape) * [1, 1, 0]
    blind = Sightings(seen.frame_indices, seen.times, seen.boxes, guesses)
    assert_same_people(track_people(blind).track_ids, who)
