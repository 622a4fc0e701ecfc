"""The lift: from coordinates of keypoints and landmarks to distributions over bodies.

Not in the paper, whose network reads them as pictures, beside edges. Coordinates of people can be
made by the ten thousand a second, so that this network has seen far more poses and views.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hierprob3d.model.body.skeleton import JOINT_FLIP, NUM_BETAS, NUM_JOINTS, NUM_KEYPOINTS
from hierprob3d.model.picture.proxy import PROXY_SIZE
from hierprob3d.model.rotation.rotations import (
    free_sign_svd,
    rot6d_to_rotmat,
    special_procrustes,
)

from .distribution_net import NetOutput, positive_definite
from .filled_batches import filled_rows
from .keypoint_lift import ResidualBlock
from .lift_input import HAS_LANDMARKS, NUM_INPUTS, Frame, LiftInput
from .network_config import LiftConfig

if TYPE_CHECKING:
    from .network_config import WeightsMetadata

INITIAL_CONCENTRATION = 10.0
"""Singular values of all matrix-Fisher parameters before any training."""

_SPREAD_WIDTH = 256
_LARGEST_ZOOM = 3.0
_METRE_PER_SIZE = 2.2
"""Sizes of people's keypoints per metre, about."""


class Estimate(NamedTuple):
    """Bodies of B people as the first layers see them."""

    rotmats: Tensor
    """(B, 24, 3, 3) relative to the parent joints, the global rotation first."""
    betas: Tensor
    """(B, 10)."""
    zoom: Tensor
    """(B, 1) px of the crop per metre."""
    pelvis: Tensor
    """(B, 2) place of the pelvis, px of the crop."""


class Spread(NamedTuple):
    """How sure an estimate is."""

    concentrations: Tensor
    """(B, 24, 3, 3) positive-definite K of F = R K."""
    shape_log_std: Tensor
    """(B, 10)."""


class LiftNet(nn.Module):
    """Residual perceptron; F = R K for every joint, with R from one layer and K from another two.

    A person and his mirror image are both looked at, and the two F are averaged: the mode is then
    their mean rotation, each counting by how sure it is.

    Nothing that `spread` learns changes the rotations, so it is learnt after them, and the
    `temperatures`, factors of K, after it: (24,), or (2, 24) for people without and with landmarks.
    """

    temperatures: Tensor
    rest_pelvis: Tensor
    pelvis_by_betas: Tensor

    body_family: str | None = None
    """Body that the weights were trained with, set by `load_distribution_net`."""

    metadata: WeightsMetadata | None = None
    """What is known about the weights, set likewise."""

    def __init__(self, config: LiftConfig | None = None) -> None:
        super().__init__()
        self.config = config or LiftConfig()
        width = self.config.width
        self.read = nn.Linear(NUM_INPUTS, width)
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(self.config.blocks)))
        self.norm = nn.LayerNorm(width)
        self.write = nn.Linear(width, 6 * NUM_JOINTS + NUM_BETAS + 3)
        if not self.write.weight.is_meta:  # there it sets nothing, and loads a compiler for it
            self._begin_at_rest()
        last = nn.Linear(_SPREAD_WIDTH, 6 * NUM_JOINTS + NUM_BETAS)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        also = NUM_INPUTS + NUM_KEYPOINTS if self.config.doubt else 0
        self.spread = nn.Sequential(nn.Linear(width + also, _SPREAD_WIDTH), nn.GELU(), last)
        by_kind = (2, NUM_JOINTS) if self.config.doubt else (NUM_JOINTS,)
        self.register_buffer("temperatures", torch.ones(by_kind))
        self.register_buffer("rest_pelvis", torch.zeros(3))
        self.register_buffer("pelvis_by_betas", torch.zeros(NUM_BETAS, 3))

    def _begin_at_rest(self) -> None:
        """Lets the first bodies be near the T-pose."""
        nn.init.normal_(self.write.weight, std=0.01)
        nn.init.zeros_(self.write.bias)
        with torch.no_grad():
            identity = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0, 0.0])
            self.write.bias[: 6 * NUM_JOINTS] = identity.repeat(NUM_JOINTS)

    def forward(self, seen: LiftInput) -> NetOutput:
        """Distributions of the people seen."""
        num_people = len(seen)
        with torch.autocast(seen.keypoints.device.type, enabled=False):
            output = self._look(seen[filled_rows(num_people)])
        return NetOutput(**{n: v[:num_people] for n, v in vars(output).items()})

    def features(self, numbers: Float[Tensor, "B inputs"]) -> Float[Tensor, "B width"]:
        """(B, width) what (B, NUM_INPUTS) numbers of people say."""
        return self.norm(self.blocks(self.read(numbers)))

    def estimate(self, features: Float[Tensor, "B width"], frame: Frame) -> Estimate:
        """Bodies by (B, width) features of people in a frame."""
        rot6d, betas, camera = (
            self.write(features).float().split([6 * NUM_JOINTS, NUM_BETAS, 3], dim=1)
        )
        zoom = camera[:, :1].clamp(-_LARGEST_ZOOM, _LARGEST_ZOOM).exp()
        return Estimate(
            rot6d_to_rotmat(rot6d.unflatten(1, (NUM_JOINTS, 6))),
            betas,
            zoom * _METRE_PER_SIZE * frame.size,
            frame.centre + frame.size * camera[:, 1:],
        )

    def spreads(
        self,
        features: Float[Tensor, "B width"],
        numbers: Float[Tensor, "B inputs"],
        apart: Float[Tensor, "B 17"],
    ) -> Spread:
        """How sure the bodies of people are.

        Args:
            features: (B, width).
            numbers: (B, NUM_INPUTS) that these are of.
            apart: (B, 17), see `LiftInput.apart`.
        """
        temperatures = self.temperatures
        if self.config.doubt:
            features = torch.cat([features, numbers, apart], dim=1)
            temperatures = temperatures[numbers[:, HAS_LANDMARKS].long()]
        values, shape = self.spread(features).split([6 * NUM_JOINTS, NUM_BETAS], dim=1)
        matrices = positive_definite(values.unflatten(1, (NUM_JOINTS, 6)).flatten(0, 1))
        scale = INITIAL_CONCENTRATION * temperatures[..., None, None]
        return Spread(scale * matrices.unflatten(0, (-1, NUM_JOINTS)), shape)

    def camera(self, estimate: Estimate) -> Float[Tensor, "B 3"]:
        """(B, 3) weak-perspective scale, x and y shift of the crop: `model.picture.cameras`."""
        scale = estimate.zoom * (2 / PROXY_SIZE)
        pelvis = self.rest_pelvis + estimate.betas @ self.pelvis_by_betas
        pelvis = pelvis[:, :2] * pelvis.new_tensor([1.0, -1.0])
        shift = (estimate.pelvis - PROXY_SIZE / 2) / estimate.zoom - pelvis
        return torch.cat([scale, shift], dim=1)

    def _look(self, seen: LiftInput) -> NetOutput:
        both = LiftInput.joined(seen, seen.mirrored())
        numbers, frame = both.numbers()
        features = self.features(numbers)
        body = self.estimate(features, frame)
        spread = self.spreads(features, numbers, both.apart(frame))
        F = mean_with_mirrored(body.rotmats @ spread.concentrations)
        svd = free_sign_svd(F)
        mode = special_procrustes(F, svd)
        body = Estimate(
            mode, _halves_mean(body.betas), _halves_mean(body.zoom), _mean_place(body.pelvis)
        )
        return NetOutput(
            pose_F=F[:, 1:],
            pose_U=svd[0][:, 1:],
            pose_S=svd[1][:, 1:],
            pose_V=svd[2][:, 1:],
            pose_mode=mode[:, 1:],
            shape_mean=body.betas,
            shape_std=_halves_mean(spread.shape_log_std).exp(),
            global_rot6d=mode[:, 0, :, :2].flatten(1),
            global_rotmat=mode[:, 0],
            camera=self.camera(body),
            global_F=F[:, 0],
        )


def mean_with_mirrored(matrices: Float[Tensor, "twice_B 24 3 3"]) -> Float[Tensor, "B 24 3 3"]:
    """(B, 24, 3, 3) means of those of people, the first half, and of their mirror images."""
    people, images = matrices.chunk(2)
    signs = matrices.new_tensor([-1.0, 1.0, 1.0])
    return (people + signs[:, None] * images[:, list(JOINT_FLIP)] * signs) / 2


def _halves_mean(values: Tensor) -> Tensor:
    people, images = values.chunk(2)
    return (people + images) / 2


def _mean_place(places: Tensor) -> Tensor:
    """(B, 2) mean px of people's and of their mirror images' places."""
    people, images = places.chunk(2)
    across = (people[:, :1] + PROXY_SIZE - images[:, :1]) / 2
    return torch.cat([across, (people[:, 1:] + images[:, 1:]) / 2], dim=1)
