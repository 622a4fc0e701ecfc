"""What each rendered person contributes to the figures of weights: errors, ranks, likelihoods.

A column has one number or K numbers per person, (N,) or (N, K). Nothing is left out of a column:
which keypoints count is for the mean to say, and a prediction that is not finite makes its means
NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hierprob3d.configs.keypoint_noise import KeypointNoiseConfig
from hierprob3d.model.body.keypoint_body import KeypointBody
from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.body.skeleton import NUM_BETAS
from hierprob3d.model.estimate.body_samples import (
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
from hierprob3d.model.estimate.metrics import BodyPoints, body_errors, joints2d_errors
from hierprob3d.model.estimate.refinement import refine_bodies
from hierprob3d.model.estimate.uncertainty import sample_spread
from hierprob3d.model.network.checkpoints import BodyNet
from hierprob3d.model.network.distribution_net import NetOutput
from hierprob3d.model.network.lift_input import GIVEN_CONFIDENCE, LiftInput
from hierprob3d.model.network.lift_net import LiftNet
from hierprob3d.model.picture.cameras import pixels_to_normalised, project_to_crop
from hierprob3d.model.picture.proxy import HEATMAP_STD, PROXY_SIZE
from hierprob3d.model.rotation.random_streams import RandomStreams, person_keys
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.training.people.augmentation import (
    detected_keypoints,
    network_input,
    weak_keypoints,
)
from hierprob3d.training.people.rendered_people import RenderedSet
from hierprob3d.training.random.draws import Draws

from .mode_errors import METRICS

ALIGNED_METRICS = ("MPJPE-PA", "PVE-T-SC")
"""Metrics that the global rotation does not enter: taken of the naive predictor, which has none,
and of every hypothesis."""
NUM_DRAWS = 99
"""Draws among which the truth is ranked: of 100 ranks, so that regions of whole percents are met
exactly."""

_BODIES_AT_ONCE = 800
"""Meshes in memory together: about 0.2 GB."""
_MM = 1000.0

Columns = dict[str, Tensor]


class PersonMetrics:
    """Compares a network's output with the truth, person by person.

    Args:
        body: the whole body.
        mean_pose: (23, 3, 3) rotations that the naive predictor always answers, with the mean
            shape.
        num_bodies: draws that are posed, beside the mode; at most NUM_DRAWS.
        keypoint_error: of bodies that are also moved onto the keypoints given, see
            `model.estimate.refinement.refine_bodies`; None for no such.
        heatmap_std: of the heatmaps that the network was trained with, px of the 256 crop.
    """

    def __init__(
        self,
        body: Body,
        mean_pose: Tensor,
        num_bodies: int,
        keypoint_error: float | None = None,
        heatmap_std: float = HEATMAP_STD,
    ) -> None:
        self.body, self.num_bodies = body, num_bodies
        self.keypoint_error, self.heatmap_std = keypoint_error, heatmap_std
        self.keypoint_body = None if keypoint_error is None else KeypointBody(body)
        self.device = body.faces.device
        self.people_at_once = max(8, _BODIES_AT_ONCE // (2 + num_bodies))
        naive = mean_pose.to(self.device)[None, None]
        identity = torch.eye(3, device=self.device).expand(1, 1, 3, 3)
        betas = torch.zeros(1, 1, NUM_BETAS, device=self.device)
        self.naive = self._points(pose_bodies(Samples(naive, betas, identity), body))

    @torch.no_grad()
    def of_people(
        self,
        net: BodyNet,
        people: RenderedSet,
        stride: int,
        noise: KeypointNoiseConfig | None,
        seed: int,
    ) -> Columns:
        """All columns of rendered people, on the CPU; see `of_output`.

        Args:
            net: network to judge; it is left in evaluation mode.
            people: N held-back people.
            stride: pixels averaged before the encoder, a multiple of the stored pictures' stride.
            noise: errors of the given keypoints; None gives the true ones, of which those outside
                the picture are dropped. Networks that read confidences are given what is lost as
                `weak_keypoints`.
            seed: of the noise and the draws.

        Raises:
            ValueError: the stored pictures are coarser than the encoder's input.
        """
        if not isinstance(net, LiftNet) and stride % people.stride:
            raise ValueError(
                f"the pictures are stored averaged over {people.stride} pixels, but the network "
                f"sees {stride}: render them anew with data.stored_stride={stride}"
            )
        net.eval()
        joints2d, kept = people.joints2d, ~people.outside
        if noise is not None:
            generator = torch.Generator(joints2d.device).manual_seed(seed)
            joints2d, kept = detected_keypoints(people, noise, generator)
        seen = _seen(people, joints2d, kept, seed if noise is not None else None)
        keys = person_keys(seed, list(map(str, range(len(people)))), [0] * len(people))
        parts = []
        for start in range(0, len(people), self.people_at_once):
            some = slice(start, start + self.people_at_once)
            batch = people[some].to(self.device)
            given = joints2d[some].to(self.device), kept[some].to(self.device)
            if isinstance(net, LiftNet):
                output = net(seen[some].to(self.device))
            else:
                proxy = network_input(batch, *given, stride, torch.float32, self.heatmap_std)
                output = net.decode(net.features(proxy))
            streams = RandomStreams(keys[some], self.device)
            columns = self.of_output(output, batch, streams, given)
            parts.append({name: values.cpu() for name, values in columns.items()})
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def of_output(
        self,
        output: NetOutput,
        people: RenderedSet,
        streams: RandomStreams,
        given: tuple[Tensor, Tensor],
    ) -> Columns:
        """Columns of B people.

        Args:
            output: of the network.
            people: the truth.
            streams: where the draws come from.
            given: keypoints (B, 17, 2) px of the 256 crop that the network saw, and which of them
                (B, 17) bool.

        Returns:
            Under each name of METRICS (B,) mm of the mode; `naive-NAME` (B,) and
            `hypotheses-NAME` (B, 1 + num_bodies), the mode first, of ALIGNED_METRICS;
            `mode_px`, `sample_px`, `sample_spread_mm`, `outside`, `hidden` (B, 17) per keypoint;
            `pose_nll`, `pose_mass` (B, 23); `shape_nll`, `shape_mass` (B, 10) and
            `all_shape_mass` (B,) of the coefficients together; with a distribution of the global
            rotation `global_nll`, `global_mass` (B, 1). Mass is the share of the distribution that
            is denser than at the truth: uniform from 0 to 1 if calibrated. With a keypoint_error
            `refined-NAME` of METRICS and `refined_px`: what NAME and mode_px are of the mode.
        """
        rotmats = rotvec_to_rotmat(people.rotvecs)
        draws = draw_samples(output, streams, NUM_DRAWS)
        truth = Samples(rotmats[:, None, 1:], people.betas[:, None], rotmats[:, :1])
        true_points = self._points(pose_bodies(truth, self.body))
        target = _each(true_points, lambda points: points[:, 0])
        bodies = pose_bodies(before_draws(mode_of(output), draws, self.num_bodies), self.body)
        return {
            **self._error_columns(self._points(bodies), target),
            **_keypoint_columns(self._keypoints(bodies), output.camera, people),
            **_distribution_columns(output, draws, rotmats, people.betas),
            **self._refined_columns(output, people, target, given),
        }

    def _refined_columns(
        self,
        output: NetOutput,
        people: RenderedSet,
        target: BodyPoints,
        given: tuple[Tensor, Tensor],
    ) -> Columns:
        if self.keypoint_body is None or self.keypoint_error is None:
            return {}
        keypoints = pixels_to_normalised(given[0], PROXY_SIZE)
        refined = refine_bodies(
            output, keypoints, given[1], self.keypoint_body, self.keypoint_error
        )
        parameters = (refined.pose, refined.betas, refined.global_rotmat)
        bodies = pose_bodies(Samples(*(values[:, None] for values in parameters)), self.body)
        errors = body_errors(self._points(bodies), target, METRICS)
        return {
            **{of_refined(name): _MM * values[:, 0] for name, values in errors.items()},
            "refined_px": _distances(self._keypoints(bodies), refined.camera, people)[:, 0],
        }

    def _points(self, bodies: PosedBodies) -> BodyPoints:
        return compared_points(bodies, self.body)

    def _keypoints(self, bodies: PosedBodies) -> Tensor:
        return self.body.coco_joints(bodies.vertices, bodies.joints)

    def _error_columns(self, hypotheses: BodyPoints, target: BodyPoints) -> Columns:
        num = len(target.vertices)
        mode = _each(hypotheses, lambda points: points[:, :1])
        naive = _each(self.naive, lambda points: points.expand(num, -1, -1, -1))
        of_mode = body_errors(mode, target, METRICS)
        of_naive = body_errors(naive, target, ALIGNED_METRICS)
        of_all = body_errors(hypotheses, target, ALIGNED_METRICS)
        return {
            **{name: _MM * errors[:, 0] for name, errors in of_mode.items()},
            **{f"naive-{name}": _MM * errors[:, 0] for name, errors in of_naive.items()},
            **{f"hypotheses-{name}": _MM * errors for name, errors in of_all.items()},
        }


def _seen(people: RenderedSet, joints2d: Tensor, kept: Tensor, seed: int | None) -> LiftInput:
    """The keypoints (N, 17, 2) kept (N, 17), and with a seed of errors the weak ones."""
    keypoints = torch.cat([joints2d, torch.full_like(joints2d[..., :1], GIVEN_CONFIDENCE)], -1)
    if seed is not None:
        draws = Draws(torch.Generator(joints2d.device).manual_seed(seed + 1))
        keypoints, kept = weak_keypoints(people, joints2d, kept, draws)
    return LiftInput.of_keypoints(keypoints.masked_fill(~kept[..., None], torch.nan))


def of_refined(metric: str) -> str:
    """Name of a metric of the bodies moved onto the keypoints."""
    return f"refined-{metric}"


def _each(points: BodyPoints, change: Callable[[Tensor], Tensor]) -> BodyPoints:
    """The points with each of their tensors changed."""
    return BodyPoints(change(points.vertices), change(points.reposed), change(points.joints))


def _keypoint_columns(keypoints: Tensor, camera: Tensor, people: RenderedSet) -> Columns:
    distance = _distances(keypoints, camera, people)
    return {
        "mode_px": distance[:, 0],
        "sample_px": distance[:, 1:].mean(1),
        "sample_spread_mm": _MM * sample_spread(keypoints[:, 1:]),
        "outside": people.outside,
        "hidden": people.hidden,
    }


def _distances(keypoints: Tensor, camera: Tensor, people: RenderedSet) -> Tensor:
    """Distances (B, N, 17) of projected keypoints (B, N, 17, 3) from the true ones, px."""
    return joints2d_errors(project_to_crop(keypoints, camera[:, None]), people.joints2d)


def _distribution_columns(
    output: NetOutput, draws: Samples, rotmats: Tensor, betas: Tensor
) -> Columns:
    mean, std = output.shape_mean, output.shape_std
    columns = {
        "pose_nll": pose_nll(output.pose_F, rotmats[:, 1:]),
        "pose_mass": _ranked_mass(output.pose_F, rotmats[:, 1:], draws.pose),
        "shape_nll": shape_nll(mean, std, betas),
        "shape_mass": shape_central_probability(mean, std, betas),
        "all_shape_mass": _ellipsoid_probability(mean, std, betas),
    }
    if output.global_F is not None:
        global_F, turns = output.global_F[:, None], draws.global_rotmat[:, :, None]
        columns["global_nll"] = pose_nll(global_F, rotmats[:, :1])
        columns["global_mass"] = _ranked_mass(global_F, rotmats[:, :1], turns)
    return columns


def _ranked_mass(F: Tensor, true_rotmats: Tensor, draws: Tensor) -> Tensor:
    """(B, J) mass denser than at the truth: the middle of what its rank among draws stands for."""
    return (density_rank(F, true_rotmats, draws) + 0.5) / (NUM_DRAWS + 1)


def _ellipsoid_probability(mean: Tensor, std: Tensor, true_betas: Tensor) -> Tensor:
    """(B,) mass of the ellipsoid of equal density through the truth; uniform if calibrated.

    The squared distance in standard deviations has a chi-square distribution.
    """
    squared = ((true_betas - mean) / std).square().sum(-1)
    half_dimensions = torch.full_like(squared, mean.shape[-1] / 2)
    return torch.special.gammainc(half_dimensions, squared / 2)
