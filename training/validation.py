"""How good weights are on held-back people, beside a predictor that always says the mean."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from configs.training import TrainConfig
from model.body import Body
from model.cameras import (
    half_turn_x,
    normalised_to_pixels,
    project_weak_perspective,
)
from model.checkpoints import WeightsMetadata
from model.distribution_metrics import density_rank, pose_nll
from model.matrix_fisher import MatrixFisher
from model.metrics import BodyPoints, body_errors
from model.network import DistributionNet, NetOutput
from model.proxy import PROXY_SIZE
from model.rotations import rotvec_to_rotmat, special_procrustes
from training.augmentation import detected_keypoints, network_input
from training.rendered_set import RenderedSet

METRICS = ("MPJPE", "MPJPE-PA", "PVE", "PVE-SC", "PVE-T-SC")
REGIONS = (0.5, 0.8, 0.95)
_BATCH_SIZE = 32
_NUM_SAMPLES = 100


class Validator:
    """Computes metrics of weights on rendered people.

    Args:
        body: the whole body.
        config: keypoint noise and seed are used.
        mean_pose: (23, 3, 3) rotations that the naive predictor always answers.
    """

    def __init__(self, body: Body, config: TrainConfig, mean_pose: Tensor) -> None:
        self.body, self.config = body, config
        self.mean_pose = mean_pose.to(body.faces.device)

    @torch.no_grad()
    def validate(
        self, net: DistributionNet, people: RenderedSet, stride: int, noise: bool = True
    ) -> dict[str, float]:
        """Means over people, millimetres, pixels of the 256 crop, or shares.

        Args:
            net: network to judge.
            people: held-back people.
            stride: pixels averaged before the encoder.
            noise: give keypoints the errors of training, or the truth with nothing dropped but
                what lies outside the picture.
        """
        net.eval()
        device = self.body.faces.device
        generator = torch.Generator(device).manual_seed(self.config.seed)
        sums: dict[str, float] = {}
        for start in range(0, len(people), _BATCH_SIZE):
            some = people[start : start + _BATCH_SIZE].to(device)
            joints2d, kept = some.joints2d, ~some.outside
            if noise:
                joints2d, kept = detected_keypoints(
                    some, self.config.data.keypoint_noise, generator
                )
            proxy = network_input(some, joints2d, kept, stride, torch.float32)
            output = net.decode(net.image_encoder(proxy))
            for name, values in self._metrics(output, some, generator).items():
                sums[name] = sums.get(name, 0.0) + float(values.sum())
        return {name: round(total / len(people), 4) for name, total in sums.items()}

    def _metrics(
        self, output: NetOutput, people: RenderedSet, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """One number per person (B,) for each metric."""
        rotmats = rotvec_to_rotmat(people.rotvecs)
        truth, _ = self._points(people.betas, rotmats[:, 1:], rotmats[:, 0])
        mode, keypoints = self._points(output.shape_mean, output.pose_mode, output.global_rotmat)
        num = len(rotmats)
        naive, _ = self._points(
            torch.zeros_like(people.betas),
            self.mean_pose.expand(num, -1, -1, -1),
            rotmats[:, 0],  # aligned away in the metrics that are taken of it
        )
        values = {
            name: 1000 * v[:, 0] for name, v in body_errors(_single(mode), truth, METRICS).items()
        }
        errors = body_errors(_single(naive), truth, ("MPJPE-PA", "PVE-T-SC"))
        values |= {f"naive-{name}": 1000 * v[:, 0] for name, v in errors.items()}
        projected = project_weak_perspective(half_turn_x(keypoints), output.camera)
        distance = normalised_to_pixels(projected, PROXY_SIZE) - people.joints2d
        values["joints2D-L2E"] = _masked_mean(distance.norm(dim=-1), ~people.outside)
        values["pose-NLL"] = pose_nll(output.pose_F, rotmats[:, 1:]).mean(-1)
        samples = MatrixFisher(output.pose_F).sample((_NUM_SAMPLES,), generator).transpose(0, 1)
        rank = density_rank(output.pose_F, rotmats[:, 1:], samples).float()
        for region in REGIONS:
            inside = rank < region * _NUM_SAMPLES
            values[f"inside-{region:.0%}"] = inside.float().mean(-1)
        return values

    def _points(
        self, betas: Tensor, pose_rotmats: Tensor, global_rotmat: Tensor
    ) -> tuple[BodyPoints, Tensor]:
        """Points of one body per person, (B, P, 3), and its keypoints (B, 17, 3)."""
        vertices, joints = self.body(betas, pose_rotmats, global_rotmat)
        reposed = self.body.shape(betas).vertices
        points = BodyPoints(vertices, reposed, self.body.h36m_joints14(vertices))
        return points, self.body.coco_joints(vertices, joints)


def mean_pose(people: RenderedSet) -> Tensor:
    """Rotations (23, 3, 3) nearest to the mean of those of `people`."""
    return special_procrustes(rotvec_to_rotmat(people.rotvecs[:, 1:]).mean(0))


def weights_metadata(
    config: TrainConfig, folder: Path, epoch: int, metrics: dict[str, float]
) -> WeightsMetadata:
    """What weights carry of where they come from; names of files, but no paths."""
    description = json.loads((folder / "train" / "description.json").read_text())
    settings = json.loads(json.dumps(asdict(config)))
    for name in ("train_poses", "val_poses", "backgrounds"):
        settings["data"][name] = Path(settings["data"][name] or "").name
    return WeightsMetadata(
        body_family="openbody" if config.data.body_model == "open" else "smpl",
        sign_rule=config.sign_rule,
        input_stride=config.input_stride,
        global_spread=config.global_spread,
        num_layers=config.num_layers,
        keypoint_visibility="confidence above 0.3 of MoveNet thunder; none is drawn regardless",
        provenance={
            "config": settings,
            "data": description,
            "epoch": epoch,
            "validation": metrics,
        },
    )


def _single(points: BodyPoints) -> BodyPoints:
    """The same points as one hypothesis per person, (B, 1, P, 3)."""
    return BodyPoints(points.vertices[:, None], points.reposed[:, None], points.joints[:, None])


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean (B,) of the values (B, K) under a mask."""
    return (values * mask).sum(-1) / mask.sum(-1).clamp(min=1)
