"""The few vertices of a body that training needs: keypoints, evaluation joints, a sample of skin.

Losses on projected keypoints need a body for every sample of every person and step; skinning a
few hundred vertices instead of all makes that a small part of a step.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hierprob3d.model.body.mesh_body import (
    COCO_BODY_JOINTS,
    H36M_TO_14,
    SMPL_FACE_VERTICES,
    Body,
    ShapedBody,
)


@dataclass(frozen=True)
class SparsePoints:
    """Points of posed bodies, metres.

    Attributes:
        keypoints: (..., 17, 3) COCO keypoints.
        joints: (..., J, 3) SMPL's 24 joints, or the 14 of evaluation.
        vertices: (..., K, 3) every `stride`-th vertex.
    """

    keypoints: Tensor
    joints: Tensor
    vertices: Tensor


class SparseBody:
    """A body restricted to the vertices behind its joints and every `stride`-th vertex.

    Args:
        body: the whole body.
        stride: step between the vertices kept for vertex losses; 1 keeps all.
        joints: "smpl", or "h36m" for the 14 joints that Human3.6M's regressor gives.

    Raises:
        FileNotFoundError: joints of Human3.6M, and SMPL without its regressor.
    """

    def __init__(self, body: Body, stride: int = 32, joints: str = "smpl") -> None:
        device = body.faces.device
        self._coco = None if body.coco_regressor is None else _Regressor(body.coco_regressor)
        face = torch.tensor(SMPL_FACE_VERTICES, device=device)
        behind = face if self._coco is None else self._coco.behind
        self._h36m = _h36m_regressor(body) if joints == "h36m" else None
        parts = [behind, torch.arange(0, body.num_vertices, stride, device=device)]
        if self._h36m is not None:
            parts.append(self._h36m.behind)
        self._sizes = [len(part) for part in parts]
        self._body = _restricted(body, torch.cat(parts))
        self._behind_keypoints = _restricted(body, behind)

    def __call__(self, betas: Tensor, pose_rotmats: Tensor, global_rotmat: Tensor) -> SparsePoints:
        """Points of N poses and shapes per person.

        Args:
            betas: (B, N, 10).
            pose_rotmats: (B, N, 23, 3, 3).
            global_rotmat: (B, 3, 3), shared by the N.

        Returns:
            SparsePoints with leading dimensions (B, N).
        """
        moved, joints = _posed(self._body, betas, pose_rotmats, global_rotmat)
        behind, vertices, *rest = moved.split(self._sizes, dim=-2)
        keypoints = self._keypoints(behind, joints)
        if self._h36m is not None:
            joints = self._h36m.matrix @ rest[0]
        return SparsePoints(keypoints, joints, vertices)

    def keypoints(self, betas: Tensor, pose_rotmats: Tensor, global_rotmat: Tensor) -> Tensor:
        """The keypoints (B, N, 17, 3) alone; arguments as of a call."""
        posed = _posed(self._behind_keypoints, betas, pose_rotmats, global_rotmat)
        return self._keypoints(*posed)

    def _keypoints(self, behind: Tensor, joints: Tensor) -> Tensor:
        if self._coco is not None:
            return self._coco.matrix @ behind
        return torch.cat([behind, joints[..., list(COCO_BODY_JOINTS), :]], dim=-2)


class _Regressor:
    """A regressor (J, V) restricted to the vertices that it reads."""

    def __init__(self, regressor: Tensor) -> None:
        self.behind = (regressor != 0).any(0).nonzero()[:, 0]
        self.matrix = regressor[:, self.behind]


def _h36m_regressor(body: Body) -> _Regressor:
    """Of the 14 joints."""
    body.h36m_joints14(body.v_template)  # says what is missing
    assert body.h36m_regressor is not None
    return _Regressor(body.h36m_regressor[list(H36M_TO_14)])


def _posed(
    body: Body, betas: Tensor, pose_rotmats: Tensor, global_rotmat: Tensor
) -> tuple[Tensor, Tensor]:
    """Vertices (B, N, V, 3) and SMPL joints (B, N, 24, 3) of N poses and shapes per person."""
    num_people, num_poses = pose_rotmats.shape[:2]
    shaped = body.shape(betas.flatten(0, 1))
    turns = global_rotmat[:, None].expand(-1, num_poses, -1, -1).flatten(0, 1)
    vertices, joints = body.pose(
        ShapedBody(shaped.vertices, shaped.joints), pose_rotmats.flatten(0, 1)[:, None], turns
    )
    leading = (num_people, num_poses)
    return vertices[:, 0].unflatten(0, leading), joints[:, 0].unflatten(0, leading)


def _restricted(body: Body, kept: Tensor) -> Body:
    """`body` with the vertices `kept` only; its joints still move with the whole shape."""
    sparse = Body.__new__(Body)
    torch.nn.Module.__init__(sparse)
    sparse.v_template = body.v_template[kept]
    sparse.shapedirs = body.shapedirs.unflatten(-1, (-1, 3))[:, kept].flatten(1)
    sparse.posedirs = body.posedirs.unflatten(-1, (3, -1))[:, :, kept].flatten(1)
    sparse.weights = body.weights[:, kept]
    sparse.sparse_posedirs = None
    sparse.joint_template = body.joint_template
    sparse.joint_shapedirs = body.joint_shapedirs
    return sparse
