"""Every figure of a model card that rendered people give: accuracy, samples, calibration.

Two ways of giving keypoints, with the errors of training or the true ones, are crossed with two
sets of people, all of them or those in full view.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hierprob3d.configs.keypoint_noise import KeypointNoiseConfig
from hierprob3d.configs.training import DataConfig
from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.body.skeleton import BODY_JOINT_NAMES, NUM_BODY_JOINTS
from hierprob3d.model.estimate.metrics import best_of
from hierprob3d.model.network.checkpoints import BodyNet
from hierprob3d.model.network.network_config import WeightsMetadata
from hierprob3d.model.picture.proxy import HEATMAP_STD
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.training.people.people_setup import PoseChoice, pose_sampler
from hierprob3d.training.people.rendered_people import RenderedSet
from hierprob3d.training.random.draws import Draws

from .headline import REGIONS, headline, inside_shares
from .person_metrics import ALIGNED_METRICS, NUM_DRAWS, Columns, PersonMetrics
from .validation import MEAN_POSE, mean_rotmats

BEST_OF = (1, 10, 50, 100)
"""Numbers of hypotheses of which the best counts: the mode, then draws, as in the paper's code."""

MOST_HIDDEN = 2
"""Keypoints hidden in a person in full view: most people hide some behind themselves."""

JOINT_GROUPS = {
    "legs": ("left_hip", "right_hip", "left_knee", "right_knee"),
    "feet": ("left_ankle", "right_ankle", "left_foot", "right_foot"),
    "spine": ("spine1", "spine2", "spine3"),
    "head and neck": ("neck", "head"),
    "shoulders": ("left_collar", "right_collar", "left_shoulder", "right_shoulder"),
    "elbows": ("left_elbow", "right_elbow"),
    "wrists and hands": ("left_wrist", "right_wrist", "left_hand", "right_hand"),
}

_POSES_OF_THE_MEAN = 8192

Record = dict[str, Any]


@dataclass(frozen=True)
class Condition:
    """What the figures of one column of the tables are taken of."""

    name: str
    noise: bool
    """Whether the given keypoints have the errors of training."""
    in_view: bool
    """Only people without a keypoint outside the picture and with at most MOST_HIDDEN hidden."""


CONDITIONS = (
    Condition("detector errors, all", noise=True, in_view=False),
    Condition("detector errors, in full view", noise=True, in_view=True),
    Condition("true keypoints, all", noise=False, in_view=False),
    Condition("true keypoints, in full view", noise=False, in_view=True),
)


def assess(
    net: BodyNet,
    body: Body,
    people: RenderedSet,
    mean_pose: Tensor,
    noise: KeypointNoiseConfig,
    seed: int,
    keypoint_error: float | None = None,
    heatmap_std: float = HEATMAP_STD,
) -> dict[str, Record]:
    """The figures of `figures` under the name of each of CONDITIONS.

    Args:
        net: network to judge, at its own input stride.
        body: the body of its pose and shape.
        people: held-back people.
        mean_pose: (23, 3, 3) rotations that the naive predictor always answers.
        noise: the detector errors.
        seed: of errors and draws.
        keypoint_error: see PersonMetrics.
        heatmap_std: likewise.

    Raises:
        ValueError: the weights are of another body, or the stored pictures too coarse for them.
    """
    if net.body_family != body.family:
        raise ValueError(
            f"the weights are for the body '{net.body_family}', the pictures show '{body.family}': "
            "set data.body_model to the weights' body"
        )
    metrics = PersonMetrics(body, mean_pose, NUM_DRAWS, keypoint_error, heatmap_std)
    stride = net.config.input_stride
    columns = {
        noisy: metrics.of_people(net, people, stride, noise if noisy else None, seed)
        for noisy in (True, False)
    }
    visible = ~people.outside.any(1) & (people.hidden.sum(1) <= MOST_HIDDEN)
    records = {}
    for condition in CONDITIONS:
        chosen = visible if condition.in_view else torch.ones_like(visible)
        some = {name: values[chosen] for name, values in columns[condition.noise].items()}
        records[condition.name] = figures(some)
    return records


def figures(columns: Columns) -> Record:
    """Means over N people; only their number where there are none.

    Returns:
        `people`; `metrics`, see `headline`; `best_of`, mm; `keypoints`, by visibility: share,
        distance of mode and draws from the truth in px, spread of the draws in mm; `nll` in nats
        per joint and per shape coefficient; `inside`, the share of truths within the regions.
    """
    num = len(columns["MPJPE"])
    if not num:
        return {"people": 0}
    return {
        "people": num,
        "metrics": headline(columns),
        "best_of": {name: _best_of(columns[f"hypotheses-{name}"]) for name in ALIGNED_METRICS},
        "keypoints": _keypoints(columns),
        "nll": {
            "pose": dict(zip(BODY_JOINT_NAMES, _rounded(columns["pose_nll"].mean(0)), strict=True)),
            "shape": _rounded(columns["shape_nll"].mean(0)),
        },
        "inside": _inside(columns),
    }


def weights_mean_pose(metadata: WeightsMetadata | None) -> Tensor | None:
    """Mean training pose (23, 3, 3) that weights carry, or None."""
    recorded = metadata.provenance.get(MEAN_POSE) if metadata else None
    if recorded is None:
        return None
    return rotvec_to_rotmat(torch.tensor(recorded).view(NUM_BODY_JOINTS, 3))


def drawn_mean_pose(data: DataConfig) -> Tensor:
    """Mean (23, 3, 3) of poses drawn as training draws them.

    Raises:
        FileNotFoundError, ValueError: see PoseSampler.
    """
    draws = Draws(torch.Generator().manual_seed(0))
    poses = pose_sampler(data, PoseChoice.for_training(data))
    return mean_rotmats(poses.sample(draws, _POSES_OF_THE_MEAN))


def _best_of(errors: Tensor) -> dict[str, float]:
    means = {str(count): best_of(errors, count).mean() for count in BEST_OF}
    return {count: round(float(mean), 4) for count, mean in means.items()}


def _keypoints(columns: Columns) -> dict[str, dict[str, float]]:
    outside, hidden = columns["outside"], columns["hidden"]
    places = {"visible": ~(outside | hidden), "hidden": hidden & ~outside, "outside": outside}
    names = ("mode_px", "sample_px", "sample_spread_mm")
    return {
        place: {
            "share": round(float(here.float().mean()), 4),
            **{name: round(float(columns[name][here].mean()), 4) for name in names if here.any()},
        }
        for place, here in places.items()
    }


def _inside(columns: Columns) -> Record:
    """Shares of truths in the regions, each a list in the order of REGIONS."""
    by_joint = inside_shares(columns["pose_mass"])
    by_coefficient = inside_shares(columns["shape_mass"])
    groups = {
        group: by_joint[[BODY_JOINT_NAMES.index(name) for name in names]].mean(0)
        for group, names in JOINT_GROUPS.items()
    }
    inside: Record = {
        "regions": list(REGIONS),
        "pose": _rounded(by_joint.mean(0)),
        "pose_by_group": {group: _rounded(shares) for group, shares in groups.items()},
        "pose_by_joint": dict(zip(BODY_JOINT_NAMES, map(_rounded, by_joint), strict=True)),
        "shape": _rounded(by_coefficient.mean(0)),
        "shape_by_coefficient": [_rounded(shares) for shares in by_coefficient],
        "shape_together": _rounded(inside_shares(columns["all_shape_mass"])),
    }
    if "global_mass" in columns:
        inside["global_rotation"] = _rounded(inside_shares(columns["global_mass"])[0])
    return inside


def _rounded(values: Tensor) -> list[float]:
    return [round(float(value), 4) for value in values]
