"""The body: a mesh and its joints from shape, joint rotations and a global rotation.

Linear blend skinning of any file in SMPL's layout (Loper et al., "SMPL", 2015, equations 2 to 10),
written for many samples of one person: what depends on the shape alone is done once by `shape`,
and `pose` blends rotations and translations for all samples with two matrix products. Frame:
metres, y up, x to the body's left, z forward; the global rotation turns about the pelvis.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from .body_file import H36M_REGRESSOR, BodyData, read_body
from .skeleton import LEVELS, NUM_JOINTS, PARENTS

H36M_JOINT_NAMES = (
    "pelvis", "left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle",
    "torso", "neck", "nose", "head_top", "left_shoulder", "left_elbow", "left_wrist",
    "right_shoulder", "right_elbow", "right_wrist",
)  # fmt: skip
"""Rows of a Human3.6M regressor in the order of the file used by SPIN and the paper's code. The
data set itself, and a file named "correct" that is also about, have the right leg first."""

H36M_TO_14 = (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)
"""The 14 joints of evaluation among them: right ankle to hip, left hip to ankle, right wrist to
shoulder, left shoulder to wrist, neck, head top."""

SMPL_FACE_VERTICES = (332, 2800, 6260, 583, 4071)
"""Vertices of SMPL's mesh taken as nose, left eye, right eye, left ear, right ear."""

COCO_BODY_JOINTS = (16, 17, 18, 19, 20, 21, 1, 2, 4, 5, 7, 8)
"""SMPL joints taken as COCO's keypoints 5 to 16, shoulders to ankles."""


_BLOCK_BYTES = {False: 4 << 20, True: 512 << 20}
"""Blended transforms held at a time on CPU (they stay in its cache) and on GPU."""

_SPARSE_DENSITY = 0.1
"""Share of non-zero pose blend shapes below which a sparse product is faster, see benchmarks/."""


@dataclass(frozen=True)
class ShapedBody:
    """The bodies of B people in T-pose: all that depends on shape alone."""

    vertices: Float[Tensor, "B V 3"]
    """Metres."""
    joints: Float[Tensor, "B 24 3"]
    """Metres."""


def load_body(path: str | os.PathLike[str] = "open", gender: str = "neutral") -> Body:
    """The body model of a file in SMPL's layout.

    Args:
        path: "open" for the bundled OpenBody; or a .npz or .pkl file (also one pickled by python 2
            with chumpy arrays); or a folder with SMPL_NEUTRAL.pkl and the like, or with files under
            their published names (basicmodel_m_lbs_10_207_0_v1.1.0.pkl ...). Of files with 300
            shape directions the first 10 are used.
        gender: neutral, male or female. A single file whose name states a gender is of that gender.

    Returns:
        The body in float32 on the CPU.

    Raises:
        FileNotFoundError: no such file, or no file of that gender in the folder.
        ValueError: unknown gender, a file of another gender, arrays missing or of wrong shape, or
            a pickle that holds more than arrays.
    """
    return Body(read_body(path, gender))


class Body(nn.Module):
    """Linear blend skinning with shape and pose blend shapes. No trainable parameters."""

    faces: Tensor
    """(F, 3) int64 vertex numbers."""
    v_template: Tensor
    """(V, 3) the mean shape, metres."""
    shapedirs: Tensor
    """(10, 3 V)."""
    posedirs: Tensor
    """(207, 3 V), coordinates outermost."""
    sparse_posedirs: Tensor | None
    """(3 V, 207) the same, where so few are non-zero that a sparse product is faster (OpenBody)."""
    weights: Tensor
    """(24, V) skinning weights."""
    joint_template: Tensor
    """(24, 3) joints of the mean shape."""
    joint_shapedirs: Tensor
    """(10, 72) joints' change with shape: joints are linear in the vertices, these in the betas."""
    coco_regressor: Tensor | None
    """(17, V), OpenBody only."""
    h36m_regressor: Tensor | None
    """(17, V), where its file was found."""

    def __init__(self, data: BodyData) -> None:
        super().__init__()
        self.family = data.family
        self.gender = data.gender
        self.path = data.path
        self.sha256 = data.sha256()
        self.parents = PARENTS
        self.vertex_parts = data.vertex_parts
        self.face_parts = data.face_parts
        self.register_buffer("faces", torch.from_numpy(data.faces), persistent=False)
        joint_shapedirs = np.einsum("jv,vck->jck", data.joint_regressor, data.shapedirs)
        self._add("v_template", data.v_template)
        self._add("shapedirs", data.shapedirs.reshape(-1, data.shapedirs.shape[-1]).T)
        self._add("posedirs", data.posedirs.transpose(2, 1, 0).reshape(data.posedirs.shape[-1], -1))
        self.register_buffer("sparse_posedirs", _sparse_if_worth(self.posedirs.T), persistent=False)
        self._add("weights", data.weights.T)
        self._add("joint_template", data.joint_regressor @ data.v_template)
        self._add("joint_shapedirs", joint_shapedirs.reshape(-1, data.shapedirs.shape[-1]).T)
        self._add("coco_regressor", data.coco_regressor)
        self._add("h36m_regressor", data.h36m_regressor)

    @property
    def num_vertices(self) -> int:
        """Number of vertices V."""
        return self.v_template.shape[0]

    def forward(
        self,
        betas: Float[Tensor, "B 10"],
        pose_rotmats: Float[Tensor, "B 23 3 3"],
        global_rotmat: Float[Tensor, "B 3 3"],
    ) -> tuple[Float[Tensor, "B V 3"], Float[Tensor, "B 24 3"]]:
        """Posed vertices and joints, one pose per person.

        Args:
            betas: (B, 10) shape.
            pose_rotmats: (B, 23, 3, 3) rotation of each body joint relative to its parent.
            global_rotmat: (B, 3, 3) rotation of the whole body about the pelvis.

        Returns:
            vertices (B, V, 3) and joints (B, 24, 3), metres.
        """
        vertices, joints = self.pose(self.shape(betas), pose_rotmats[:, None], global_rotmat)
        return vertices[:, 0], joints[:, 0]

    def shape(self, betas: Float[Tensor, "B 10"]) -> ShapedBody:
        """Bodies in T-pose.

        Args:
            betas: (B, 10) shape.

        Returns:
            ShapedBody of B people, to be posed any number of times.
        """
        vertices = self.v_template + (betas @ self.shapedirs).unflatten(-1, (-1, 3))
        return ShapedBody(vertices, self.rest_joints(betas))

    def rest_joints(self, betas: Float[Tensor, "B 10"]) -> Float[Tensor, "B 24 3"]:
        """Joints (B, 24, 3) in T-pose of shapes (B, 10), metres; no mesh is made."""
        return self.joint_template + (betas @ self.joint_shapedirs).unflatten(-1, (-1, 3))

    def pose(
        self,
        shaped: ShapedBody,
        pose_rotmats: Float[Tensor, "B N 23 3 3"],
        global_rotmat: Float[Tensor, "B 3 3"],
    ) -> tuple[Float[Tensor, "B N V 3"], Float[Tensor, "B N 24 3"]]:
        """N poses of each shaped body.

        Args:
            shaped: B people.
            pose_rotmats: (B, N, 23, 3, 3) rotation of each body joint relative to its parent.
            global_rotmat: (B, 3, 3) rotation of the whole body about the pelvis.

        Returns:
            vertices (B, N, V, 3) and joints (B, N, 24, 3), metres.
        """
        rotations, joints = joint_transforms(shaped.joints, pose_rotmats, global_rotmat)
        translations = joints - (rotations @ shaped.joints[:, None, :, :, None]).squeeze(-1)
        transforms = torch.cat([rotations, translations[..., None]], dim=-1)  # (B, N, 24, 3, 4)
        rows = transforms.flatten(-2).mT.flatten(0, 1)  # (B N, 12, 24)
        unposed = self._pose_offsets(pose_rotmats).add_(shaped.vertices.mT[:, None]).flatten(0, 1)
        block = max(1, _BLOCK_BYTES[rows.is_cuda] // (48 * self.num_vertices))
        blocks = zip(unposed.split(block), rows.split(block), strict=True)
        vertices = torch.cat([_skin(part, part_rows @ self.weights) for part, part_rows in blocks])
        return vertices.unflatten(0, pose_rotmats.shape[:2]), joints

    def coco_joints(
        self, vertices: Float[Tensor, "*batch V 3"], joints: Float[Tensor, "*batch 24 3"]
    ) -> Float[Tensor, "*batch 17 3"]:
        """COCO's 17 keypoints of posed bodies.

        Of SMPL, twelve joints and five vertices of the face, as in the paper's code; of OpenBody,
        through its own regressor.

        Args:
            vertices: (..., V, 3) posed vertices.
            joints: (..., 24, 3) posed joints.

        Returns:
            (..., 17, 3), in the frame of the vertices.
        """
        if self.coco_regressor is not None:
            return self.coco_regressor @ vertices
        face = vertices[..., list(SMPL_FACE_VERTICES), :]
        return torch.cat([face, joints[..., list(COCO_BODY_JOINTS), :]], dim=-2)

    def h36m_joints(self, vertices: Float[Tensor, "*batch V 3"]) -> Float[Tensor, "*batch 17 3"]:
        """The 17 joints of Human3.6M of posed bodies, in the order of H36M_JOINT_NAMES.

        Args:
            vertices: (..., V, 3) posed vertices.

        Returns:
            (..., 17, 3), in the frame of the vertices.

        Raises:
            FileNotFoundError: SMPL without its J_regressor_h36m.npy.
        """
        if self.h36m_regressor is None:
            raise FileNotFoundError(
                f"Human3.6M joints need {H36M_REGRESSOR} (17 x {self.num_vertices}) beside "
                f"{self.path}; it comes with the data of SPIN and of the paper's code."
            )
        return self.h36m_regressor @ vertices

    def h36m_joints14(self, vertices: Float[Tensor, "*batch V 3"]) -> Float[Tensor, "*batch 14 3"]:
        """The 14 evaluation joints (..., 14, 3) of posed vertices (..., V, 3); see `H36M_TO_14`."""
        return self.h36m_joints(vertices)[..., list(H36M_TO_14), :]

    def _pose_offsets(self, pose_rotmats: Tensor) -> Tensor:
        """Pose blend shapes (B, N, 3, V) in metres."""
        identity = torch.eye(3, dtype=pose_rotmats.dtype, device=pose_rotmats.device)
        features = (pose_rotmats - identity).flatten(-3)
        if self.sparse_posedirs is None or features.requires_grad or features.is_cuda:
            offsets = features @ self.posedirs
        else:
            columns = self.sparse_posedirs @ features.flatten(0, 1).T
            offsets = columns.T.contiguous().unflatten(0, features.shape[:2])
        return offsets.unflatten(-1, (3, self.num_vertices))

    def _add(self, name: str, array: np.ndarray | None) -> None:
        """Registers an array in float32; not part of the state dict, since files hold it."""
        tensor = None if array is None else torch.from_numpy(np.ascontiguousarray(array)).float()
        self.register_buffer(name, tensor, persistent=False)


def joint_transforms(
    rest_joints: Float[Tensor, "B 24 3"],
    pose_rotmats: Float[Tensor, "B N 23 3 3"],
    global_rotmat: Float[Tensor, "B 3 3"],
) -> tuple[Float[Tensor, "B N 24 3 3"], Float[Tensor, "B N 24 3"]]:
    """Rotation and place of every joint in the body frame, from the root to the leaves.

    Args:
        rest_joints: (B, 24, 3) of the shaped bodies, metres.
        pose_rotmats: (B, N, 23, 3, 3) relative to the parents.
        global_rotmat: (B, 3, 3), about the pelvis.

    Returns:
        rotations (B, N, 24, 3, 3) and places (B, N, 24, 3), metres.
    """
    num_poses = pose_rotmats.shape[1]
    parents = torch.tensor(PARENTS[1:], device=rest_joints.device)
    bones = (rest_joints[:, 1:] - rest_joints[:, parents])[:, None, :, :, None]
    rotations = [global_rotmat[:, None].expand(-1, num_poses, -1, -1)]
    places = [rest_joints[:, None, 0, :, None].expand(-1, num_poses, -1, -1)]
    order = {0: 0}
    for level in LEVELS:
        above = [order[PARENTS[body_joint + 1]] for body_joint in level]
        turn = torch.stack([rotations[i] for i in above], dim=2)
        place = torch.stack([places[i] for i in above], dim=2) + turn @ bones[:, :, list(level)]
        turn = turn @ pose_rotmats[:, :, list(level)]
        order |= {body_joint + 1: len(rotations) + i for i, body_joint in enumerate(level)}
        rotations += turn.unbind(2)
        places += place.unbind(2)
    rank = [order[joint] for joint in range(NUM_JOINTS)]
    return (
        torch.stack([rotations[i] for i in rank], dim=2),
        torch.stack([places[i] for i in rank], dim=2).squeeze(-1),
    )


def _skin(vertices: Tensor, transforms: Tensor) -> Tensor:
    """Each vertex moved by its own 3 x 4 transform.

    Args:
        vertices: (M, 3, V).
        transforms: (M, 12, V) rows of the 3 x 4 matrices.

    Returns:
        (M, V, 3).
    """
    transforms = transforms.unflatten(1, (3, 4))
    x, y, z = vertices[:, None].unbind(2)
    moved = torch.addcmul(transforms[:, :, 3], transforms[:, :, 0], x)
    moved = moved.addcmul_(transforms[:, :, 1], y).addcmul_(transforms[:, :, 2], z)
    return moved.mT


def _sparse_if_worth(matrix: Tensor) -> Tensor | None:
    """The matrix in compressed rows if few of its entries differ from zero, else None."""
    if not torch.backends.mkl.is_available() or (matrix != 0).float().mean() > _SPARSE_DENSITY:
        return None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return matrix.to_sparse_csr()
