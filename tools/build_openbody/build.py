"""The steps of the build, from sampled adults to the files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hierprob3d.model.body.mesh_body import H36M_JOINT_NAMES
from hierprob3d.model.body.skeleton import (
    COCO_KEYPOINT_NAMES,
    NUM_JOINTS,
    NUM_KEYPOINTS,
    PARENTS,
    SMPL_JOINT_NAMES,
)
from tools.build_openbody.body_parts import body_parts
from tools.build_openbody.makehuman import MakeHuman, joint_matrices, load_makehuman
from tools.build_openbody.regressors import (
    Points,
    fit_regressor,
    h36m_regressor,
    joint_and_coco_points,
    joint_points,
)
from tools.build_openbody.rig import MIRROR, pose_body, pose_correctives, smooth_weights, to_tpose
from tools.build_openbody.shape_space import fit_shape_space, mean_mm
from tools.build_openbody.skin import Skin, make_skin

_HOLD_OUT_EVERY = 9
_FIT_JOINTS_EVERY = 12
_BATCH = 100
_NUM_POSED = 240
_NUM_POSED_FITTED = 200
_WIDE_JOINTS = ("hip", "knee", "shoulder", "elbow")


@dataclass(frozen=True, kw_only=True)
class BuildConfig:
    """Choices of the build; the defaults made the bundled files."""

    num_people: int = 4500
    """Sampled adults, the first half men; every ninth is held out for the error report."""
    num_vertices: int = 6880
    """Vertices of the mesh, even; not SMPL's 6890, so that its data cannot be mixed in."""
    corrective_strength: float = 1.2
    """Strength of the pose blend shapes; 0 for none."""
    seed: int = 0
    """Seed of the adults and of the poses that fit the keypoint regressors."""


@dataclass(frozen=True)
class Population:
    """The sampled adults in T-pose."""

    vertices: np.ndarray
    """(N, V, 3) float32."""
    joints: np.ndarray
    """(N, 24, 3)."""
    keypoints: np.ndarray
    """(N, 17, 3) float32 COCO keypoints."""

    @property
    def held_out(self) -> np.ndarray:
        """(N,) bool, adults that only the error report sees."""
        return np.arange(len(self.vertices)) % _HOLD_OUT_EVERY == 0


class Rigged:
    """MakeHuman's shapes on the decimated skin, in A-pose; COCO keypoints are extra vertices."""

    def __init__(self, data: MakeHuman, skin: Skin, bone_to_joint: np.ndarray) -> None:
        joint_weights = data.weights @ bone_to_joint
        self.data, self.num_vertices = data, len(skin.ids)
        keypoint_weights = data.keypoints @ np.nan_to_num(joint_weights)
        keypoint_weights /= keypoint_weights.sum(1, keepdims=True)
        weights = smooth_weights(joint_weights[skin.ids], skin.faces)
        self.weights = np.concatenate([weights, keypoint_weights])
        self.template = np.concatenate([data.vertices[skin.ids], data.keypoints @ data.vertices])
        keypoint_targets = np.einsum("kv,bvd->bkd", data.keypoints, data.targets, optimize=True)
        targets = np.concatenate([data.targets[:, skin.ids], keypoint_targets], 1)
        self.targets = targets.astype(np.float32).reshape(len(targets), -1)

    def points(self, coefficients: np.ndarray) -> np.ndarray:
        """(N, V + 17, 3) vertices and keypoints."""
        flat = self.template.ravel() + coefficients @ self.targets
        return flat.reshape(len(coefficients), -1, 3)

    def heads(self, coefficients: np.ndarray) -> np.ndarray:
        """(N, B, 3) bone heads."""
        return self.data.heads + np.einsum("bk,kjd->bjd", coefficients, self.data.head_targets)

    def knuckles(self, heads: np.ndarray) -> dict[str, np.ndarray]:
        """Per side, (N, 3) from the little finger's knuckle to the index finger's."""
        return {
            side: heads[:, self.data.bone("finger2-1" + end)]
            - heads[:, self.data.bone("finger5-1" + end)]
            for side, end in (("left", ".L"), ("right", ".R"))
        }


def build(config: BuildConfig, folder: Path) -> dict[str, object]:
    """Writes the body models and regressors into the folder; returns the build report."""
    data, coefficients = load_makehuman(config.num_people, config.seed)
    head_to_joint, bone_to_joint = joint_matrices(data.labels)
    skin = make_skin(data, data.weights @ bone_to_joint, config.num_vertices)
    rigged = Rigged(data, skin, bone_to_joint)
    report: dict[str, object] = {
        "config": asdict(config), "vertices": len(skin.ids), "faces": len(skin.faces),
        "h36m_order": H36M_JOINT_NAMES, "coco_order": COCO_KEYPOINT_NAMES,
    }  # fmt: skip
    rest_regressor = _rest_joint_regressor(rigged, skin, coefficients, head_to_joint, report)
    people = _tposed(rigged, coefficients, rest_regressor)
    weights = rigged.weights[: rigged.num_vertices]
    joint_regressor = _joint_regressor(people, skin, weights, report)
    posed_rows = _posed_regressor(people, skin, rigged.weights, config.seed, report)
    mean = people.vertices.mean(0)
    np.save(folder / "J_regressor_coco.npy", posed_rows[NUM_JOINTS:].astype(np.float32))
    np.save(folder / "J_regressor_h36m.npy", h36m_regressor(posed_rows, mean, skin.nose))
    parts = body_parts(mean, people.joints.mean(0), weights, skin.faces)
    female = np.arange(config.num_people) >= config.num_people // 2
    chosen = {"neutral": np.ones_like(female), "male": ~female, "female": female}
    for gender, members in chosen.items():
        arrays, report[gender] = _gendered(people, members, skin, weights, joint_regressor, config)
        arrays |= {"part_v": parts[0], "part_f": parts[1]}
        arrays["name"] = np.array(f"OpenBody-{gender} (not SMPL topology)")
        np.savez_compressed(folder / f"open_body_{gender}.npz", **arrays)
    (folder / "build_report.json").write_text(json.dumps(report, indent=1))
    return report


def _rest_joint_regressor(
    rigged: Rigged,
    skin: Skin,
    coefficients: np.ndarray,
    head_to_joint: np.ndarray,
    report: dict[str, object],
) -> np.ndarray:
    """(24, V) joints from A-pose skin.

    Non-negative local weights cannot follow MakeHuman's joint helpers exactly (spine3 shifts 4 cm
    in depth between the sexes, the knee slides with height). So the rig only says where joints lie
    on average, and the skin carries them from there.
    """
    held_out = np.arange(len(coefficients)) % _HOLD_OUT_EVERY == 0

    def skin_and_joints(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        joints = np.einsum("jb,nbd->njd", head_to_joint, rigged.heads(chosen))
        return rigged.points(chosen)[:, : rigged.num_vertices], joints

    bodies, joints = skin_and_joints(coefficients[~held_out][::_FIT_JOINTS_EVERY])
    weights = rigged.weights[: rigged.num_vertices]
    points = joint_points(joints.mean(0), MIRROR)
    rows = fit_regressor(bodies, joints, points, bodies.mean(0), weights, skin.mirror)
    bodies, joints = skin_and_joints(coefficients[held_out])
    report["joints_vs_makehuman_helpers_mm"] = _per_point(SMPL_JOINT_NAMES, rows @ bodies - joints)
    return rows


def _tposed(rigged: Rigged, coefficients: np.ndarray, rest_regressor: np.ndarray) -> Population:
    """All adults brought into T-pose, in batches to bound the memory."""
    points, joints = [], []
    for start in range(0, len(coefficients), _BATCH):
        batch = coefficients[start : start + _BATCH]
        rest = rigged.points(batch)
        rest_joints = rest_regressor @ rest[:, : rigged.num_vertices]
        knuckles = rigged.knuckles(rigged.heads(batch))
        posed = to_tpose(rest, rest_joints, knuckles, rigged.weights)
        points.append(posed[0])
        joints.append(posed[1])
    everything = np.concatenate(points)
    vertices, keypoints = np.split(everything, [rigged.num_vertices], axis=1)
    return Population(vertices, np.concatenate(joints), keypoints)


def _joint_regressor(
    people: Population, skin: Skin, weights: np.ndarray, report: dict[str, object]
) -> np.ndarray:
    """(24, V) joints from T-posed skin: the J_regressor of the files."""
    fitted = np.flatnonzero(~people.held_out)[::_FIT_JOINTS_EVERY]
    points = joint_points(people.joints.mean(0), MIRROR)
    mean = people.vertices.mean(0)
    rows = fit_regressor(
        people.vertices[fitted], people.joints[fitted], points, mean, weights, skin.mirror
    )
    errors = rows @ people.vertices[people.held_out] - people.joints[people.held_out]
    report["J_regressor_nonzeros"] = int((rows > 0).sum())
    report["J_regressor_heldout_mm"] = _per_point(SMPL_JOINT_NAMES, errors)
    return rows


def _posed_regressor(
    people: Population, skin: Skin, weights: np.ndarray, seed: int, report: dict[str, object]
) -> np.ndarray:
    """(24 + 17, V) joints and COCO keypoints from skin in any pose, fitted on random poses."""
    rng = np.random.default_rng(seed)
    spread = np.array([0.5 if n.endswith(_WIDE_JOINTS) else 0.2 for n in SMPL_JOINT_NAMES])
    chosen = rng.permutation(np.flatnonzero(~people.held_out))[:_NUM_POSED]
    num_vertices = people.vertices.shape[1]
    bodies = np.empty((len(chosen), num_vertices, 3), np.float32)
    targets = np.empty((len(chosen), NUM_JOINTS + NUM_KEYPOINTS, 3))
    for i, person in enumerate(chosen):
        points = np.concatenate([people.vertices[person], people.keypoints[person]])
        rotvecs = rng.normal(size=(NUM_JOINTS, 3)) * spread[:, None]
        posed, joints = pose_body(points, people.joints[person], weights, rotvecs)
        bodies[i] = posed[:num_vertices]
        targets[i] = np.concatenate([joints, posed[num_vertices:]])
    points_to_fit: Points = joint_and_coco_points(
        people.joints.mean(0), people.keypoints.mean(0), MIRROR, weights[num_vertices:].argmax(1)
    )
    fit, test = slice(0, _NUM_POSED_FITTED), slice(_NUM_POSED_FITTED, None)
    rows = fit_regressor(
        bodies[fit], targets[fit], points_to_fit, people.vertices.mean(0),
        weights[:num_vertices], skin.mirror,
    )  # fmt: skip
    errors = rows @ bodies[test] - targets[test]
    report["posed_joints_heldout_mm"] = _per_point(SMPL_JOINT_NAMES, errors[:, :NUM_JOINTS])
    report["posed_coco17_heldout_mm"] = _per_point(COCO_KEYPOINT_NAMES, errors[:, NUM_JOINTS:])
    return rows


def _gendered(
    people: Population,
    members: np.ndarray,
    skin: Skin,
    weights: np.ndarray,
    joint_regressor: np.ndarray,
    config: BuildConfig,
) -> tuple[dict[str, Any], dict[str, object]]:
    """The file's arrays for some of the people, and the report of their shape space."""
    fitted, held_out = members & ~people.held_out, members & people.held_out
    space = fit_shape_space(people.vertices[fitted], people.vertices[held_out], skin.faces)
    joint_errors = joint_regressor @ space.reconstruction - people.joints[held_out]
    joints = joint_regressor @ space.mean
    arrays = {
        "v_template": space.mean,
        "f": skin.faces.astype(np.int32),
        "shapedirs": space.directions,
        "posedirs": pose_correctives(space.mean, joints, weights, config.corrective_strength),
        "J_regressor": joint_regressor.astype(np.float32),
        "weights": weights.astype(np.float32),
        "kintree_table": np.array([PARENTS, range(NUM_JOINTS)]),
        "vt": skin.uvs.astype(np.float32),
        "ft": skin.uv_faces.astype(np.int32),
        "base_vertex": skin.ids.astype(np.int32),
        "mirror": skin.mirror.astype(np.int32),
    }
    return arrays, {**space.report, "heldout_joint_mm": mean_mm(joint_errors)}


def _per_point(names: Sequence[str], errors: np.ndarray) -> dict[str, float]:
    """Mean error in mm per name, from errors (N, K, 3) in metres."""
    return {name: mean_mm(errors[:, i]) for i, name in enumerate(names)}
