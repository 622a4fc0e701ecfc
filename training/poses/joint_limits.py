"""Anatomical limits of the SMPL joints in swing-twist coordinates, and the noise within them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hierprob3d.model.body.skeleton import NUM_JOINTS, SMPL_JOINT_NAMES


class _Range(NamedTuple):
    """Lowest, highest and noise deviation (radians about x, y, z) of a joint of the left side."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    noise: tuple[float, float, float]


# Swing about two axes, twist about the bone: y for trunk and legs, x for the arms.
_LEFT = {
    "hip": _Range((-2.35, -1.0, -0.6), (0.65, 1.0, 1.3), (0.10, 0.07, 0.07)),
    "knee": _Range((-0.1, -0.45, -0.3), (2.65, 0.45, 0.3), (0.10, 0.02, 0.01)),
    "ankle": _Range((-0.8, -0.7, -0.45), (1.0, 0.7, 0.45), (0.12, 0.08, 0.06)),
    "foot": _Range((-0.9, -0.15, -0.15), (0.4, 0.15, 0.15), (0.10, 0.01, 0.01)),
    "collar": _Range((-0.2, -0.65, -0.4), (0.2, 0.45, 0.75), (0.02, 0.06, 0.06)),
    "shoulder": _Range((-2.3, -2.0, -1.65), (1.3, 1.15, 1.45), (0.15, 0.13, 0.13)),
    "elbow": _Range((-0.9, -2.6, -0.6), (0.9, 0.15, 0.6), (0.15, 0.15, 0.03)),
    "wrist": _Range((-0.9, -0.6, -1.25), (0.9, 0.6, 1.25), (0.15, 0.12, 0.22)),
    "hand": _Range((-0.2, -0.2, -0.4), (0.2, 0.2, 0.4), (0.03, 0.03, 0.08)),
    "spine1": _Range((-0.5, -0.4, -0.45), (1.15, 0.4, 0.45), (0.06, 0.05, 0.05)),
    "spine2": _Range((-0.5, -0.45, -0.4), (0.75, 0.45, 0.4), (0.05, 0.05, 0.05)),
    "spine3": _Range((-0.55, -0.45, -0.45), (1.05, 0.45, 0.45), (0.05, 0.05, 0.05)),
    "neck": _Range((-0.75, -0.8, -0.65), (0.8, 0.8, 0.65), (0.09, 0.11, 0.07)),
    "head": _Range((-0.9, -0.75, -0.6), (0.65, 0.75, 0.6), (0.11, 0.13, 0.07)),
}
_ARM = ("collar", "shoulder", "elbow", "wrist", "hand")


def _range_of(name: str) -> _Range:
    """Limits of one joint; the right side mirrors the left (turns about y and z change sign)."""
    if name == "pelvis":
        return _Range((-9.0,) * 3, (9.0,) * 3, (0.0,) * 3)
    limits = _LEFT[name.removeprefix("left_").removeprefix("right_")]
    if not name.startswith("right_"):
        return limits
    (x0, y0, z0), (x1, y1, z1) = limits.low, limits.high
    return _Range((x0, -y1, -z1), (x1, -y0, -z0), limits.noise)


_RANGES = [_range_of(name) for name in SMPL_JOINT_NAMES]

LOWEST = np.array([r.low for r in _RANGES])
"""(24, 3) lowest swing-twist coordinates, radians."""

HIGHEST = np.array([r.high for r in _RANGES])
"""(24, 3) highest swing-twist coordinates, radians."""

NOISE = np.array([r.noise for r in _RANGES])
"""(24, 3) standard deviation of natural variation, radians."""

TWIST_AXES = np.tile([0.0, 1.0, 0.0], (NUM_JOINTS, 1))
"""(24, 3) bone axis of each joint in the T-pose."""
TWIST_AXES[[any(part in name for part in _ARM) for name in SMPL_JOINT_NAMES]] = [1.0, 0.0, 0.0]
