"""Bodies moved onto the keypoints found in a picture, as far as their distribution allows.

The network's distribution is taken as prior, the keypoints as evidence, and the most probable body
given both is sought: the minimum over rotations R, betas b and camera of

    sum_j tr(F_j^T (mode_j - R_j)) + |(b - mean) / std|^2 / 2
        + sum_k (v + 2) / 2 log(1 + d_k^2 / v) + camera's own

where d_k is the distance of a visible keypoint from the projected one, over the size of its error.
The last sum is a Student distribution in the picture's plane, which a keypoint that is far off
hardly pulls.  This is beyond the paper, in the manner of ProHMR (Kolotouros et al., ICCV 2021):
Levenberg-Marquardt steps from the mode, all people at once, each with a damping of their own, so
that nobody's result depends on the others by more than rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hierprob3d.model.body.keypoint_body import NUM_TURNS, KeypointBody, turn_derivatives
from hierprob3d.model.body.skeleton import COCO_SIGMAS, NUM_BETAS, NUM_KEYPOINTS
from hierprob3d.model.network.distribution_net import NetOutput
from hierprob3d.model.picture.cameras import half_turn_x
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat

from .body_samples import BodyParameters, PersonParameters

PERSON_SIZE_M = 0.75
"""Root of the area that a grown person covers, m."""

RESOLUTION = 2 / 128
"""What a detector's errors come to however small the person: 2 px of the 256 px crop."""

STUDENT_FREEDOM = 3.0
"""v above: few, for errors with the heavy tails of swapped limbs."""

GLOBAL_STD = 0.25
"""Radians about each axis that weights without `global_F` may be wrong by."""

CAMERA_STD = (0.3, 0.3, 0.3)
"""How far the network's camera may be off: the log of its scale, and metres."""

NUM_STEPS = 12
"""Enough for nearly all; a few people are still on their way, but errors in 3D fall no further."""

_FIRST_DAMPING, _BETTER, _WORSE = 1.0, 0.3, 4.0
_LEAST_CURVATURE = 1e-3
"""Of a rotation that the distribution says nothing of."""
_ROUNDING = 4e-6
"""Share of a curvature that float32 loses where two concentrations nearly cancel."""


@torch.no_grad()
def refine_bodies(
    people: PersonParameters | NetOutput,
    keypoints: Float[Tensor, "P 17 2"],
    visible: Bool[Tensor, "P 17"],
    body: KeypointBody,
    keypoint_error: float,
) -> BodyParameters:
    """The most probable bodies given distribution and keypoints.

    Args:
        people: P distributions.
        keypoints: (P, 17, 2) found in the picture, -1..1 across the crop.
        visible: (P, 17) bool: keypoints that count; a person without any keeps the mode.
        body: the body of their pose and shape; of the precision of all the rest.
        keypoint_error: factor on `keypoint_sizes`.
    """
    posterior = _Posterior(people, keypoints, visible, body, keypoint_error)
    here = posterior.linearised(posterior.start())
    damping = torch.full_like(here.energy, _FIRST_DAMPING)
    for _ in range(NUM_STEPS):
        there = posterior.linearised(here.place.moved(posterior.step(here, damping)))
        better = there.energy < here.energy  # False where it is not a number
        here = _one_by_person(better, there, here)
        damping = damping * torch.where(better, _BETTER, _WORSE)
    return posterior.bodies(here.place)


def keypoint_sizes(camera: Float[Tensor, "P 3"]) -> Float[Tensor, "P 17"]:
    """(P, 17) sizes of keypoints' errors, of the crop's half side.

    Args:
        camera: (P, 3), whose scale tells how large people are.
    """
    of_annotators = camera.new_tensor(COCO_SIGMAS) * PERSON_SIZE_M * camera[:, :1]
    return (of_annotators.square() + RESOLUTION**2).sqrt()


@dataclass(frozen=True)
class _Place:
    """A point of the search for each of P people."""

    rotmats: Tensor
    """(P, 24, 3, 3), the global rotation first."""
    rest: Tensor
    """(P, 13): betas in standard deviations from their mean; log of the camera's scale over the
    network's, and metres from its translation."""

    def moved(self, step: Tensor) -> _Place:
        """After a step (P, 72 + 13)."""
        turns = rotvec_to_rotmat(step[:, :NUM_TURNS].unflatten(-1, (-1, 3)))
        return _Place(self.rotmats @ turns, self.rest + step[:, NUM_TURNS:])


@dataclass(frozen=True)
class _Linearised:
    """The energy about a place."""

    place: _Place
    energy: Tensor
    """(P,)."""
    gradient: Tensor
    """(P, 85)."""
    root: Tensor
    """(P, 34, 85): its Gram matrix is the curvature of the keypoints' part."""


class _Posterior:
    """The energy of the module's head, for P people."""

    def __init__(
        self,
        people: PersonParameters | NetOutput,
        keypoints: Tensor,
        visible: Tensor,
        body: KeypointBody,
        keypoint_error: float,
    ) -> None:
        self._people, self._body = people, body
        self._keypoints = keypoints.where(visible[..., None], 0)
        global_F = people.global_F
        if global_F is None:
            global_F = people.global_rotmat / (2 * GLOBAL_STD**2)
        self._F = torch.cat([global_F[:, None], people.pose_F], 1)
        self._mode = torch.cat([people.global_rotmat[:, None], people.pose_mode], 1)
        self._sizes = keypoint_error * keypoint_sizes(people.camera)
        self._visible = visible.to(keypoints.dtype)
        stds = keypoints.new_tensor((1.0,) * NUM_BETAS + CAMERA_STD)
        self._rest_curvature = stds**-2
        curvature = _curvature_at_mode(self._F, self._mode)
        self._turn_covariance = torch.linalg.inv_ex(curvature).inverse

    def start(self) -> _Place:
        """The mode, seen by the network's camera."""
        rest = self._mode.new_zeros(len(self._mode), len(self._rest_curvature))
        return _Place(self._mode, rest)

    def bodies(self, place: _Place) -> BodyParameters:
        """What a place stands for."""
        people, rest = self._people, place.rest
        betas = people.shape_mean + people.shape_std * rest[:, :NUM_BETAS]
        scale = people.camera[:, :1] * rest[:, NUM_BETAS : NUM_BETAS + 1].exp()
        shift = people.camera[:, 1:] + rest[:, NUM_BETAS + 1 :]
        camera = torch.cat([scale, shift], dim=1)
        return BodyParameters(place.rotmats[:, 1:], betas, place.rotmats[:, 0], camera)

    def linearised(self, place: _Place) -> _Linearised:
        """Energy, gradient and curvature about a place."""
        bodies = self.bodies(place)
        posed = self._body.pose(bodies.betas, place.rotmats)
        seen = half_turn_x(posed.points)[..., :2] + bodies.camera[:, None, 1:]
        per_size = (bodies.camera[:, :1] / self._sizes)[..., None]
        residuals = per_size * seen - self._keypoints / self._sizes[..., None]
        squares = residuals.square().sum(-1)
        misfit = (STUDENT_FREEDOM + 2) / 2 * torch.log1p(squares / STUDENT_FREEDOM)
        weights = self._visible * (STUDENT_FREEDOM + 2) / (STUDENT_FREEDOM + squares)
        slopes = self._body.derivatives(posed)
        slopes[:, :, NUM_TURNS:] *= self._people.shape_std[:, None, :, None]
        slopes = half_turn_x(slopes)[..., :2]
        by_camera = torch.cat([seen[:, :, None], _identities(seen)], dim=2)
        slopes = per_size[..., None] * torch.cat([slopes, by_camera], dim=2)
        weighted = (weights[..., None] * residuals)[..., None, :]
        gradient = self._prior_gradient(place) + (slopes * weighted).sum((1, 3))
        root = (weights.sqrt()[..., None, None] * slopes).mT.flatten(1, 2)
        energy = self._prior(place) + (self._visible * misfit).sum(-1)
        return _Linearised(place, energy, gradient, root)

    def step(self, here: _Linearised, damping: Tensor) -> Tensor:
        """(P, 85) Levenberg-Marquardt step, damped in the metric of the prior.

        Solves (C + J^T J) x = -g through the 34 rows of J instead of the 85 unknowns.
        """
        shrink = 1 / (1 + damping)[:, None, None]
        gains = shrink * self._times_covariance(here.root.mT)
        plain = shrink * self._times_covariance(here.gradient[..., None])
        inner = torch.eye(2 * NUM_KEYPOINTS).to(gains) + here.root @ gains
        factor = torch.linalg.cholesky_ex(inner).L  # one that is not finite troubles no other
        return (gains @ torch.cholesky_solve(here.root @ plain, factor) - plain)[..., 0]

    def _times_covariance(self, vectors: Tensor) -> Tensor:
        """The prior's covariance at the mode times (P, 85, M)."""
        turns = self._turn_covariance @ vectors[:, :NUM_TURNS].unflatten(1, (-1, 3))
        rest = vectors[:, NUM_TURNS:] / self._rest_curvature[:, None]
        return torch.cat([turns.flatten(1, 2), rest], dim=1)

    def _prior(self, place: _Place) -> Tensor:
        turned = (self._F * (self._mode - place.rotmats)).sum((-3, -2, -1))
        return turned + (self._rest_curvature * place.rest.square()).sum(-1) / 2

    def _prior_gradient(self, place: _Place) -> Tensor:
        turned = -(self._F[:, :, None] * turn_derivatives(place.rotmats)).sum((-2, -1))
        return torch.cat([turned.flatten(1), self._rest_curvature * place.rest], dim=1)


def _curvature_at_mode(F: Tensor, mode: Tensor) -> Tensor:
    """(..., 3, 3) second derivatives of -tr(F^T mode exp(w)) by w: tr(K) - K with K = mode^T F."""
    around = mode.mT @ F
    around = (around + around.mT) / 2  # symmetric already, up to rounding
    trace = around.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    return (trace * (1 + _ROUNDING) + _LEAST_CURVATURE) * torch.eye(3).to(F) - around


def _identities(points: Tensor) -> Tensor:
    """(P, K, 2, 2) for points (P, K, 2)."""
    return torch.eye(2).to(points).expand(*points.shape, 2)


def _one_by_person(condition: Tensor, first: _Linearised, second: _Linearised) -> _Linearised:
    """Of each person the first or the second."""

    def choose(one: Tensor, other: Tensor) -> Tensor:
        return torch.where(condition.view(-1, *[1] * (one.ndim - 1)), one, other)

    place = _Place(
        choose(first.place.rotmats, second.place.rotmats),
        choose(first.place.rest, second.place.rest),
    )
    names = [field.name for field in fields(_Linearised) if field.name != "place"]
    return _Linearised(place, *(choose(getattr(first, n), getattr(second, n)) for n in names))
