"""The COCO keypoints of posed bodies without their meshes, and how they move with every parameter.

A keypoint is a weighted sum of vertices, and linear blend skinning is linear in them.  So the share
that each joint carries of each keypoint is summed over the vertices once, and a keypoint is

    k = sum_i R_i a_i + m_i t_i

over joints i, with world rotations R and translations t, masses m that depend on the body alone,
and offsets a that are linear in shape and pose as the vertices are.  Exact, and a thousandth of the
mesh's arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .mesh_body import COCO_BODY_JOINTS, SMPL_FACE_VERTICES, Body, joint_transforms
from .skeleton import ANCESTORS, NUM_JOINTS, NUM_KEYPOINTS, PARENTS

NUM_TURNS = 3 * NUM_JOINTS
"""Derivatives by rotations: three of each joint, the pelvis first."""


@dataclass(frozen=True)
class PosedKeypoints:
    """Keypoints of P people, and what their derivatives need.

    Attributes:
        points: (P, 17, 3) metres, in the body frame.
        shares: (P, 17, 24, 3) what each joint adds to each keypoint, metres.
        rotmats: (P, 24, 3, 3) rotations of the joints relative to their parents, the pelvis first.
        turns: (P, 24, 3, 3) rotations of the joints in the body frame.
        joints: (P, 24, 3) metres.
    """

    points: Float[Tensor, "P K 3"]
    shares: Float[Tensor, "P K 24 3"]
    rotmats: Float[Tensor, "P 24 3 3"]
    turns: Float[Tensor, "P 24 3 3"]
    joints: Float[Tensor, "P 24 3"]


class KeypointBody:
    """A body reduced to its keypoints.

    Args:
        body: the whole body, whose device and precision are kept.
        regressor: (K, V) weights of other points in place of the COCO keypoints, whose `pose` alone
            is then of use; None: the keypoints.
    """

    def __init__(self, body: Body, regressor: Float[Tensor, "K V"] | None = None) -> None:
        are_keypoints = regressor is None
        regressor = _vertex_regressor(body) if regressor is None else regressor
        # Other points are vertices, mostly: the rest of the mesh carries nothing.
        used = slice(None) if are_keypoints else regressor.any(0).nonzero()[:, 0]
        carried = regressor[:, None, used] * body.weights[:, used]  # (17, 24, V)
        template = _carried(carried, body.v_template[None, used])[0]
        by_betas = _carried(carried, body.shapedirs.unflatten(-1, (-1, 3))[:, used])
        by_pose = _carried(carried, body.posedirs.unflatten(-1, (3, -1)).mT[:, used])
        self._masses = carried.sum(-1)  # (17, 24)
        self._rest = body.joint_template
        self._rest_by_betas = body.joint_shapedirs.unflatten(-1, (NUM_JOINTS, 3))
        if body.coco_regressor is None and are_keypoints:
            keypoints = list(range(len(SMPL_FACE_VERTICES), NUM_KEYPOINTS))
            joints = list(COCO_BODY_JOINTS)
            self._masses[keypoints, joints] = 1
            template[keypoints, joints] = self._rest[joints]
            by_betas[:, keypoints, joints] = self._rest_by_betas[:, joints]
        self._template, self._by_betas, self._by_pose = template, by_betas, by_pose
        # (72, 207 17): of all joints at once, for one matrix product with their rotations.
        self._by_pose_of_joints = by_pose.permute(2, 3, 0, 1).flatten(2).flatten(0, 1)
        self._moved = _moved_with(self._rest)

    def pose(
        self, betas: Float[Tensor, "P 10"], rotmats: Float[Tensor, "P 24 3 3"]
    ) -> PosedKeypoints:
        """Keypoints of posed people.

        Args:
            betas: (P, 10).
            rotmats: (P, 24, 3, 3) relative to the parents, the global rotation first.
        """
        rest = self._rest + (betas @ self._rest_by_betas.flatten(1)).unflatten(-1, (-1, 3))
        turns, joints = joint_transforms(rest, rotmats[:, None, 1:], rotmats[:, 0])
        turns, joints = turns[:, 0], joints[:, 0]
        translations = joints - (turns @ rest[..., None])[..., 0]
        features = (rotmats[:, 1:] - torch.eye(3).to(rotmats)).flatten(1)
        offsets = betas @ self._by_betas.flatten(1) + features @ self._by_pose.flatten(1)
        offsets = self._template + offsets.unflatten(-1, self._template.shape)
        shares = torch.einsum("pixy,pkiy->pkix", turns, offsets)
        shares = shares + self._masses[..., None] * translations[:, None]
        return PosedKeypoints(shares.sum(2), shares, rotmats, turns, joints)

    def derivatives(self, posed: PosedKeypoints) -> Float[Tensor, "P 17 82 3"]:
        """(P, 17, 72 + 10, 3) metres per radian and per beta.

        Joint i turns by its vector w as R_i exp(w), the pelvis first; then come the betas.
        """
        by_turns = self._by_turns(posed) + self._by_blend_shapes(posed)
        return torch.cat([by_turns, self._by_shape(posed)], dim=2)

    def _by_turns(self, posed: PosedKeypoints) -> Tensor:
        """(P, 17, 72, 3): all that a joint carries turns about it."""
        carried = self._moved @ posed.shares
        lever = carried - (self._masses @ self._moved.T)[..., None] * posed.joints[:, None]
        axes = posed.turns.mT[:, None].expand(-1, NUM_KEYPOINTS, -1, -1, -1)
        return torch.linalg.cross(axes, lever[..., None, :].expand_as(axes)).flatten(2, 3)

    def _by_blend_shapes(self, posed: PosedKeypoints) -> Tensor:
        """(P, 17, 72, 3): the pose's blend shapes, which the pelvis has none of."""
        turned = posed.turns.permute(0, 2, 1, 3).flatten(2) @ self._by_pose_of_joints
        turned = turned.unflatten(-1, (NUM_JOINTS - 1, 9, NUM_KEYPOINTS))  # (P, 3, 23, 9, 17)
        change = turn_derivatives(posed.rotmats[:, 1:]).flatten(-2)  # (P, 23, 3, 9)
        moved = torch.einsum("pjcf,pxjfk->pkjcx", change, turned).flatten(2, 3)
        return torch.nn.functional.pad(moved, (0, 0, 3, 0))

    def _by_shape(self, posed: PosedKeypoints) -> Tensor:
        """(P, 17, 10, 3): joints move with the bones above them, offsets by themselves."""
        rest = self._rest_by_betas
        bones = rest[:, 1:] - rest[:, list(PARENTS[1:])]
        turned = torch.einsum("pjxy,bjy->pbjx", posed.turns[:, list(PARENTS[1:])], bones)
        pelvis = rest[:, :1].expand(len(turned), -1, -1, -1)
        places = self._moved.T @ torch.cat([pelvis, turned], dim=2)  # (P, 10, 24, 3)
        translations = places - torch.einsum("pixy,biy->pbix", posed.turns, rest)
        moved = torch.einsum("pixy,bkiy->pkbx", posed.turns, self._by_betas)
        return moved + torch.einsum("ki,pbix->pkbx", self._masses, translations)


def turn_derivatives(rotmats: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3 3"]:
    """(..., 3, 3, 3) derivatives of R exp(w) by the three components of w, at w = 0."""
    x, y, z = rotmats.unbind(-1)
    zero = torch.zeros_like(x)
    columns = [(zero, z, -y), (-z, zero, x), (y, -x, zero)]
    return torch.stack([torch.stack(column, dim=-1) for column in columns], dim=-3)


def _vertex_regressor(body: Body) -> Tensor:
    """(17, V); of SMPL the rows of keypoints that are joints are zero."""
    if body.coco_regressor is not None:
        return body.coco_regressor
    regressor = body.weights.new_zeros(NUM_KEYPOINTS, body.num_vertices)
    regressor[list(range(len(SMPL_FACE_VERTICES))), list(SMPL_FACE_VERTICES)] = 1
    return regressor


def _carried(carried: Tensor, vertices: Tensor) -> Tensor:
    """Sums (N, 17, 24, 3) of vertices (N, V, 3) by keypoint and joint."""
    sums = carried.flatten(0, 1) @ vertices  # (N, 408, 3)
    return sums.unflatten(1, carried.shape[:2])


def _moved_with(like: Tensor) -> Tensor:
    """(24, 24): 1 where the joint of the column turns with that of the row."""
    moved = torch.eye(NUM_JOINTS).to(like)
    moved[0] = 1
    for body_joint, ancestors in enumerate(ANCESTORS):
        moved[[ancestor + 1 for ancestor in ancestors], body_joint + 1] = 1
    return moved
