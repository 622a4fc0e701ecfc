"""The few vertices of a body that training needs: keypoints, evaluation joints, a sample of skin.

Losses on projected keypoints need a body for every sample of every person and step; skinning a
few hundred vertices instead of all makes that a small part of a step.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hierprob3d.model.body.mesh_body import COCO_BODY_JOINTS, SMPL_FACE_VERTICES, Body, ShapedBody


@dataclass(frozen=True)
class SparsePoints:
    """Points of posed bodies, metres.

    Attributes:
        keypoints: (..., 17, 3) COCO keypoints.
        joints: (..., 24, 3) SMPL joints.
        vertices: (..., K, 3) every `stride`-th vertex.
    """

    keypoints: Tensor
    joints: Tensor
    vertices: Tensor


class SparseBody:
    """A body restricted to the vertices behind its keypoints and every `stride`-th vertex.

    Args:
        body: the whole body.
        stride: step between the vertices kept for vertex losses.
    """

    def __init__(self, body: Body, stride: int = 32) -> None:
        regressor = body.coco_regressor
        device = body.faces.device
        if regressor is not None:
            behind = (regressor != 0).any(0).nonzero()[:, 0]
        else:
            behind = torch.tensor(SMPL_FACE_VERTICES, device=device)
        kept = torch.cat([behind, torch.arange(0, body.num_vertices, stride, device=device)])
        self._num_behind = len(behind)
        self._regressor = None if regressor is None else regressor[:, behind]
        self._body = _restricted(body, kept)

    def __call__(self, betas: Tensor, pose_rotmats: Tensor, global_rotmat: Tensor) -> SparsePoints:
        """Points of N poses and shapes per person.

        Args:
            betas: (B, N, 10).
            pose_rotmats: (B, N, 23, 3, 3).
            global_rotmat: (B, 3, 3), shared by the N.

        Returns:
            SparsePoints with leading dimensions (B, N).
        """
        num_people, num_poses = pose_rotmats.shape[:2]
        shaped = self._body.shape(betas.flatten(0, 1))
        turns = global_rotmat[:, None].expand(-1, num_poses, -1, -1).flatten(0, 1)
        vertices, joints = self._body.pose(
            ShapedBody(shaped.vertices, shaped.joints), pose_rotmats.flatten(0, 1)[:, None], turns
        )
        vertices = vertices.view(num_people, num_poses, -1, 3)
        joints = joints.view(num_people, num_poses, -1, 3)
        behind = vertices[..., : self._num_behind, :]
        if self._regressor is not None:
            keypoints = self._regressor @ behind
        else:
            keypoints = torch.cat([behind, joints[..., list(COCO_BODY_JOINTS), :]], dim=-2)
        return SparsePoints(keypoints, joints, vertices[..., self._num_behind :, :])


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
