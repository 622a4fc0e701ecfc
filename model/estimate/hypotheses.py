"""Bodies proposed for people, posed to be compared: one estimate each, then draws.

Evaluation and the assessment of weights take their distances from what is made here, so that the
same network, people and draws give both the same figures.
"""

from __future__ import annotations

import torch

from hierprob3d.model.body.mesh_body import Body

from .body_samples import BodyParameters, PosedBodies, Samples
from .metrics import BodyPoints


def before_draws(
    estimate: BodyParameters, samples: Samples, num_draws: int | None = None
) -> Samples:
    """(P, 1 + N) bodies: the estimate of each person, then its first draws.

    Args:
        estimate: the mode, or a refined body.
        samples: draws.
        num_draws: how many of them; None for all.
    """
    first = Samples(estimate.pose, estimate.betas, estimate.global_rotmat)
    return Samples(
        *(
            torch.cat([one[:, None], drawn[:, :num_draws]], 1)
            for one, drawn in zip(first, samples, strict=True)
        )
    )


def compared_points(
    posed: PosedBodies, body: Body, with_joints: bool = True, from_pelvis: bool = False
) -> BodyPoints:
    """What distances between bodies are taken of.

    Args:
        posed: (P, N) bodies.
        body: the body that they are poses of.
        with_joints: False leaves the joints out, for bodies whose regressor is missing.
        from_pelvis: points are relative to Human3.6M's pelvis, not to the body frame's origin.
    """
    vertices = posed.vertices
    if not with_joints:
        return BodyPoints(vertices, posed.reposed, joints=vertices[..., :0, :])
    joints = body.h36m_joints14(vertices)
    if from_pelvis:
        pelvis = body.h36m_joints(vertices)[..., :1, :]
        vertices, joints = vertices - pelvis, joints - pelvis
    return BodyPoints(vertices, posed.reposed, joints)
