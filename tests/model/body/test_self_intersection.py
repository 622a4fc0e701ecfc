"""The measure finds limbs in the body, leaves natural poses alone, and needs no mesh."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from hierprob3d.model.body.self_intersection import penetration_depth, self_intersection
from hierprob3d.model.body.skeleton import INTERSECTION_TOLERANCE_M
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat


def posed(**rotvecs: tuple[float, float, float]) -> torch.Tensor:
    """One pose (23, 3, 3), by the numbers of body joints as j16 ..."""
    pose = torch.zeros(23, 3)
    for joint, rotvec in rotvecs.items():
        pose[int(joint[1:]) - 1] = torch.tensor(rotvec)
    return rotvec_to_rotmat(pose)


def test_an_arm_in_the_trunk_is_found_and_a_t_pose_is_clear() -> None:
    # The left upper arm turned down, past the side.
    entering = posed(j16=(0, 0, -1.9), j18=(0, 0, -0.6))
    clear, deep = self_intersection(torch.stack([posed(), entering]))
    assert clear == 0 and deep > INTERSECTION_TOLERANCE_M


def test_legs_that_cross_through_each_other_are_found() -> None:
    crossed = posed(j1=(0, 0, -0.35), j2=(0, 0, 0.35))
    apart = posed(j1=(0, 0, 0.2), j2=(0, 0, -0.2))
    depth = self_intersection(torch.stack([crossed, apart]))
    assert depth[0] > INTERSECTION_TOLERANCE_M and depth[1] == 0


def test_both_sides_are_measured_alike() -> None:
    generator = np.random.default_rng(2)
    rotvecs = torch.from_numpy(generator.normal(0, 0.6, (60, 23, 3)))
    flip = [1, 0, 2, 4, 3, 5, 7, 6, 8, 10, 9, 11, 13, 12, 14, 16, 15, 18, 17, 20, 19, 22, 21]
    mirrored = rotvecs[:, flip] * torch.tensor([1.0, -1.0, -1.0])
    depths = [self_intersection(rotvec_to_rotmat(some)) for some in (rotvecs, mirrored)]
    assert (depths[0] > 0.01).sum() > 10
    torch.testing.assert_close(*depths)


def test_many_poses_in_any_shape_are_what_each_is_alone() -> None:
    poses = rotvec_to_rotmat(torch.from_numpy(np.random.default_rng(1).normal(0, 0.6, (6, 23, 3))))
    together = self_intersection(poses.unflatten(0, (2, 3)))
    alone = torch.stack([penetration_depth(pose[None]).max() for pose in poses])
    torch.testing.assert_close(together.flatten(), alone)
    torch.testing.assert_close(self_intersection(poses[0]), alone[0])
    assert self_intersection(poses[:0]).shape == (0,)


def test_recorded_poses_touch_themselves_and_are_rarely_taken_for_wrong(
    shared_poses: Path,
) -> None:
    poses = np.load(shared_poses / "open_poses_val.npz")["poses"].reshape(-1, 24, 3)[:, 1:]
    depth = self_intersection(rotvec_to_rotmat(torch.from_numpy(poses).float()))
    assert (depth > INTERSECTION_TOLERANCE_M).float().mean() < 0.015 < (depth > 0).float().mean()
