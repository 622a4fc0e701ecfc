"""A few people as the lift's training sees them, made once for its tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hierprob3d.configs.lift_training import LiftTrainConfig
from hierprob3d.configs.training_phases import OptimiserConfig
from hierprob3d.model.body.keypoint_body import KeypointBody
from hierprob3d.model.body.mesh_body import Body, load_body
from hierprob3d.model.picture.cameras import half_turn_x
from hierprob3d.model.rotation.rotations import rotmat_to_rotvec
from hierprob3d.training.lift.detected_people import DetectedPeople
from hierprob3d.training.lift.lift_people import LiftPeople
from hierprob3d.training.lift.modelled_errors import KEYPOINT_OF_LANDMARK
from hierprob3d.training.lift.moved_errors import RealErrors
from hierprob3d.training.random.draws import Draws


@pytest.fixture(scope="session")
def open_body() -> Body:
    return load_body("open")


@pytest.fixture(scope="session")
def lift_config(pose_file: Path) -> LiftTrainConfig:
    """Eight steps, six of bodies and two of their spread, of a very small network."""
    return LiftTrainConfig(
        train_poses=str(pose_file), held_back_every=2, num_bodies=64, num_detected=0, width=16,
        blocks=1, steps=6, spread_steps=2, optimiser=OptimiserConfig(batch_size=16, lr=1e-3),
        spread_optimiser=OptimiserConfig(batch_size=16), num_calibrated=8, num_validated=16,
        save_every=4, log_every=1, validate_every=3,
    )  # fmt: skip


@pytest.fixture(scope="session")
def people(lift_config: LiftTrainConfig, open_body: Body) -> LiftPeople:
    return LiftPeople(lift_config, open_body, None)


@pytest.fixture(scope="session")
def errors(people: LiftPeople, open_body: Body) -> RealErrors:
    """Of 40 people seen in weak perspective, whom three finders place each too far in a direction
    of its own."""
    views = people.views.see(Draws(torch.Generator().manual_seed(5)), 40)
    body = KeypointBody(open_body)
    points = half_turn_x(body.pose(views.betas, views.rotmats).points)
    joints2d = 128 + 60 * points[..., :2]

    def found(num_columns: int, places: torch.Tensor, shift: float) -> torch.Tensor:
        rest = torch.full((*places.shape[:2], num_columns - 2), 0.5)
        return torch.cat([places + shift, rest], dim=-1)

    return RealErrors(
        DetectedPeople(
            joints2d=joints2d, outside=torch.zeros(40, 17, dtype=torch.bool),
            hidden=torch.zeros(40, 17, dtype=torch.bool),
            rotvecs=rotmat_to_rotvec(views.rotmats), betas=views.betas,
            rough=found(3, joints2d, 8.0), thunder=found(3, joints2d, 4.0),
            landmarks=found(5, joints2d[:, list(KEYPOINT_OF_LANDMARK)], -6.0),
        ),
        body,
    )  # fmt: skip
