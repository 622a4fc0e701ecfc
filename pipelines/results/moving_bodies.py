"""Sequences of people as animated bodies."""

from __future__ import annotations

import numpy as np
import torch

from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.body.skeleton import SMPL_JOINT_NAMES
from hierprob3d.model.files.skinned_glb import Motion, SkinnedMesh, skinned_glb_bytes
from hierprob3d.model.picture.drawing import vertex_normals

from .person_sequences import PersonSequence


def moving_body_glb(sequence: PersonSequence, body: Body, name: str, in_camera: bool) -> bytes:
    """A GLB of the sequence's body, in its T-pose, with its motion as an animation.

    Args:
        sequence: N bodies of one person.
        body: that the betas belong to.
        name: of the body and the animation in the file.
        in_camera: whether it moves where the person stands before the camera; else it begins at
            the origin.
    """
    shaped = body.shape(torch.from_numpy(sequence.betas)[None].float())
    vertices, joints = shaped.vertices[0], shaped.joints[0].numpy()
    mesh = SkinnedMesh(
        vertices=vertices.numpy(),
        normals=vertex_normals(vertices[None], body.faces)[0].numpy(),
        faces=body.faces.numpy(),
        weights=body.weights.T.numpy(),
        joints=joints,
        parents=body.parents,
        names=SMPL_JOINT_NAMES,
    )
    start = np.zeros(3) if in_camera else sequence.places[0]
    motion = Motion(sequence.seconds, sequence.quats, sequence.places - start + joints[0])
    return skinned_glb_bytes(mesh, motion, name)
