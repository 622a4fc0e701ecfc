"""From dataset items to one row of metrics per person: what an evaluation computes, without Beam.

The order of operations is the paper's: mode and samples with the neutral body, targets with the
body of their gender, everything upright (targets are turned by pi about x, predictions as the
network gives them), projections after turning back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hierprob3d.configs.evaluation import PROTOCOLS, EvaluateConfig
from hierprob3d.configs.metric_table import BEST_INFIX, MIN_SUFFIX, POINT_METRICS
from hierprob3d.model.body.keypoint_body import KeypointBody
from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.body.skeleton import NUM_JOINTS
from hierprob3d.model.estimate.body_samples import (
    BodyParameters,
    PosedBodies,
    Samples,
    draw_samples,
    mode_of,
    pose_bodies,
)
from hierprob3d.model.estimate.distribution_metrics import (
    density_rank,
    pose_nll,
    shape_central_probability,
    shape_nll,
)
from hierprob3d.model.estimate.hypotheses import before_draws, compared_points
from hierprob3d.model.estimate.metrics import (
    BodyPoints,
    best_of,
    iou_of_counts,
    joints2d_errors,
    silhouette_counts,
)
from hierprob3d.model.estimate.refinement import refine_bodies
from hierprob3d.model.estimate.uncertainty import sample_spread
from hierprob3d.model.network.checkpoints import BodyNet
from hierprob3d.model.network.distribution_net import NetOutput
from hierprob3d.model.network.lift_input import GIVEN_CONFIDENCE, WEAK_CONFIDENCE, LiftInput
from hierprob3d.model.network.lift_net import LiftNet
from hierprob3d.model.picture.cameras import (
    half_turn_x,
    pixels_to_normalised,
    project_to_crop,
)
from hierprob3d.model.picture.proxy import PROXY_SIZE, edge_detector_of, make_proxy
from hierprob3d.model.picture.rasterizer import rasterize, rasterizing_by
from hierprob3d.model.rotation.random_streams import RandomStreams, person_keys
from hierprob3d.model.rotation.rotations import rotmat_geodesic_distance, rotvec_to_rotmat
from hierprob3d.transforms.batch.models import proxy_settings
from hierprob3d.transforms.datasets.eval_item import EvalItem

from .partial_truth import (
    NO_RANK,
    known_body_errors,
    known_joint_errors,
    known_mean,
    true_joints2d,
    with_true_joints,
)

PEOPLE_AT_ONCE = 8
"""People whose sampled meshes are in memory together: 10 samples of 8 people take 0.2 GB."""


@dataclass(frozen=True)
class Hypotheses:
    """Bodies of B people: slot 0 the mode or refined body, then one for each draw."""

    posed: PosedBodies
    """(B, 1 + N, ...)."""

    points: BodyPoints
    """(B, 1 + N, ...); with the protocol's root subtracted."""

    keypoints: Tensor
    """(B, 1 + N, 17, 3) COCO joints in the body frame."""

    cameras: Tensor
    """(B, 1 + N, 3) weak perspective of the crop."""


class Evaluator:
    """Turns batches of `EvalItem` into metric rows.

    Args:
        config: what to compute.
        net: distribution network.
        bodies: by gender; `neutral` and every gender that targets have.
        device: where to compute.
    """

    def __init__(
        self,
        config: EvaluateConfig,
        net: BodyNet,
        bodies: Mapping[str, Body],
        device: str = "cpu",
    ) -> None:
        self.config = config
        self.protocol = PROTOCOLS[config.protocol]
        self.proxy = proxy_settings(config.pose_shape_cfg, net)
        self.device = torch.device(device)
        self.net = net.eval().to(self.device)
        self.bodies = {gender: body.to(self.device) for gender, body in bodies.items()}
        self.keypoint_body = KeypointBody(self.bodies["neutral"]) if config.refine else None
        names = config.metric_names
        self.base_names = tuple(
            dict.fromkeys(
                n.removesuffix(MIN_SUFFIX)
                for n in names
                if n.removesuffix(MIN_SUFFIX) in POINT_METRICS
            )
        )

    @torch.inference_mode()
    def rows(self, items: Sequence[EvalItem]) -> dict[str, np.ndarray]:
        """Columns of one row per item: first axis the items, lengths in metres and pixels.

        A prediction that is not finite gives NaN in its own row.
        """
        output = self._answer(items)
        columns: list[dict[str, Tensor]] = []
        with rasterizing_by(self.config.renderer):
            for start in range(0, len(items), PEOPLE_AT_ONCE):
                some = slice(start, start + PEOPLE_AT_ONCE)
                columns.append(self._rows(items[some], _select(output, some)))
        return {
            name: torch.cat([part[name] for part in columns]).cpu().numpy() for name in columns[0]
        }

    def _answer(self, items: Sequence[EvalItem]) -> NetOutput:
        """What the network says of the items' people."""
        if not isinstance(self.net, LiftNet):
            return self.net(self._proxies(items))
        joints2d = self._stack([item.joints2d for item in items]).float()
        drawn = self._stack([item.drawn for item in items])
        is_inside = ((joints2d >= 0) & (joints2d < PROXY_SIZE)).all(-1)
        confidence = GIVEN_CONFIDENCE * drawn + WEAK_CONFIDENCE * (~drawn & is_inside)
        keypoints = torch.cat([joints2d, confidence[..., None]], -1)
        return self.net(LiftInput.of_keypoints(keypoints))

    def _proxies(self, items: Sequence[EvalItem]) -> Tensor:
        rgb = self._stack([item.image for item in items]).permute(0, 3, 1, 2).float() / 255
        joints2d = self._stack([item.joints2d for item in items])
        drawn = self._stack([item.drawn for item in items])
        return make_proxy(
            rgb, joints2d, drawn, edge_detector_of(self.proxy), self.proxy.heatmap_std,
            self.config.rules.rounding,
        )  # fmt: skip

    def _rows(self, items: Sequence[EvalItem], output: NetOutput) -> dict[str, Tensor]:
        pose = self._stack([item.pose for item in items]).float()
        rotmats = rotvec_to_rotmat(pose.unflatten(-1, (NUM_JOINTS, 3)))
        betas = self._stack([item.betas for item in items]).float()
        samples = self._draw(items, output)
        hypotheses = self._hypotheses(self._estimates(items, output), output, samples)
        target = with_true_joints(self._target(items, rotmats, betas), items)
        return {
            **self.point_columns(hypotheses.points, target),
            **self._keypoint_columns(items, hypotheses),
            **self._silhouette_columns(items, hypotheses),
            **self._distribution_columns(output, rotmats[:, 1:], betas, samples.pose),
            **_prediction_columns(output),
        }

    def _draw(self, items: Sequence[EvalItem], output: NetOutput) -> Samples:
        """Draws of B people, from each person's own random numbers."""
        keys = person_keys(self.config.seed, [item.item_id for item in items], [0] * len(items))
        streams = RandomStreams(keys, self.device)
        return draw_samples(output, streams, self.config.num_hypotheses)

    def _estimates(self, items: Sequence[EvalItem], output: NetOutput) -> BodyParameters:
        """The mode of each person or, where asked for, the body moved onto its keypoints."""
        if self.keypoint_body is None:
            return mode_of(output)
        joints2d = self._stack([item.joints2d for item in items]).float()
        confident = self._stack([item.confident for item in items])
        keypoints = pixels_to_normalised(joints2d, PROXY_SIZE)
        error = self.config.keypoint_error
        return refine_bodies(output, keypoints, confident, self.keypoint_body, error)

    def _hypotheses(
        self, estimates: BodyParameters, output: NetOutput, samples: Samples
    ) -> Hypotheses:
        body = self.bodies["neutral"]
        cameras = output.camera[:, None].expand(-1, samples.betas.shape[1], -1)
        cameras = torch.cat([estimates.camera[:, None], cameras], 1)
        posed = pose_bodies(before_draws(estimates, samples), body)
        keypoints = body.coco_joints(posed.vertices, posed.joints)
        return Hypotheses(posed, self._points(posed, body), keypoints, cameras)

    def _target(self, items: Sequence[EvalItem], rotmats: Tensor, betas: Tensor) -> BodyPoints:
        """Upright true bodies, each with the body model of its gender."""
        upright = half_turn_x(rotmats[:, 0].mT).mT  # turns the columns: R_x(pi) R
        parts: list[tuple[Tensor, BodyPoints]] = []
        for gender in sorted({item.gender for item in items}):
            chosen = self._stack([np.array(item.gender == gender) for item in items]).nonzero()[
                :, 0
            ]
            body = self.bodies[gender]
            truth = Samples(rotmats[:, None, 1:], betas[:, None], upright[:, None])
            posed = pose_bodies(Samples(*(values[chosen] for values in truth)), body)
            parts.append((chosen, self._points(posed, body)))
        order = torch.cat([chosen for chosen, _ in parts]).argsort()
        return BodyPoints(
            *(
                torch.cat([getattr(points, name)[:, 0] for _, points in parts])[order]
                for name in ("vertices", "reposed", "joints")
            )
        )

    def _points(self, posed: PosedBodies, body: Body) -> BodyPoints:
        from_pelvis = self.protocol.root == "pelvis"
        return compared_points(posed, body, self.config.needs_joints, from_pelvis)

    def _among(self, values: Tensor) -> Tensor:
        """(B, N, ...) hypotheses of the sample metrics of (B, 1 + N, ...): see the protocol."""
        if self.protocol.mode_among_samples:
            return values[:, :-1] if values.shape[1] > 1 else values
        return values[:, 1:]

    def point_columns(self, points: BodyPoints, target: BodyPoints) -> dict[str, Tensor]:
        """Distances of B people's hypotheses to the truth: of the mode, and the best of some."""
        columns: dict[str, Tensor] = {}
        errors = known_body_errors(points, target, self.base_names)
        for name, error in errors.items():
            columns[name] = error[:, 0]
            columns[name + MIN_SUFFIX] = best_of(self._among(error), self.config.num_samples)
            for count in self.config.best_of:
                columns[f"{name}{BEST_INFIX}{count}"] = best_of(self._among(error), count)
        if self.config.needs_joints:
            joints = points.joints[:, 0], target.joints
            unaligned, aligned = known_joint_errors(*joints)
            columns |= {"joint_errors_m": unaligned, "joint_errors_pa_m": aligned}
        return columns

    def _keypoint_columns(
        self, items: Sequence[EvalItem], hypotheses: Hypotheses
    ) -> dict[str, Tensor]:
        given = self._stack(list(true_joints2d(items)))
        confident = self._stack([item.confident for item in items])
        projected = project_to_crop(hypotheses.keypoints, hypotheses.cameras)
        errors = joints2d_errors(projected, given)
        some = slice(1, 1 + self.config.num_samples)
        draws = errors[:, some]
        if any(item.true_joints2d is not None for item in items):
            given = self._stack([item.joints2d for item in items])
            errors = torch.cat([errors[:, :1], joints2d_errors(projected, given)[:, 1:]], 1)
        seen = confident[:, None].expand_as(draws)
        consistency = (errors[:, some] * seen).sum((1, 2)) / seen.sum(
            (1, 2)
        )  # NaN where none is confident
        return {
            "joints2D-L2E": known_mean(errors[:, 0], -1),
            "joints2Dsamples-L2E": known_mean(draws, (1, 2)),
            "sample_consistency_px": consistency,
            "keypoint_spread_m": sample_spread(hypotheses.keypoints[:, 1:]),
            "keypoint_visible": confident,
        }

    def _silhouette_columns(
        self, items: Sequence[EvalItem], hypotheses: Hypotheses
    ) -> dict[str, Tensor]:
        if not any("silhouette" in name for name in self.config.metric_names):
            return {}
        true = self._stack([item.silhouette for item in items])
        bodies, cameras = (
            torch.cat([values[:, :1], self._among(values)[:, : self.config.num_samples]], 1)
            for values in (hypotheses.posed.vertices, hypotheses.cameras)
        )
        masks = silhouettes(self.bodies["neutral"].faces, bodies, cameras)
        counts = silhouette_counts(masks, true)
        return {
            "silhouette-IOU": iou_of_counts(counts[:, 0]),
            "silhouettesamples-IOU": iou_of_counts(counts[:, 1:]).mean(-1),
            "silhouette_pixels": counts[:, 0],
            "silhouettesamples_pixels": counts[:, 1:].sum(1),
        }

    def _distribution_columns(
        self, output: NetOutput, rotmats: Tensor, betas: Tensor, pose_samples: Tensor
    ) -> dict[str, Tensor]:
        mean, std = output.shape_mean, output.shape_std
        angle = rotmat_geodesic_distance(output.pose_mode, rotmats)
        rank = density_rank(output.pose_F, rotmats, pose_samples)
        return {
            "pose_nll": pose_nll(output.pose_F, rotmats),
            "pose_error_deg": torch.rad2deg(angle),
            "pose_rank": rank.where(angle.isfinite(), NO_RANK),
            "shape_nll": shape_nll(mean, std, betas),
            "shape_central_probability": shape_central_probability(mean, std, betas),
        }

    def _stack(self, arrays: Sequence[Any]) -> Tensor:
        return torch.from_numpy(np.stack(arrays)).to(self.device)


def silhouettes(faces: Tensor, vertices: Tensor, cameras: Tensor) -> Tensor:
    """(B, N, 256, 256) bool masks of (B, N, V, 3) upright bodies under (B, N, 3) cameras."""
    screen = torch.cat([project_to_crop(vertices, cameras), -vertices[..., 2:]], -1)
    fragments = rasterize(screen.flatten(0, 1), faces, PROXY_SIZE, PROXY_SIZE)
    return fragments.mask.unflatten(0, vertices.shape[:2])


def _prediction_columns(output: NetOutput) -> dict[str, Tensor]:
    """The predicted mode, so that a row can be looked at again without the network."""
    return {
        "pose_mode": output.pose_mode.flatten(1),
        "global_rotmat": output.global_rotmat.flatten(1),
        "shape_mean": output.shape_mean,
        "camera": output.camera,
    }


def _select(output: NetOutput, some: slice) -> NetOutput:
    present = {name: value for name, value in vars(output).items() if value is not None}
    return NetOutput(**{name: value[some] for name, value in present.items()})
