"""The distribution network: from a proxy picture to distributions over body pose and shape.

Sengupta, Budvytis, Cipolla: Hierarchical Kinematic Probability Distributions for 3D Human Shape and
Pose Estimation from Images in the Wild, ICCV 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from hierprob3d.model.body.skeleton import NUM_BETAS
from hierprob3d.model.rotation.rotations import rot6d_to_rotmat

from .filled_batches import filled_rows
from .keypoint_lift import KeypointLift, places_of_heatmaps
from .network_config import NetworkConfig, WeightsMetadata
from .pose_head import PoseHead

if TYPE_CHECKING:
    from .network_config import WeightsMetadata

NUM_PROXY_CHANNELS = 18

INITIAL_GLOBAL_CONCENTRATION = 10.0
"""Singular values of global_F before any training: an angular spread of about 22 degrees."""

_ENCODERS = {18: ("resnet18", 512), 50: ("resnet50", 1024)}
"""Per number of layers: the ResNet and the width of the first fully connected layer."""


@dataclass(frozen=True, kw_only=True)
class NetOutput:
    """Distributions over body pose and shape, global rotation and camera of B people."""

    pose_F: Tensor
    """(B, 23, 3, 3) matrix-Fisher parameters of the rotations relative to the parent joints."""

    pose_U: Tensor
    """(B, 23, 3, 3) rotations, pose_F = U diag(S) V^T; the signs of columns carry no meaning."""

    pose_S: Tensor
    """(B, 23, 3) proper singular values; the third may be negative."""

    pose_V: Tensor
    """(B, 23, 3, 3) rotations."""

    pose_mode: Tensor
    """(B, 23, 3, 3) most probable rotations."""

    shape_mean: Tensor
    """(B, 10) means of the shape coefficients."""

    shape_std: Tensor
    """(B, 10) standard deviations of the shape coefficients."""

    global_rot6d: Tensor
    """(B, 6) first two columns of the global rotation before they are made orthonormal."""

    global_rotmat: Tensor
    """(B, 3, 3) rotation of the pelvis, in the paper's frame: before the half turn about x."""

    camera: Tensor
    """(B, 3) weak-perspective scale, x and y shift, in units of half the picture."""

    global_F: Tensor | None = None
    """(B, 3, 3) matrix-Fisher parameters of the global rotation, whose mode is `global_rotmat`;
    None without `NetworkConfig.global_spread`."""


class DistributionNet(nn.Module):
    """ResNet encoder and fully connected heads; parameter names are those of the paper's weights.

    Works in float32; under autocast only what makes features runs in the lower precision.

    Two additions can be switched on. The layer of `global_spread`, fc_glob_spread: no gradient
    leaves it for the rest of the network, it learns how far off the global rotation is without
    changing it. And the branch of `keypoint_lift`, to whose features those of the encoder are added
    with a gain each, encoder_gain: they begin at 0, and grow as far as the picture helps.
    """

    init_glob: Tensor
    init_cam: Tensor

    body_family: str | None = None
    """Body that the weights were trained with, set by `load_distribution_net`."""

    metadata: WeightsMetadata | None = None
    """What is known about the weights, set likewise."""

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config or NetworkConfig()
        self.register_buffer("init_glob", torch.tensor([[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]]))
        self.register_buffer("init_cam", torch.tensor([0.9, 0.0, 0.0]))
        self.image_encoder, num_features, hidden = _make_encoder(self.config.num_layers)
        self.activation = nn.ELU()
        self.fc1 = nn.Linear(num_features, hidden)
        self.fc_shape = nn.Linear(hidden, 2 * NUM_BETAS)
        self.fc_glob = nn.Linear(hidden, 6)
        self.fc_cam = nn.Linear(hidden, 3)
        self.fc_embed = nn.Linear(num_features + 2 * NUM_BETAS + 6 + 3, self.config.embed_dim)
        self.fc_pose = PoseHead(self.config.embed_dim, self.config.sign_rule)
        if self.config.global_spread:  # last: the other layers start as they do without it
            self.fc_glob_spread = nn.Linear(hidden, 6)
            nn.init.zeros_(self.fc_glob_spread.weight)
            nn.init.zeros_(self.fc_glob_spread.bias)
        if self.config.keypoint_lift:
            self.keypoint_lift = KeypointLift(num_features)
            self.encoder_gain = nn.Parameter(torch.zeros(num_features))

    def forward(self, proxy: Float[Tensor, "B 18 H W"]) -> NetOutput:
        """Distributions of the people in the pictures.

        Args:
            proxy: (B, 18, H, W) edges and 17 heatmaps, 0..1, 256 x 256 px in the paper.
        """
        return self.decode(self.encode(proxy))

    def encode(self, proxy: Float[Tensor, "B 18 H W"]) -> Float[Tensor, "B features"]:
        """(B, 512 or 2048) features of (B, 18, H, W) proxy pictures."""
        if self.config.input_stride > 1:
            proxy = functional.avg_pool2d(proxy, self.config.input_stride)
        return self.features(proxy)

    def features(self, averaged: Float[Tensor, "B 18 H W"]) -> Float[Tensor, "B features"]:
        """(B, 512 or 2048) features of proxies that are averaged over `input_stride` already."""
        features = self.image_encoder(averaged)
        if not self.config.keypoint_lift:
            return features
        lifted = self.keypoint_lift(*places_of_heatmaps(averaged[:, 1:].float()))
        return self.encoder_gain * features + lifted

    def decode(self, features: Float[Tensor, "B features"]) -> NetOutput:
        """Distributions from (B, 512 or 2048) features of the encoder, always in float32."""
        num_people = len(features)
        with torch.autocast(features.device.type, enabled=False):
            output = self._decode(features.float()[filled_rows(num_people)])
        present = {name: value for name, value in vars(output).items() if value is not None}
        return NetOutput(**{name: value[:num_people] for name, value in present.items()})

    def _decode(self, features: Tensor) -> NetOutput:
        hidden = self.activation(self.fc1(features))
        shape = self.fc_shape(hidden)  # (B, 20): means, then logarithms of standard deviations
        rot6d = self.fc_glob(hidden) + self.init_glob
        camera = self.fc_cam(hidden) + self.init_cam
        embed = self.activation(self.fc_embed(torch.cat([features, shape, rot6d, camera], dim=1)))
        pose = self.fc_pose(embed)
        shape_mean, shape_log_std = shape.chunk(2, dim=1)
        global_rotmat = rot6d_to_rotmat(rot6d)
        return NetOutput(
            pose_F=pose.F,
            pose_U=pose.U,
            pose_S=pose.S,
            pose_V=pose.V,
            pose_mode=pose.mode,
            shape_mean=shape_mean,
            shape_std=shape_log_std.exp(),
            global_rot6d=rot6d,
            global_rotmat=global_rotmat,
            camera=camera,
            global_F=self._global_F(hidden, global_rotmat),
        )

    def _global_F(self, hidden: Tensor, global_rotmat: Tensor) -> Tensor | None:
        """Matrix-Fisher parameters R K with a positive-definite K, so that R is their mode."""
        if not self.config.global_spread:
            return None
        concentration = positive_definite(self.fc_glob_spread(hidden.detach()))
        return global_rotmat.detach() @ (INITIAL_GLOBAL_CONCENTRATION * concentration)


def positive_definite(numbers: Float[Tensor, "B 6"]) -> Float[Tensor, "B 3 3"]:
    """Symmetric matrices L diag(exp d) L^T (B, 3, 3) of (B, 6): d, and L below its unit diagonal.

    The scale is all in d, as in the shape's logarithms of standard deviations; 0 is the identity.
    """
    log_scale, below = numbers.split(3, dim=-1)
    lower = torch.eye(3, device=numbers.device).repeat(len(numbers), 1, 1)
    rows, columns = torch.tril_indices(3, 3, offset=-1)
    lower[:, rows, columns] = below
    return (lower * log_scale.exp()[:, None]) @ lower.mT


def _make_encoder(num_layers: int) -> tuple[nn.Module, int, int]:
    """ResNet from 18 channels to features, their number, and the width of the hidden layer."""
    from torchvision import models  # takes a second, which networks without an encoder do without

    name, hidden = _ENCODERS[num_layers]
    encoder = models.get_model(name, weights=None)
    num_features = encoder.fc.in_features
    encoder.conv1 = nn.Conv2d(NUM_PROXY_CHANNELS, 64, 7, stride=2, padding=3, bias=False)
    nn.init.kaiming_normal_(encoder.conv1.weight, mode="fan_out", nonlinearity="relu")
    encoder.fc = nn.Identity()
    return encoder, num_features, hidden
