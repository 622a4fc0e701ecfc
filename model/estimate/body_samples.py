"""Bodies of distributions: the mode, and draws of pose, shape and global rotation, posed.

Every person's draws come from random streams of their own, so that they do not depend on who else
is in the batch, nor the first n on how many are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from hierprob3d.model.body.mesh_body import Body, joint_transforms
from hierprob3d.model.body.skeleton import NUM_BETAS
from hierprob3d.model.network.distribution_net import NetOutput
from hierprob3d.model.rotation.matrix_fisher import MatrixFisher
from hierprob3d.model.rotation.random_streams import RandomStreams

SHAPE_STREAM = "shape"
"""Stream of a person that the draws of the betas use."""

GLOBAL_STREAMS = "global rotation"
"""The person's further streams that the draws of the global rotation use."""


@dataclass(frozen=True)
class PersonParameters:
    """The distribution of P people, as the network gave it."""

    pose_F: Tensor
    """(P, 23, 3, 3) matrix-Fisher parameters."""
    pose_mode: Tensor
    """(P, 23, 3, 3) rotations of the mode."""
    shape_mean: Tensor
    """(P, 10)."""
    shape_std: Tensor
    """(P, 10)."""
    global_rotmat: Tensor
    """(P, 3, 3)."""
    camera: Tensor
    """(P, 3) weak-perspective s, tx, ty of the crop."""
    crop: Tensor
    """(P, 3) centre x, centre y, side in px of the full image."""
    global_F: Tensor | None = None
    """(P, 3, 3) matrix-Fisher parameters of the global rotation, where the weights give one."""


class BodyParameters(NamedTuple):
    """One body of each of P people, as a picture shows it."""

    pose: Tensor
    """(P, 23, 3, 3) rotations of the body joints."""
    betas: Tensor
    """(P, 10)."""
    global_rotmat: Tensor
    """(P, 3, 3)."""
    camera: Tensor
    """(P, 3) weak-perspective s, tx, ty of the crop."""


class Samples(NamedTuple):
    """N bodies drawn for each of P people."""

    pose: Tensor
    """(P, N, 23, 3, 3) rotations of the body joints."""
    betas: Tensor
    """(P, N, 10)."""
    global_rotmat: Tensor
    """(P, N, 3, 3); all the mode's where the global rotation has no distribution."""


class PosedBodies(NamedTuple):
    """N bodies of each of P people, metres, body frame."""

    vertices: Tensor
    """(P, N, V, 3)."""
    joints: Tensor
    """(P, N, 24, 3) SMPL joints."""
    reposed: Tensor
    """(P, N, V, 3) vertices in the T-pose."""


def mode_of(people: PersonParameters | NetOutput) -> BodyParameters:
    """The most probable body of each distribution."""
    return BodyParameters(people.pose_mode, people.shape_mean, people.global_rotmat, people.camera)


def draw_samples(
    people: PersonParameters | NetOutput, streams: RandomStreams, num_samples: int
) -> Samples:
    """Independent draws of pose, shape and, where it has a distribution, global rotation.

    The first n of a larger number are the draws of n.

    Args:
        people: P distributions.
        streams: random numbers of the P people.
        num_samples: draws per person, N.
    """
    pose = MatrixFisher(people.pose_F).sample((num_samples,), generator=streams).transpose(0, 1)
    noise = streams.normal((num_samples, NUM_BETAS), stream=SHAPE_STREAM)
    betas = people.shape_mean[:, None] + people.shape_std[:, None] * noise
    return Samples(pose, betas, _draw_global(people, streams, num_samples))


def pose_bodies(bodies: Samples, body: Body) -> PosedBodies:
    """Meshes and joints of N bodies of each of P people, every one of its own shape."""
    sizes = bodies.betas.shape[:2]
    pose, betas, global_rotmats = (values.flatten(0, 1) for values in bodies)
    shaped = body.shape(betas)
    vertices, joints = body.pose(shaped, pose[:, None], global_rotmats)
    parts = (vertices[:, 0], joints[:, 0], shaped.vertices)
    return PosedBodies(*(values.unflatten(0, sizes) for values in parts))


def pose_samples(
    samples: Samples, body: Body
) -> tuple[Float[Tensor, "P N V 3"], Float[Tensor, "P N 24 3"]]:
    """Vertices (P, N, V, 3) and joints (P, N, 24, 3) of `pose_bodies` alone."""
    return pose_bodies(samples, body)[:2]


def joints_of_samples(samples: Samples, body: Body) -> Float[Tensor, "P N 24 3"]:
    """SMPL joints (P, N, 24, 3) of drawn parameters, metres, body frame; no mesh is made."""
    num_samples = samples.pose.shape[1]
    pose, betas, global_rotmat = (values.flatten(0, 1) for values in samples)
    _, joints = joint_transforms(body.rest_joints(betas), pose[:, None], global_rotmat)
    return joints[:, 0].unflatten(0, (-1, num_samples))


def with_paper_rule(samples: Samples, people: PersonParameters) -> Samples:
    """The samples as the paper's code poses them: mean shape and the mode's global rotation."""
    return Samples(
        samples.pose,
        people.shape_mean[:, None].expand_as(samples.betas),
        people.global_rotmat[:, None].expand_as(samples.global_rotmat),
    )


def _draw_global(
    people: PersonParameters | NetOutput, streams: RandomStreams, num_samples: int
) -> Tensor:
    """(P, N, 3, 3) global rotations of the samples."""
    if people.global_F is None:
        return people.global_rotmat[:, None].expand(-1, num_samples, -1, -1)
    streams = streams.independent(GLOBAL_STREAMS)
    return MatrixFisher(people.global_F).sample((num_samples,), streams).transpose(0, 1)
