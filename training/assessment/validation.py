"""How good weights are on held-back people, beside a predictor that always says the mean."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hierprob3d.configs.training import TrainConfig
from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.network.distribution_net import DistributionNet
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat, special_procrustes
from hierprob3d.training.people.people_source import PeopleSource

from .headline import headline
from .person_metrics import Columns, PersonMetrics

MEAN_POSE = "mean_pose"
"""Key in the weights' provenance of the mean training pose, 23 rotation vectors, flat."""

_NUM_BODIES = 8
"""Draws that are posed for joints2Dsamples-L2E."""


class Validator:
    """Computes metrics of weights on rendered people.

    Args:
        body: the whole body.
        config: keypoint noise and seed are used.
        mean_pose: (23, 3, 3) rotations that the naive predictor always answers.
    """

    def __init__(self, body: Body, config: TrainConfig, mean_pose: Tensor) -> None:
        self.config, self.mean_pose = config, mean_pose
        heatmap_std = config.data.proxy.heatmap_std
        self.metrics = PersonMetrics(body, mean_pose, _NUM_BODIES, heatmap_std=heatmap_std)

    def validate(
        self,
        net: DistributionNet,
        source: PeopleSource,
        epoch: int,
        stride: int,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> dict[str, float] | None:
        """Means over people, see `headline.headline`; None where the run is to end before.

        Keypoints have the errors of training.

        Args:
            net: network to judge.
            source: held-back people.
            epoch: of the run; decides who is made, where they are made anew.
            stride: pixels averaged before the encoder.
            is_stopped: asked before each batch.
        """
        parts: list[Columns] = []
        for within in range(source.steps_per_epoch):
            if is_stopped():
                return None
            people, seed = source.batch(epoch, within), self.config.seed + within
            noise = self.config.data.keypoint_noise
            parts.append(self.metrics.of_people(net, people, stride, noise, seed))
        return headline({name: torch.cat([part[name] for part in parts]) for name in parts[0]})


def mean_rotmats(rotvecs: Tensor) -> Tensor:
    """Rotations (23, 3, 3) nearest to the mean of poses (N, 24, 3), the pelvis left out."""
    return special_procrustes(rotvec_to_rotmat(rotvecs[:, 1:]).mean(0))
