"""How good a lift is on held-back people, in a moment."""

from __future__ import annotations

import torch

from hierprob3d.model.body.keypoint_body import KeypointBody
from hierprob3d.model.body.mesh_body import H36M_TO_14, Body
from hierprob3d.model.estimate.metrics import point_errors
from hierprob3d.model.network.lift_net import LiftNet

from .lift_batch import LiftBatch


class LiftValidator:
    """Errors of the 14 evaluation joints, without meshes.

    Args:
        body: the body of the truth.
        people: held-back people.
    """

    def __init__(self, body: Body, people: LiftBatch) -> None:
        assert body.h36m_regressor is not None, "OpenBody has one"
        self._joints = KeypointBody(body, body.h36m_regressor)
        self.people = people
        self._target = self._places(people.betas, people.rotmats)

    @torch.no_grad()
    def validate(self, net: LiftNet) -> dict[str, float]:
        """Mean and median MPJPE-PA over people, mm."""
        output = net(self.people.seen)
        rotmats = torch.cat([output.global_rotmat[:, None], output.pose_mode], dim=1)
        places = self._places(output.shape_mean, rotmats)
        errors = 1000 * point_errors(places, self._target, ["similarity"])[:, 0].mean(-1)
        values = {"MPJPE-PA": errors.mean(), "MPJPE-PA-median": errors.median()}
        return {name: round(float(value), 2) for name, value in values.items()}

    def _places(self, betas: torch.Tensor, rotmats: torch.Tensor) -> torch.Tensor:
        return self._joints.pose(betas, rotmats).points[:, list(H36M_TO_14)]
