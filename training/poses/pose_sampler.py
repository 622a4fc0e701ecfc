"""Random plausible body poses: motion-capture poses recombined, perturbed and checked.

Frame: y up, the T-pose faces +z, the body's left is +x.  All of a batch is done at once, on the
device of the generator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hierprob3d.configs.training import check_shares
from hierprob3d.model.body.self_intersection import penetration_depth
from hierprob3d.model.body.skeleton import SMPL_JOINT_NAMES
from hierprob3d.model.rotation.rotations import (
    rotmat_to_rotvec,
    rotmat_to_unitquat,
    rotvec_to_rotmat,
    unitquat_to_rotmat,
)
from hierprob3d.training.random.draws import Draws

from .joint_limits import HIGHEST, LOWEST, NOISE, TWIST_AXES
from .pose_file import held_back, load_poses

_UPPER_BODY = [3, 6, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23]
_ARMS = ([13, 16, 18, 20, 22], [14, 17, 19, 21, 23])
_PELVIS = SMPL_JOINT_NAMES.index("pelvis")
_PARTNERS_TRIED = 10
_CHUNK = 2000
"""Recorded poses checked at a time for self-intersection."""


@dataclass(frozen=True, kw_only=True)
class PoseSamplerConfig:
    """How far sampled poses go beyond the recorded ones."""

    tiers: str = "A"
    """Source tiers to draw from; only tier A may stand behind published weights."""
    prefixes: tuple[str, ...] = ()
    """Beginnings of the names (array `fnames`) of the poses to draw from; none: all."""
    held_back_every: int = 0
    """Every so-many-th clip is not drawn from; 0: none."""
    only_held_back: bool = False
    """Draw from these clips alone."""
    recombine: bool = True
    """Recombine, perturb and turn the recorded poses; else draw them as they are, as the paper."""
    clip_weight: float = 0.5
    """Share of draws uniform over clips (favours rare activities), the rest uniform over poses."""
    upper_body_swap: float = 0.5
    """Probability of taking the upper body from another clip with a similar pelvis tilt."""
    arm_swap: float = 0.25
    """Probability, per arm, of taking it from another clip."""
    noise: float = 1.0
    """Scale of the noise inside the anatomical limits."""
    tolerance: float = 0.02
    """Metres of self-intersection allowed beyond that of the recorded poses used."""
    camera_pitch_std: float = 0.15
    """Deviation of the camera's pitch, radians."""
    camera_roll_std: float = 0.08
    """Deviation of its roll, radians."""
    tumbled: float = 0.0
    """Share of people turned every way up, each as likely."""
    contorted: float = 0.0
    """Share of poses moved part of the way to one drawn evenly within the anatomical limits."""

    def __post_init__(self) -> None:
        names = ("clip_weight", "upper_body_swap", "arm_swap", "tumbled", "contorted")
        check_shares(self, *(f"poses.{name}" for name in names))


class PoseSampler:
    """Draws SMPL poses by recombining those of a file.

    Args:
        path: npz of poses, see `training.poses.pose_file.load_poses`.
        config: see PoseSamplerConfig.
        device: where the recorded poses are held and new ones made.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file holds no usable poses.
    """

    def __init__(
        self,
        path: str | Path,
        config: PoseSamplerConfig | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config = config or PoseSamplerConfig()
        poses, clips = load_poses(path, self.config.tiers, self.config.prefixes)
        if self.config.held_back_every:
            wanted = held_back(clips, self.config.held_back_every) == self.config.only_held_back
            poses, clips = poses[wanted], clips[wanted]
        self.poses = torch.from_numpy(poses).float().to(device)
        self.clips = torch.from_numpy(clips).to(device)
        if not self.config.recombine:
            return
        per_clip = np.bincount(clips)[clips]
        by_clip, by_pose = self.config.clip_weight, 1 - self.config.clip_weight
        weight = by_pose / len(clips) + by_clip / len(np.unique(clips)) / per_clip
        self._cumulative = torch.from_numpy(np.cumsum(weight) / weight.sum()).float().to(device)
        self._gravity = rotvec_to_rotmat(self.poses[:, _PELVIS])[:, 1]  # R^T applied to y
        self._penetration = torch.cat([_penetration(p) for p in self.poses.split(_CHUNK)])

    def sample(self, draws: Draws, num: int, rows: Tensor | None = None) -> Tensor:
        """(num, 24, 3) rotation vectors; recombined ones get a random heading and a slight tilt.

        Args:
            draws: source of randomness.
            num: poses.
            rows: (num,) numbers of the recorded poses to take as they are; None draws.
        """
        if rows is not None:
            return self.poses[rows.to(self.poses.device)]
        if not self.config.recombine:
            return self.poses[draws.below(len(self.poses), num)]
        poses = self.bodies(draws, num)
        pelvis = self.turned(draws, rotvec_to_rotmat(poses[:, _PELVIS]))
        poses[:, _PELVIS] = rotmat_to_rotvec(pelvis)
        return poses

    def turned(self, draws: Draws, pelvis: Tensor) -> Tensor:
        """Rotations (N, 3, 3) of the pelvis before cameras all about, some every way up."""
        num = len(pelvis)
        about = draws.uniform(-math.pi, math.pi, num)
        heading = torch.where(draws.chance(0.7, num), about, draws.normal(0.6, num))
        pitch = draws.normal(self.config.camera_pitch_std, num)
        roll = draws.normal(self.config.camera_roll_std, num)
        for angle, axis in ((heading, 1), (pitch, 0), (roll, 2)):
            pelvis = _turn_about(angle, axis) @ pelvis
        if not self.config.tumbled:
            return pelvis
        anyhow = unitquat_to_rotmat(functional.normalize(draws.normal(1.0, num, 4), dim=-1))
        is_tumbled = draws.chance(self.config.tumbled, num)
        return torch.where(is_tumbled[:, None, None], anyhow, pelvis)

    def bodies(self, draws: Draws, num: int) -> Tensor:
        """(num, 24, 3) poses with the recorded tilt of the pelvis, headings removed."""
        picked = self._pick(draws, num)
        poses, allowed = self.poses[picked], self._penetration[picked]
        swaps = [(_UPPER_BODY, self.config.upper_body_swap, 30.0)]
        swaps += [(arm, self.config.arm_swap, 45.0) for arm in _ARMS]
        for joints, probability, max_tilt in swaps:
            partner = self._partner(draws, picked, max_tilt)
            partner = torch.where(draws.chance(probability, num), partner, picked)
            swapped = (partner != picked)[:, None, None]
            poses[:, joints] = torch.where(
                swapped, self.poses[partner][:, joints], poses[:, joints]
            )
            allowed = torch.maximum(allowed, self._penetration[partner])
        noisy = self._contort(draws, self._perturb(draws, poses))
        worse = (_penetration(noisy) > allowed + self.config.tolerance).any(dim=1)
        num_worse = int(worse.sum())
        if num_worse:
            noisy[worse] = self.bodies(draws, num_worse)
        return noisy

    def _pick(self, draws: Draws, *shape: int) -> Tensor:
        found = torch.searchsorted(self._cumulative, draws.uniform(0, 1, *shape))
        return found.clamp(max=len(self._cumulative) - 1)

    def _partner(self, draws: Draws, picked: Tensor, max_tilt: float) -> Tensor:
        """Pose of another clip whose pelvis is tilted alike, or the pose itself if none is met."""
        candidates = self._pick(draws, _PARTNERS_TRIED, len(picked))
        alike = (self._gravity[candidates] * self._gravity[picked]).sum(-1)
        fits = alike > math.cos(math.radians(max_tilt))
        fits &= self.clips[candidates] != self.clips[picked]
        first = fits.byte().argmax(0, keepdim=True)
        return torch.where(fits.any(0), candidates.gather(0, first)[0], picked)

    def _perturb(self, draws: Draws, poses: Tensor) -> Tensor:
        """Poses with noise; limits hold wherever the recorded pose kept them."""
        lowest, highest, deviation = (poses.new_tensor(a) for a in (LOWEST, HIGHEST, NOISE))
        scale = 0.5 * self.config.noise * draws.below(4, len(poses), 1, 1)
        swing_twist = rotvec_to_swing_twist(poses)
        moved = swing_twist + draws.normal(1.0, *poses.shape) * deviation * scale
        moved = torch.maximum(moved, torch.minimum(lowest, swing_twist))
        moved = torch.minimum(moved, torch.maximum(highest, swing_twist))
        return torch.where(scale > 0, swing_twist_to_rotvec(moved), poses)

    def _contort(self, draws: Draws, poses: Tensor) -> Tensor:
        """Poses of which some are moved up to the whole way to one drawn evenly within limits."""
        if not self.config.contorted:
            return poses
        lowest, highest = (poses.new_tensor(a) for a in (LOWEST, HIGHEST))
        anywhere = lowest + (highest - lowest) * draws.uniform(0, 1, *poses.shape)
        swing_twist = rotvec_to_swing_twist(poses)
        way = draws.uniform(0, 1, len(poses), 1, 1)
        moved = swing_twist_to_rotvec(swing_twist + way * (anywhere - swing_twist))
        moved[:, _PELVIS] = poses[:, _PELVIS]
        is_moved = draws.chance(self.config.contorted, len(poses))
        return torch.where(is_moved[:, None, None], moved, poses)


def _penetration(poses: Tensor) -> Tensor:
    """(N, checks) depths of rotation vectors (N, 24, 3), see `penetration_depth`."""
    return penetration_depth(rotvec_to_rotmat(poses[:, 1:]))


def rotvec_to_swing_twist(poses: Tensor) -> Tensor:
    """Swing-twist coordinates (N, 24, 3) of rotation vectors: rotation = swing * twist.

    The entry along the bone axis is the twist angle, the two others are the swing's rotation
    vector, which has no component along the bone.
    """
    axes = poses.new_tensor(TWIST_AXES)
    rotmats = rotvec_to_rotmat(poses)
    quat = rotmat_to_unitquat(rotmats)  # w >= 0, so the angle lies within half a turn
    twist = 2 * torch.atan2((quat[..., 1:] * axes).sum(-1), quat[..., 0])[..., None] * axes
    swing = rotmat_to_rotvec(rotmats @ rotvec_to_rotmat(-twist))
    return swing * (1 - axes) + twist


def swing_twist_to_rotvec(swing_twist: Tensor) -> Tensor:
    """Rotation vectors (N, 24, 3) of swing-twist coordinates."""
    axes = swing_twist.new_tensor(TWIST_AXES)
    swing = rotvec_to_rotmat(swing_twist * (1 - axes))
    return rotmat_to_rotvec(swing @ rotvec_to_rotmat(swing_twist * axes))


def _turn_about(angle: Tensor, axis: int) -> Tensor:
    """Rotations (N, 3, 3) by angles (N,) about x, y or z."""
    rotvec = angle.new_zeros(len(angle), 3)
    rotvec[:, axis] = angle
    return rotvec_to_rotmat(rotvec)
