from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from training.joint_limits import HIGHEST, LOWEST, TWIST_AXES
from training.poses import (
    PoseSampler,
    PoseSamplerConfig,
    rotvec_to_swing_twist,
    swing_twist_to_rotvec,
)
from training.self_intersection import penetration_depth


def test_swing_twist_is_swing_after_twist_and_turns_back() -> None:
    rotvecs = np.random.default_rng(0).normal(0, 0.7, (20, 24, 3))
    swing_twist = rotvec_to_swing_twist(rotvecs)
    np.testing.assert_allclose(swing_twist_to_rotvec(swing_twist), rotvecs, atol=1e-9)
    swing = Rotation.from_rotvec((swing_twist * (1 - TWIST_AXES)).reshape(-1, 3))
    twist = Rotation.from_rotvec((swing_twist * TWIST_AXES).reshape(-1, 3))
    expected = Rotation.from_rotvec(rotvecs.reshape(-1, 3))
    assert ((swing * twist).inv() * expected).magnitude().max() < 1e-9


def test_a_pure_twist_has_no_swing() -> None:
    rotvecs = np.tile(TWIST_AXES * 0.4, (1, 1, 1))
    np.testing.assert_allclose(rotvec_to_swing_twist(rotvecs), rotvecs, atol=1e-12)


def test_an_arm_in_the_trunk_is_found_and_a_t_pose_is_clear() -> None:
    poses = np.zeros((2, 24, 3))
    poses[1, 16] = [0, 0, -1.9]  # the left upper arm turned down and past the side of the body
    poses[1, 18] = [0, 0, -0.6]
    depth = penetration_depth(poses)
    assert depth[0].max() == 0
    assert depth[1].max() > 0.02


def test_same_generator_same_poses(pose_file: Path) -> None:
    sampler = PoseSampler(pose_file)
    first = sampler.sample(np.random.default_rng(5), 8)
    again = sampler.sample(np.random.default_rng(5), 8)
    np.testing.assert_array_equal(first, again)
    assert first.shape == (8, 24, 3) and np.isfinite(first).all()


def test_only_the_allowed_tier_is_drawn(pose_file: Path) -> None:
    assert len(PoseSampler(pose_file).poses) == 20
    assert len(PoseSampler(pose_file, PoseSamplerConfig(tiers="AB")).poses) == 40
    with pytest.raises(ValueError, match="tier 'C'"):
        PoseSampler(pose_file, PoseSamplerConfig(tiers="C"))


def test_joints_stay_within_their_limits(pose_file: Path) -> None:
    poses = PoseSampler(pose_file).sample(np.random.default_rng(1), 200)
    swing_twist = rotvec_to_swing_twist(poses)[:, 1:]
    assert (swing_twist >= LOWEST[1:] - 1e-6).all() and (swing_twist <= HIGHEST[1:] + 1e-6).all()


def test_headings_go_all_around_and_bodies_stay_upright(pose_file: Path) -> None:
    poses = PoseSampler(pose_file).sample(np.random.default_rng(2), 500)
    pelvis = Rotation.from_rotvec(poses[:, 0])
    forward, up = pelvis.apply([0, 0, 1]), pelvis.apply([0, 1, 0])
    assert up[:, 1].min() > 0.6
    assert set(np.sign(forward[:, 0])) == {-1, 1} and set(np.sign(forward[:, 2])) == {-1, 1}


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="data.train_poses"):
        PoseSampler(tmp_path / "none.npz")
    np.savez(tmp_path / "wrong.npz", poses=np.zeros((3, 63)))
    with pytest.raises(ValueError, match=r"\(N, 72\)"):
        PoseSampler(tmp_path / "wrong.npz")
