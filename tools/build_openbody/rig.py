"""Posing with SMPL's kinematic tree in numpy: T-pose, skinning, weights and pose blend shapes."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, diags
from scipy.spatial.transform import Rotation

from hierprob3d.model.body.skeleton import NUM_JOINTS, PARENTS, SMPL_JOINT_NAMES

PELVIS = np.array([0.0, -0.22, 0.03])
"""Where the pelvis stands in T-pose, metres: about as in SMPL, so that translations carry over."""

SMOOTHING_STEPS = 5
_LEAST_WEIGHT = 1e-3


def _mirrored(name: str) -> str:
    swapped = name.replace("left_", "?").replace("right_", "left_")
    return swapped.replace("?", "right_")


MIRROR = [SMPL_JOINT_NAMES.index(_mirrored(name)) for name in SMPL_JOINT_NAMES]
"""Joint that each joint becomes in the mirror image."""

_LEFT = {name[5:]: j for j, name in enumerate(SMPL_JOINT_NAMES) if name.startswith("left_")}


def smooth_weights(weights: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Skinning weights (V, 24) smoothed over mesh edges, which softens seams of merged bones."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    links = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (len(weights),) * 2)
    links = ((links + links.T) > 0).astype(float).tocsr()
    mean_of_neighbours = diags(1 / np.maximum(np.asarray(links.sum(1)).ravel(), 1)) @ links
    for _ in range(SMOOTHING_STEPS):
        weights = 0.5 * weights + 0.5 * (mean_of_neighbours @ weights)
    weights[weights < _LEAST_WEIGHT] = 0
    return weights / weights.sum(1, keepdims=True)


def to_tpose(
    vertices: np.ndarray, joints: np.ndarray, knuckles: dict[str, np.ndarray], weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Bodies brought from MakeHuman's A-pose into T-pose by dual quaternion skinning.

    Args:
        vertices: (B, V, 3) in A-pose.
        joints: (B, 24, 3) their joints.
        knuckles: (B, 3) per side, from the little finger's knuckle to the index finger's.
        weights: (V, 24).

    Returns:
        Vertices (B, V, 3) float32 and joints (B, 24, 3), the pelvis at PELVIS.
    """
    rotations, places = _tpose_rotations(joints, knuckles), joints.copy()
    places[:, 0] = PELVIS
    for joint in range(1, NUM_JOINTS):
        parent = PARENTS[joint]
        bone = (joints[:, joint] - joints[:, parent])[..., None]
        places[:, joint] = places[:, parent] + (rotations[:, parent] @ bone)[..., 0]
    skinned = _dual_quaternion_skinning(vertices, weights, joints, rotations, places)
    return skinned.astype(np.float32), places


def pose_body(
    vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray, rotvecs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Linear blend skinning of one body: vertices (V, 3) and joints (24, 3) posed by (24, 3)."""
    rotations, places = Rotation.from_rotvec(rotvecs).as_matrix(), joints.copy()
    world = rotations.copy()
    for joint in range(1, NUM_JOINTS):
        parent = PARENTS[joint]
        places[joint] = places[parent] + world[parent] @ (joints[joint] - joints[parent])
        world[joint] = world[parent] @ rotations[joint]
    turned = np.einsum("vj,jab,vb->va", weights, world, vertices, optimize=True)
    return turned + weights @ (places - (world @ joints[..., None])[..., 0]), places


def pose_correctives(
    vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray, strength: float
) -> np.ndarray:
    """Pose blend shapes (V, 3, 207) from a formula, no scans.

    Where a joint's two sides share the skin with weights w and 1 - w, the offset
    -strength w (1 - w) ((R + R^T) / 2 - I) (v - joint) undoes most of the collapse of linear blend
    skinning. The strength was chosen by comparison with dual quaternion skinning.
    """
    beyond = np.eye(NUM_JOINTS)
    for joint in range(NUM_JOINTS - 1, 0, -1):
        beyond[PARENTS[joint]] += beyond[joint]
    directions = np.zeros((len(vertices), 3, 9 * (NUM_JOINTS - 1)), np.float32)
    for joint in range(1, NUM_JOINTS):
        far = weights @ beyond[joint]
        shared = far * (1 - far)
        amount = np.where(shared > _LEAST_WEIGHT, -0.5 * strength * shared, 0)
        offset = amount[:, None] * (vertices - joints[joint])
        for row in range(3):
            for column in range(3):
                entry = 9 * (joint - 1) + 3 * row + column
                directions[:, row, entry] += offset[:, column]
                directions[:, column, entry] += offset[:, row]
    return directions


def _frames(axis: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """Right-handed frames (..., 3, 3): first column `axis`, second in its plane with `towards`."""
    axis, towards = np.broadcast_arrays(axis, towards)
    first = _unit(axis)
    second = _unit(towards - (first * towards).sum(-1, keepdims=True) * first)
    return np.stack([first, second, np.cross(first, second)], -1)


def _turn(
    axis: np.ndarray, new_axis: tuple[float, ...], towards: np.ndarray, new: tuple[float, ...]
) -> np.ndarray:
    """Rotations (B, 3, 3) that bring `axis` to `new_axis` and `towards` as near `new` as can be."""
    target = _frames(np.array(new_axis, float), np.array(new, float))
    return target @ _frames(axis, towards).swapaxes(-1, -2)


def _tpose_rotations(joints: np.ndarray, knuckles: dict[str, np.ndarray]) -> np.ndarray:
    """World rotation (B, 24, 3, 3) of every joint that brings the A-pose into T-pose."""
    rotations = np.broadcast_to(np.eye(3), (*joints.shape[:2], 3, 3)).copy()
    for side, sign in (("left", 1), ("right", -1)):
        at = {name: j if sign > 0 else MIRROR[j] for name, j in _LEFT.items()}
        _straighten_arm(rotations, joints, at, sign, knuckles[side])
        _straighten_leg(rotations, joints, at, sign)
    return rotations


def _straighten_arm(
    rotations: np.ndarray, joints: np.ndarray, at: dict[str, int], sign: int, knuckles: np.ndarray
) -> None:
    """Sets the rotations that stretch one arm sideways, palm down, elbow axis vertical."""
    rotations[:, at["collar"]] = Rotation.from_euler("z", 20 * sign, degrees=True).as_matrix()
    upper = joints[:, at["elbow"]] - joints[:, at["shoulder"]]
    fore = joints[:, at["wrist"]] - joints[:, at["elbow"]]
    hand = joints[:, at["hand"]] - joints[:, at["wrist"]]
    flexion = np.cross(upper, fore)
    rotations[:, at["shoulder"]] = _turn(upper, (sign, -0.05, -0.08), flexion, (0, -sign, 0))
    elbow = _turn(fore, (sign, 0, -0.02), flexion, (0, -sign, 0))
    wrist = _turn(hand, (sign, -0.08, -0.02), knuckles, (0, 0, 1))
    twist = Rotation.from_matrix(wrist @ elbow.swapaxes(-1, -2)).as_rotvec()[:, 0]
    half_twist = Rotation.from_rotvec(np.outer(0.5 * twist, [1, 0, 0])).as_matrix()
    rotations[:, at["elbow"]] = half_twist @ elbow  # the forearm takes half the pronation
    rotations[:, at["wrist"]] = rotations[:, at["hand"]] = wrist


def _straighten_leg(
    rotations: np.ndarray, joints: np.ndarray, at: dict[str, int], sign: int
) -> None:
    """Sets the rotations that put one leg nearly vertical, the foot turned out slightly."""
    thigh = joints[:, at["knee"]] - joints[:, at["hip"]]
    shin = joints[:, at["ankle"]] - joints[:, at["knee"]]
    foot = joints[:, at["foot"]] - joints[:, at["ankle"]]
    forward = np.array([0.0, 0.0, 1.0])
    rotations[:, at["hip"]] = _turn(thigh, (0.09 * sign, -1, -0.01), forward, (0, 0, 1))
    rotations[:, at["knee"]] = _turn(shin, (-0.03 * sign, -1, -0.10), forward, (0, 0, 1))
    outward = sign * 0.17 - np.arctan2(foot[:, 0], foot[:, 2])
    upright = Rotation.from_rotvec(np.outer(outward, [0, 1, 0])).as_matrix()
    rotations[:, at["ankle"]] = rotations[:, at["foot"]] = upright


def _dual_quaternion_skinning(
    vertices: np.ndarray,
    weights: np.ndarray,
    joints: np.ndarray,
    rotations: np.ndarray,
    places: np.ndarray,
) -> np.ndarray:
    """Vertices (B, V, 3) moved by blended joints; joint j maps x to R_j (x - joint_j) + place_j."""
    last_real = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_quat(canonical=True)
    real = np.roll(last_real, 1, axis=1).reshape(*rotations.shape[:2], 4)
    shift = places - (rotations @ joints[..., None])[..., 0]
    scalar = -(shift * real[..., 1:]).sum(-1, keepdims=True)
    vector = shift * real[..., :1] + np.cross(shift, real[..., 1:])
    dual = np.concatenate([real, 0.5 * np.concatenate([scalar, vector], -1)], -1)
    blended = np.einsum("vj,bjk->bvk", weights, dual).astype(np.float32)
    blended /= np.linalg.norm(blended[..., :4], axis=-1, keepdims=True)
    w, axis, dual_w, dual_axis = np.split(blended, [1, 4, 5], axis=-1)
    turned = vertices + 2 * np.cross(axis, np.cross(axis, vertices) + w * vertices)
    return turned + 2 * (w * dual_axis - dual_w * axis + np.cross(axis, dual_axis))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
