"""How good weights are on held-back people, beside a predictor that always says the mean."""

from __future__ import annotations

from torch import Tensor

from hierprob3d.configs.training import TrainConfig
from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.network.distribution_net import DistributionNet
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat, special_procrustes
from hierprob3d.training.people.rendered_people import RenderedSet

from .headline import headline
from .person_metrics import PersonMetrics

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
        self.metrics = PersonMetrics(body, mean_pose, _NUM_BODIES)

    def validate(
        self, net: DistributionNet, people: RenderedSet, stride: int, noise: bool = True
    ) -> dict[str, float]:
        """Means over people, see `headline.headline`.

        Args:
            net: network to judge.
            people: held-back people.
            stride: pixels averaged before the encoder.
            noise: give keypoints the errors of training, or the truth with nothing dropped but
                what lies outside the picture.
        """
        errors = self.config.data.keypoint_noise if noise else None
        return headline(self.metrics.of_people(net, people, stride, errors, self.config.seed))


def mean_rotmats(rotvecs: Tensor) -> Tensor:
    """Rotations (23, 3, 3) nearest to the mean of poses (N, 24, 3), the pelvis left out."""
    return special_procrustes(rotvec_to_rotmat(rotvecs[:, 1:]).mean(0))
