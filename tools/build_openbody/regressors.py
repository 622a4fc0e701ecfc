"""Sparse regressors: joints and keypoints as weighted means of nearby vertices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from hierprob3d.model.body.mesh_body import H36M_JOINT_NAMES
from hierprob3d.model.body.skeleton import COCO_FLIP, NUM_JOINTS, PARENTS, SMPL_JOINT_NAMES

_REACH = 0.2
_RIDGE = 0.1
_SUM_TO_ONE = 3.0
_MOST_ITERATIONS = 50_000
_SKIN_POINTS = ("pelvis", "nose", "head_top")


@dataclass(frozen=True)
class Points:
    """What is to be regressed."""

    places: np.ndarray
    """(K, 3) on the mean body in its rest pose, metres."""
    twins: list[int]
    """Point that each becomes in the mirror image."""
    of_joint: list[int]
    """Joint on whose skin, or its neighbours', each point's vertices are sought."""


def fit_regressor(
    bodies: np.ndarray,
    targets: np.ndarray,
    points: Points,
    mean: np.ndarray,
    weights: np.ndarray,
    mirror: np.ndarray,
) -> np.ndarray:
    """Rows (K, V) that give the targets from the vertices of every body.

    Non-negative least squares with a little ridge; rows sum to one and are left-right symmetric.
    A row uses vertices within 20 cm of its point.

    Args:
        bodies: (N, V, 3) vertices.
        targets: (N, K, 3) where the points are on them.
        points: the points on the mean body.
        mean: (V, 3) the mean body in its rest pose.
        weights: (V, 24) skinning weights.
        mirror: (V,) mirrored vertex of each vertex.
    """
    rows = np.zeros((targets.shape[1], bodies.shape[1]))
    near = _joint_neighbours()
    for k, twin in enumerate(points.twins):
        if twin < k:
            rows[k] = rows[twin][mirror]
            continue
        on_skin = weights[:, near[points.of_joint[k]]].sum(1) > 0.5
        within = np.linalg.norm(mean - points.places[k], axis=1) < _REACH
        candidates = np.flatnonzero(on_skin & within)
        rows[k, candidates] = _fit_row(bodies[:, candidates], targets[:, k])
        if twin == k:
            rows[k] = (rows[k] + rows[k][mirror]) / 2
    return rows


def _fit_row(vertices: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Weights (C,) of candidate vertices (N, C, 3) for a target (N, 3)."""
    count = vertices.shape[1]
    errors = (vertices - target[:, None]).transpose(0, 2, 1).reshape(-1, count).astype(float)
    system = np.vstack([errors, _RIDGE * np.eye(count), np.full(count, _SUM_TO_ONE)])
    wanted = np.append(np.zeros(len(system) - 1), _SUM_TO_ONE)
    row = nnls(system, wanted, maxiter=_MOST_ITERATIONS)[0]
    return row / row.sum()


def joint_points(places: np.ndarray, mirror: list[int]) -> Points:
    """SMPL's 24 joints as points to regress."""
    return Points(places=places, twins=list(mirror), of_joint=list(range(NUM_JOINTS)))


def joint_and_coco_points(
    joints: np.ndarray, keypoints: np.ndarray, mirror: list[int], keypoint_joints: np.ndarray
) -> Points:
    """SMPL's 24 joints, then COCO's 17 keypoints."""
    return Points(
        places=np.concatenate([joints, keypoints]),
        twins=[*mirror, *(NUM_JOINTS + i for i in COCO_FLIP)],
        of_joint=[*range(NUM_JOINTS), *map(int, keypoint_joints)],
    )


def h36m_regressor(joint_rows: np.ndarray, mean: np.ndarray, nose: int) -> np.ndarray:
    """Human3.6M's 17 joints (17, V) float32, in the order of `body.mesh_body.H36M_JOINT_NAMES`.

    Its root is the middle of the hips; nose and head top are single vertices.
    """
    as_smpl = {"torso": "spine2"}
    rows = np.zeros((len(H36M_JOINT_NAMES), joint_rows.shape[1]))
    for i, name in enumerate(H36M_JOINT_NAMES):
        if name not in _SKIN_POINTS:
            rows[i] = joint_rows[SMPL_JOINT_NAMES.index(as_smpl.get(name, name))]
    at = H36M_JOINT_NAMES.index
    rows[at("pelvis")] = (rows[at("left_hip")] + rows[at("right_hip")]) / 2
    rows[at("nose"), nose] = 1
    on_midline = mean[:, 1] - 1e3 * np.abs(mean[:, 0])
    rows[at("head_top"), on_midline.argmax()] = 1
    return rows.astype(np.float32)


def _joint_neighbours() -> np.ndarray:
    """(24, 24) bool: the joint itself, its parent and its children."""
    near = np.eye(NUM_JOINTS, dtype=bool)
    children, parents = list(range(1, NUM_JOINTS)), list(PARENTS[1:])
    near[children, parents] = near[parents, children] = True
    return near
