"""What the lift is told about its bodies, and about how sure it is of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hierprob3d.model.body.mesh_body import Body, joint_transforms
from hierprob3d.model.body.skeleton import NUM_JOINTS, SMPL_JOINT_NAMES
from hierprob3d.model.estimate.distribution_metrics import shape_nll
from hierprob3d.model.estimate.metrics import alignment_map
from hierprob3d.model.network.distribution_net import NetOutput
from hierprob3d.model.network.lift_input import Frame
from hierprob3d.model.network.lift_net import Estimate
from hierprob3d.model.rotation.matrix_fisher import MatrixFisher

from .lift_batch import LiftBatch

_FURTHEST = 5.0
"""Sizes of the person: joints that are seen further off teach no more."""
_LESS = ("spine", "collar", "foot", "hand")
"""Joints whose places count less: those of the trunk are never far off, and feet and hands are
learnt by their rotations."""
_LESS_WEIGHT = 0.3


@dataclass(frozen=True)
class BodyLoss:
    """Means over people and joints."""

    rotmats: Tensor
    """Squared differences of rotation matrices."""
    joints: Tensor
    """Metres between joints, both pelvises in one place."""
    aligned: Tensor
    """Metres between joints after the best turn, size and shift of the person."""
    joints2d: Tensor
    """Sizes of the person between joints as seen."""
    betas: Tensor
    """Squared differences."""

    @property
    def total(self) -> Tensor:
        """What is learnt by: where the joints are counts most."""
        places = 15 * self.joints + 10 * self.aligned + 2 * self.joints2d
        return 4 * self.rotmats + places + 0.1 * self.betas


class JointPlaces:
    """Where joints are, of a body whose skeleton alone is kept."""

    def __init__(self, body: Body) -> None:
        self._rest, self._by_betas = body.joint_template, body.joint_shapedirs

    def __call__(self, betas: Tensor, rotmats: Tensor) -> Tensor:
        """(B, 24, 3) metres from the pelvis, body frame."""
        rest = self._rest + (betas @ self._by_betas).unflatten(-1, (NUM_JOINTS, 3))
        joints = joint_transforms(rest, rotmats[:, None, 1:], rotmats[:, 0])[1][:, 0]
        return joints - joints[:, :1]


def body_loss(body: Estimate, frame: Frame, batch: LiftBatch, places: JointPlaces) -> BodyLoss:
    """How far B bodies are from the truth."""
    with torch.no_grad():
        true_joints = places(batch.betas, batch.rotmats)
    joints = places(body.betas, body.rotmats)
    flat = joints[..., :2] * joints.new_tensor([1.0, -1.0])
    seen = body.pelvis[:, None] + body.zoom[:, None] * flat
    off = ((seen - batch.joints2d) / frame.size[:, None]).norm(dim=-1)
    weights = _joint_weights().to(joints)
    return BodyLoss(
        rotmats=(body.rotmats - batch.rotmats).square().mean(),
        joints=((joints - true_joints).norm(dim=-1) * weights).mean(),
        aligned=(_aligned_distances(joints, true_joints, weights) * weights).mean(),
        joints2d=off.clamp(max=_FURTHEST).mean(),
        betas=(body.betas - batch.betas).square().mean(),
    )


def _joint_weights() -> Tensor:
    """(24,) of mean 1."""
    counts_less = [any(part in name for part in _LESS) for name in SMPL_JOINT_NAMES]
    weights = torch.ones(NUM_JOINTS).masked_fill(torch.tensor(counts_less), _LESS_WEIGHT)
    return weights / weights.mean()


def _aligned_distances(joints: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """(B, 24) metres; the alignment is the best, so that to first order nothing is learnt by it."""
    joints, target = (p - (p * weights[:, None]).mean(1, keepdim=True) for p in (joints, target))
    with torch.no_grad():
        alignment = alignment_map(joints, target, "similarity")
    return (joints @ alignment.mT - target).norm(dim=-1)


def spread_loss(output: NetOutput, batch: LiftBatch) -> tuple[Tensor, Tensor]:
    """Negative log-likelihoods of the truth: per rotation, the global one too, and per beta."""
    assert output.global_F is not None
    F = torch.cat([output.global_F[:, None], output.pose_F], dim=1)
    pose = -MatrixFisher(F).log_prob(batch.rotmats).mean()
    return pose, shape_nll(output.shape_mean, output.shape_std, batch.betas).mean()
