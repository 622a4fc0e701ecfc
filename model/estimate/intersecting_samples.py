"""Samples whose body parts enter each other, drawn again."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

from hierprob3d.configs.prediction import NUM_REDRAWS
from hierprob3d.model.body.self_intersection import self_intersection
from hierprob3d.model.body.skeleton import INTERSECTION_TOLERANCE_M
from hierprob3d.model.network.distribution_net import NetOutput
from hierprob3d.model.rotation.matrix_fisher import MatrixFisher
from hierprob3d.model.rotation.random_streams import RandomStreams

from .body_samples import PersonParameters, Samples


class Redrawn(NamedTuple):
    """Samples of which those that intersect were drawn again."""

    samples: Samples
    """The draws that were right at once are the same; of the others the pose is another."""
    at_first: Tensor
    """(P, N) bool, which did intersect."""
    left: Tensor
    """(P, N) bool, which still intersect after all rounds."""


def intersects(pose: Float[Tensor, "*batch 23 3 3"]) -> Bool[Tensor, "*batch"]:
    """(...) bool, whether poses (..., 23, 3, 3) intersect themselves by more than the tolerance."""
    return self_intersection(pose) > INTERSECTION_TOLERANCE_M


def redraw_intersecting(
    samples: Samples, people: PersonParameters | NetOutput, streams: RandomStreams
) -> Redrawn:
    """The samples of `draw_samples` with the poses that intersect drawn again, from the same seed.

    Each draw has random streams of its own, so that what replaces it depends on its person and its
    number alone.

    Args:
        samples: N of each of P people.
        people: their distributions.
        streams: those that the samples were drawn from.
    """
    at_first = intersects(samples.pose)
    pose, left = samples.pose.clone(), at_first.clone()
    for number in range(NUM_REDRAWS):
        person, draw = left.nonzero(as_tuple=True)
        if not len(person):
            break
        own = streams.of_draws(person, draw, f"drawn again {number}")
        pose[person, draw] = MatrixFisher(people.pose_F[person]).sample((1,), generator=own)[0]
        left[person, draw] = intersects(pose[person, draw])
    return Redrawn(samples._replace(pose=pose), at_first, left)
