from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hierprob3d.model.body.self_intersection import penetration_depth
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.training.poses.joint_limits import HIGHEST, LOWEST, TWIST_AXES
from hierprob3d.training.poses.pose_sampler import (
    PoseSampler,
    PoseSamplerConfig,
    rotvec_to_swing_twist,
    swing_twist_to_rotvec,
)
from hierprob3d.training.random.draws import Draws, seeded_generator


def draws(seed: int) -> Draws:
    return Draws(seeded_generator("cpu", seed))


def test_swing_twist_is_swing_after_twist_and_turns_back() -> None:
    rotvecs = torch.from_numpy(np.random.default_rng(0).normal(0, 0.7, (20, 24, 3)))
    swing_twist = rotvec_to_swing_twist(rotvecs)
    torch.testing.assert_close(swing_twist_to_rotvec(swing_twist), rotvecs, atol=1e-9, rtol=0)
    swing = Rotation.from_rotvec((swing_twist.numpy() * (1 - TWIST_AXES)).reshape(-1, 3))
    twist = Rotation.from_rotvec((swing_twist.numpy() * TWIST_AXES).reshape(-1, 3))
    expected = Rotation.from_rotvec(rotvecs.numpy().reshape(-1, 3))
    assert ((swing * twist).inv() * expected).magnitude().max() < 1e-9


def test_a_pure_twist_has_no_swing() -> None:
    rotvecs = torch.from_numpy(TWIST_AXES[None] * 0.4)
    torch.testing.assert_close(rotvec_to_swing_twist(rotvecs), rotvecs, atol=1e-12, rtol=0)


def test_same_generator_same_poses(pose_file: Path) -> None:
    sampler = PoseSampler(pose_file)
    first, again = (sampler.sample(draws(5), 8) for _ in range(2))
    assert torch.equal(first, again)
    assert first.shape == (8, 24, 3) and first.isfinite().all()


def test_only_the_allowed_tier_is_drawn(pose_file: Path) -> None:
    assert len(PoseSampler(pose_file).poses) == 20
    assert len(PoseSampler(pose_file, PoseSamplerConfig(tiers="AB")).poses) == 40
    with pytest.raises(ValueError, match="tier 'C'"):
        PoseSampler(pose_file, PoseSamplerConfig(tiers="C"))


def test_joints_stay_within_their_limits(pose_file: Path) -> None:
    poses = PoseSampler(pose_file).sample(draws(1), 200)
    swing_twist = rotvec_to_swing_twist(poses.double())[:, 1:].numpy()
    assert (swing_twist >= LOWEST[1:] - 1e-5).all() and (swing_twist <= HIGHEST[1:] + 1e-5).all()


def test_no_pose_enters_itself_deeper_than_recorded_ones(pose_file: Path) -> None:
    sampler = PoseSampler(pose_file)
    recorded, sampled = (
        penetration_depth(rotvec_to_rotmat(poses[:, 1:])).amax(0)
        for poses in (sampler.poses, sampler.sample(draws(3), 300))
    )
    assert (sampled <= recorded + sampler.config.tolerance + 1e-5).all()


def test_recombination_mixes_limbs_of_several_clips(pose_file: Path) -> None:
    sampler = PoseSampler(pose_file, PoseSamplerConfig(noise=0.0))
    poses = sampler.sample(draws(4), 200)
    legs, arms = [1, 2, 4, 5, 7, 8], [16, 18, 20]
    of_legs, of_arms = (
        torch.cdist(poses[:, part].flatten(1), sampler.poses[:, part].flatten(1)).min(1)
        for part in (legs, arms)
    )
    assert of_legs.values.max() < 1e-4 and of_arms.values.max() < 1e-4  # recorded, each for itself
    other = sampler.clips[of_legs.indices] != sampler.clips[of_arms.indices]
    assert 0.3 < other.float().mean() < 0.9


def test_headings_go_all_around_and_bodies_stay_upright(pose_file: Path) -> None:
    poses = PoseSampler(pose_file).sample(draws(2), 500)
    pelvis = Rotation.from_rotvec(poses[:, 0].numpy())
    forward, up = pelvis.apply([0, 0, 1]), pelvis.apply([0, 1, 0])
    assert up[:, 1].min() > 0.6
    assert set(np.sign(forward[:, 0])) == {-1, 1} and set(np.sign(forward[:, 2])) == {-1, 1}


def test_the_camera_looks_from_as_high_as_it_is_told(pose_file: Path) -> None:
    def upright(pitch_std: float) -> np.ndarray:
        config = PoseSamplerConfig(camera_pitch_std=pitch_std, camera_roll_std=0.0)
        poses = PoseSampler(pose_file, config).sample(draws(2), 500)
        return Rotation.from_rotvec(poses[:, 0].numpy()).apply([0, 1, 0])  # recorded upright

    np.testing.assert_allclose(upright(0.0), np.tile([0, 1, 0], (500, 1)), atol=1e-5)
    tilted = upright(0.4)
    np.testing.assert_allclose(tilted[:, 0], 0, atol=1e-5)  # pitch turns about the x axis
    assert np.arcsin(tilted[:, 2]).std() == pytest.approx(0.4, rel=0.1)


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="data.train_poses"):
        PoseSampler(tmp_path / "none.npz")
    np.savez(tmp_path / "wrong.npz", poses=np.zeros((3, 63)))
    with pytest.raises(ValueError, match=r"\(N, 72\)"):
        PoseSampler(tmp_path / "wrong.npz")


def test_tumbled_people_are_turned_every_way_up(pose_file: Path) -> None:
    sampler = PoseSampler(pose_file, PoseSamplerConfig(tumbled=1.0))
    up = rotvec_to_rotmat(sampler.sample(draws(3), 4000)[:, 0])[:, :, 1]
    assert up.mean(0).abs().max() < 0.05  # no direction is favoured
    assert (up.square().mean(0) - 1 / 3).abs().max() < 0.03  # nor any axis: on the sphere 1/3 each


def test_contorted_poses_go_further_and_stay_within_limits(pose_file: Path) -> None:
    def swing_twist(contorted: float) -> np.ndarray:
        sampler = PoseSampler(pose_file, PoseSamplerConfig(contorted=contorted))
        return rotvec_to_swing_twist(sampler.sample(draws(4), 400).double())[:, 1:].numpy()

    usual, far = swing_twist(0.0), swing_twist(1.0)
    assert far.std(0).mean() > 1.2 * usual.std(0).mean()
    assert (far >= LOWEST[1:] - 1e-5).all() and (far <= HIGHEST[1:] + 1e-5).all()


def test_shares_of_tumbled_and_contorted_people_are_honoured(pose_file: Path) -> None:
    usual, some = (
        PoseSampler(pose_file, PoseSamplerConfig(noise=0.0, upper_body_swap=0, arm_swap=0, **share))
        for share in ({}, {"contorted": 0.25})
    )
    recorded = rotvec_to_rotmat(usual.poses[:, 1:])
    drawn = rotvec_to_rotmat(some.sample(draws(5), 400)[:, 1:])
    apart = (drawn[:, None] - recorded[None]).abs().amax((2, 3, 4)).amin(1)
    assert 0.1 < (apart > 1e-3).double().mean() < 0.3
