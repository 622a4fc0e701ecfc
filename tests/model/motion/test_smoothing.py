from __future__ import annotations

import numpy as np
import torch

from hierprob3d.model.motion.smoothing import smooth_rotations, smooth_values
from hierprob3d.model.rotation.rotations import rotmat_to_unitquat, rotvec_to_rotmat

TIMES = np.array([0.0, 0.1, 0.25, 0.3, 0.7, 0.0, 0.2, 0.3])
TRACKS = np.array([0, 0, 0, 0, 0, 1, 1, 1])


def test_it_is_the_minimum_of_its_cost() -> None:
    generator = np.random.default_rng(0)
    values, weights = generator.normal(size=(8, 2)), generator.uniform(1, 3, 8)
    # Second derivatives over three uneven steps, by hand.
    rows = []
    for start in (0, 1, 2, 5):
        before, after = np.diff(TIMES[start : start + 3])
        row = np.zeros(8)
        row[start : start + 3] = 1 / before, -1 / before - 1 / after, 1 / after
        rows.append(row * 2 / (before + after) * np.sqrt((before + after) / 2))
    bending = 0.01 * np.stack(rows).T @ np.stack(rows)
    first = np.linalg.solve(np.diag(weights) + bending, weights[:, None] * values)
    robust = weights / (1 + weights * np.square(values - first).sum(-1) / 4)
    expected = np.linalg.solve(np.diag(robust) + bending, robust[:, None] * values)
    found = smooth_values(values, weights, TIMES, TRACKS, 0.01)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def quats_of(angles: np.ndarray) -> np.ndarray:
    """(N, 1, 4) turns about an oblique axis."""
    axis = torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)
    rotvecs = torch.from_numpy(angles)[:, None, None] * axis
    return rotmat_to_unitquat(rotvec_to_rotmat(rotvecs)).numpy()


def angles_of(quats: np.ndarray) -> np.ndarray:
    """The turns of `quats_of`, up to whole ones."""
    return 2 * np.arctan2(quats[:, 0, 1] / 0.6, quats[:, 0, 0])


def test_turns_stay_turns_also_past_half_a_circle() -> None:
    # A steady turn through three circles is smooth as it is, whatever signs quaternions have.
    times = np.arange(60) / 30
    turn = quats_of(2 * np.pi * 1.5 * times)
    weights, tracks = np.full((60, 1), 50.0), np.zeros(60, int)
    found = smooth_rotations(turn, weights, times, tracks, 1e-4)
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1, atol=1e-12)
    cosines = np.abs((found * turn).sum(-1))[5:-5]
    assert np.rad2deg(2 * np.arccos(cosines.clip(max=1))).max() < 3


def test_noise_goes_sure_rows_and_motion_stay() -> None:
    generator = np.random.default_rng(1)
    times = np.arange(100) / 25
    true = 0.8 * np.sin(2 * np.pi * times)
    weights = np.full((100, 1), 1 / 0.1**2)
    noisy = true + generator.normal(0, 0.1, 100)
    noisy[50], weights[50] = true[50], 1 / 0.001**2
    found = angles_of(smooth_rotations(quats_of(noisy), weights, times, np.zeros(100, int), 1e-3))
    assert np.abs(found[50] - true[50]) < 0.003
    assert np.abs(found - true).mean() < 0.75 * np.abs(noisy - true).mean()
    jerk = np.abs(np.diff(found, 2)).mean()
    assert jerk < 0.5 * np.abs(np.diff(noisy, 2)).mean()


def test_a_gross_error_is_outvoted() -> None:
    times = np.arange(20) / 25
    angles = np.full(20, 0.3)
    angles[10] = 2.5
    weights = np.full((20, 1), 100.0)
    found = angles_of(smooth_rotations(quats_of(angles), weights, times, np.zeros(20, int), 1e-2))
    np.testing.assert_allclose(found, 0.3, atol=0.05)


def test_tracks_do_not_touch_each_other_and_long_steps_are_hardly_smoothed() -> None:
    generator = np.random.default_rng(2)
    values, weights = generator.normal(size=(8, 1)), np.full(8, 20.0)
    both = smooth_values(values, weights, TIMES, TRACKS, 0.01)
    alone = smooth_values(values[5:], weights[5:], TIMES[5:], TRACKS[5:], 0.01)
    np.testing.assert_allclose(both[5:], alone, atol=1e-12)
    far = smooth_values(values, weights, 20 * TIMES, TRACKS, 0.01)
    np.testing.assert_allclose(far, values, atol=1e-2)
