"""Random plausible body poses: motion-capture poses recombined, perturbed and checked.

Frame: y up, the T-pose faces +z, the body's left is +x.  Rotations are scipy's, so that a batch
of poses is one flat `Rotation` of N * 24 elements.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from model.skeleton import NUM_JOINTS, SMPL_JOINT_NAMES
from training.joint_limits import HIGHEST, LOWEST, NOISE, TWIST_AXES
from training.self_intersection import penetration_depth

Array = NDArray[np.float64]

_UPPER_BODY = [3, 6, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23]
_ARMS = ([13, 16, 18, 20, 22], [14, 17, 19, 21, 23])
_PELVIS = SMPL_JOINT_NAMES.index("pelvis")


@dataclass(frozen=True, kw_only=True)
class PoseSamplerConfig:
    """How far sampled poses go beyond the recorded ones."""

    tiers: str = "A"
    """Source tiers to draw from; only tier A may stand behind published weights."""
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

    def __post_init__(self) -> None:
        for name in ("clip_weight", "upper_body_swap", "arm_swap"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"poses.{name} must lie in 0..1, got {getattr(self, name)}")


class PoseSampler:
    """Draws SMPL poses by recombining those of a file.

    Args:
        path: npz with `poses` (N, 72) rotation vectors, `clip` (N,), `source` (N,) and
            `source_tier`; without the last three every pose counts as a clip of tier A.
        config: see PoseSamplerConfig.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file holds no usable poses.
    """

    def __init__(self, path: str | Path, config: PoseSamplerConfig | None = None) -> None:
        self.config = config or PoseSamplerConfig()
        self.poses, self.clips = _load_poses(Path(path), self.config.tiers)
        per_clip = np.bincount(self.clips)[self.clips]
        by_clip, by_pose = self.config.clip_weight, 1 - self.config.clip_weight
        weight = by_pose / len(self.clips) + by_clip / len(np.unique(self.clips)) / per_clip
        self._cumulative = np.cumsum(weight) / weight.sum()
        pelvis = Rotation.from_rotvec(self.poses[:, _PELVIS])
        self._gravity = pelvis.inv().apply([0.0, 1.0, 0.0])
        chunks = np.array_split(self.poses, len(self.poses) // 2000 + 1)
        self._penetration = np.concatenate([penetration_depth(chunk) for chunk in chunks])

    def sample(self, rng: np.random.Generator, num: int) -> Array:
        """(num, 24, 3) rotation vectors, the pelvis with a random heading and a slight tilt."""
        poses = self._bodies(rng, num)
        heading = np.where(
            rng.random(num) < 0.7, rng.uniform(-np.pi, np.pi, num), rng.normal(0, 0.6, num)
        )
        roll, pitch = rng.normal(0, 0.08, num), rng.normal(0, 0.15, num)
        angles = np.stack([roll, pitch, heading], axis=-1)
        turn = Rotation.from_euler("ZXY", angles)  # heading first, then camera pitch and roll
        poses[:, _PELVIS] = (turn * Rotation.from_rotvec(poses[:, _PELVIS])).as_rotvec()
        return poses

    def _bodies(self, rng: np.random.Generator, num: int) -> Array:
        """(num, 24, 3) poses with the recorded tilt of the pelvis, headings removed."""
        picked = self._pick(rng, num)
        poses, allowed = self.poses[picked].copy(), self._penetration[picked].copy()
        swaps = [(_UPPER_BODY, self.config.upper_body_swap, 30.0)]
        swaps += [(arm, self.config.arm_swap, 45.0) for arm in _ARMS]
        for joints, probability, max_tilt in swaps:
            partner = self._partner(rng, picked, max_tilt)
            partner = np.where(rng.random(num) < probability, partner, picked)
            poses[:, joints] = np.where(
                (partner != picked)[:, None, None], self.poses[partner][:, joints], poses[:, joints]
            )
            allowed = np.maximum(allowed, self._penetration[partner])
        noisy = self._perturb(rng, poses)
        worse = (penetration_depth(noisy) > allowed + self.config.tolerance).any(axis=1)
        if worse.any():
            noisy[worse] = self._bodies(rng, int(worse.sum()))
        return noisy

    def _pick(self, rng: np.random.Generator, num: int) -> NDArray[np.int64]:
        found = np.searchsorted(self._cumulative, rng.random(num))
        return np.minimum(found, len(self._cumulative) - 1)

    def _partner(
        self, rng: np.random.Generator, picked: NDArray[np.int64], max_tilt: float
    ) -> NDArray[np.int64]:
        """Pose of another clip whose pelvis is tilted alike, or the pose itself if none is met."""
        partner = picked.copy()
        for _ in range(10):
            candidate = self._pick(rng, len(picked))
            alike = (self._gravity[candidate] * self._gravity[picked]).sum(-1)
            fits = (self.clips[candidate] != self.clips[picked]) & (
                alike > np.cos(np.radians(max_tilt))
            )
            partner = np.where((partner == picked) & fits, candidate, partner)
        return partner

    def _perturb(self, rng: np.random.Generator, poses: Array) -> Array:
        """Poses with noise; limits hold wherever the recorded pose kept them."""
        scale = rng.choice([0.0, 0.5, 1.0, 1.5], size=(len(poses), 1, 1)) * self.config.noise
        swing_twist = rotvec_to_swing_twist(poses)
        moved = swing_twist + rng.normal(size=poses.shape) * NOISE * scale
        moved = np.clip(moved, np.minimum(LOWEST, swing_twist), np.maximum(HIGHEST, swing_twist))
        return np.where(scale > 0, swing_twist_to_rotvec(moved), poses)


def rotvec_to_swing_twist(poses: Array) -> Array:
    """Swing-twist coordinates (N, 24, 3) of rotation vectors: rotation = swing * twist.

    The entry along the bone axis is the twist angle, the two others are the swing's rotation
    vector, which has no component along the bone.
    """
    rotation = Rotation.from_rotvec(poses.reshape(-1, 3))
    axes = np.tile(TWIST_AXES, (len(poses), 1))
    quaternion = rotation.as_quat()  # x y z w
    angle = 2 * np.arctan2((quaternion[:, :3] * axes).sum(-1), quaternion[:, 3])
    angle = (angle + np.pi) % (2 * np.pi) - np.pi
    twist = angle[:, None] * axes
    swing = (rotation * Rotation.from_rotvec(-twist)).as_rotvec()
    return (swing * (1 - axes) + twist).reshape(poses.shape)


def swing_twist_to_rotvec(swing_twist: Array) -> Array:
    """Rotation vectors (N, 24, 3) of swing-twist coordinates."""
    flat = swing_twist.reshape(-1, 3)
    axes = np.tile(TWIST_AXES, (len(swing_twist), 1))
    swing, twist = Rotation.from_rotvec(flat * (1 - axes)), Rotation.from_rotvec(flat * axes)
    return (swing * twist).as_rotvec().reshape(swing_twist.shape)


def _load_poses(path: Path, tiers: str) -> tuple[Array, NDArray[np.int64]]:
    """Poses (N, 24, 3) and clip ids (N,) of the allowed tiers."""
    if not path.is_file():
        raise FileNotFoundError(f"no pose file at {path}; pass one with data.train_poses=PATH")
    with np.load(path) as archive:
        if "poses" not in archive or archive["poses"].shape[1:] != (3 * NUM_JOINTS,):
            raise ValueError(f"{path} has no array 'poses' of shape (N, 72); see the README")
        poses = archive["poses"].reshape(-1, NUM_JOINTS, 3).astype(np.float64)
        clips = np.arange(len(poses))
        if "source_tier" in archive:
            clips = archive["clip"].astype(np.int64)
            keep = np.isin(archive["source_tier"][archive["source"]], list(tiers))
            poses, clips = poses[keep], clips[keep]
    finite = np.isfinite(poses).all(axis=(1, 2))
    if not finite.any():
        raise ValueError(f"{path} has no finite poses of tier {tiers!r}")
    return poses[finite], clips[finite]
