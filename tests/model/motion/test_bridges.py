from __future__ import annotations

import numpy as np
import pytest

from hierprob3d.model.motion.bridges import bridges


def test_frames_between_are_those_of_the_video() -> None:
    # Somebody in frames 0, 2 and 8 of every second frame, somebody else in 0, 2 and 6.
    frames = np.array([0, 2, 8, 0, 2, 6])
    missing = bridges(frames, frames / 10, np.array([0, 0, 0, 1, 1, 1]), 1.0)
    assert missing.frame_indices.tolist() == [4, 6, 4]  # nobody is seen in frame 4
    assert missing.before.tolist() == [1, 1, 4]
    assert missing.times == pytest.approx([0.4, 0.6, 0.4])
    assert missing.share == pytest.approx([1 / 3, 2 / 3, 1 / 2])


def test_longer_gaps_stay_open_and_tracks_apart() -> None:
    frames = np.array([0, 1, 12, 20, 21])
    times, tracks = frames / 10, np.array([0, 0, 0, 1, 1])
    assert not len(bridges(frames, times, tracks, 1.0).before)
    assert bridges(frames, times, tracks, 1.1).frame_indices.tolist() == list(range(2, 12))


def test_frames_that_were_taken_by_time_are_known_only_where_somebody_is() -> None:
    frames = np.array([0, 3, 8, 0, 3, 5, 8])  # 10 a second of 25
    missing = bridges(frames, frames / 25, np.array([0, 0, 0, 1, 1, 1, 1]), 1.0)
    assert missing.frame_indices.tolist() == [5]
    assert not len(bridges(frames[:3], frames[:3] / 25, np.zeros(3, int), 1.0).before)
    nobody = np.empty(0, int)
    assert not len(bridges(nobody, nobody / 25, nobody, 1.0).before)
