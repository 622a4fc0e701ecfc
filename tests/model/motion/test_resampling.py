from __future__ import annotations

import numpy as np
import pytest
import torch

from hierprob3d.model.motion.resampling import even_times, frame_rate
from hierprob3d.model.rotation.rotations import rotmat_to_unitquat, rotvec_to_rotmat


@pytest.mark.parametrize("rate", [24000 / 1001, 25, 30000 / 1001, 30, 60000 / 1001])
@pytest.mark.parametrize("hop", [1, 5])
def test_rates_are_told_from_times_in_milliseconds(rate: float, hop: int) -> None:
    frames = np.delete(np.arange(0, 150, hop), [7, 8, 15])  # some that failed are not there
    times = 3.2 + np.round(frames / rate, 3)
    assert frame_rate(frames, times) == pytest.approx(rate / hop, rel=1e-12)


def test_a_rate_that_no_video_has_stays_and_one_frame_has_none() -> None:
    times = np.arange(40) / 17.3
    assert frame_rate(np.arange(40), times) == pytest.approx(17.3)
    assert frame_rate(np.array([3]), np.array([0.1])) is None
    # Two a second of a video of 29.97: now 14, now 15 or 16 frames further.
    frames = np.round(np.arange(20) / 2 * 30000 / 1001).astype(int)
    assert frame_rate(frames, frames * 1001 / 30000) == pytest.approx(2, rel=0.01)


def test_rows_at_even_times_are_taken_as_they_are_and_gaps_are_bridged() -> None:
    frames = np.array([0, 1, 2, 5, 6])
    times = 1 + np.round(frames * 1001 / 30000, 3)
    even = even_times(times, 30000 / 1001)
    assert even.is_row.tolist() == [True, True, True, False, False, True, True]
    assert even.before[even.is_row].tolist() == [0, 1, 2, 3, 4]
    values = even.values(frames[:, None].astype(float))[:, 0]
    np.testing.assert_allclose(values, range(7), atol=0.05)
    assert even.nearest.tolist() == [0, 1, 2, 2, 3, 3, 4]


def test_another_rate_lies_between_rows_on_the_shortest_turn() -> None:
    times = np.arange(26) / 25
    turns = torch.zeros(26, 3, dtype=torch.float64)
    turns[:, 0] = torch.from_numpy(4 * times)  # past half a circle
    even = even_times(times, 30)
    quats = rotmat_to_unitquat(rotvec_to_rotmat(turns)).numpy()
    found = even.rotations(quats)
    expected = torch.zeros(len(found), 3, dtype=torch.float64)
    expected[:, 0] = torch.arange(len(found)) * 4 / 30
    cosines = np.abs((found * rotmat_to_unitquat(rotvec_to_rotmat(expected)).numpy()).sum(-1))
    # A row within 0.3 of a step is taken for the time itself.
    assert len(found) == 31 and np.rad2deg(2 * np.arccos(cosines.clip(max=1))).max() < 3


def test_one_row() -> None:
    even = even_times(np.array([0.0]), 30)
    assert even.before.tolist() == [0] and even.is_row.tolist() == [True]
