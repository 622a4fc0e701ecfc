"""How good predictions are with real detectors: rendered people, found and predicted as any."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hierprob3d.configs.prediction import (
    PredictConfig,
    RefinementConfig,
    RunConfig,
    SamplingConfig,
    SourceConfig,
)
from hierprob3d.configs.training import DataConfig
from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.body.skeleton import MEASUREMENT_NAMES, NUM_BETAS
from hierprob3d.model.estimate.distribution_metrics import shape_central_probability
from hierprob3d.model.estimate.metrics import point_errors
from hierprob3d.model.network.lift_input import GIVEN_CONFIDENCE
from hierprob3d.model.people.body_widths import body_widths
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.training.assessment.assessment_report import number, table
from hierprob3d.training.assessment.pictured_people import (
    CUT,
    WHOLE,
    PicturedPeople,
    pictured_people,
)
from hierprob3d.transforms.batch.batches import Batch
from hierprob3d.transforms.batch.models import Models
from hierprob3d.transforms.inputs.items import Frame, picture_item
from hierprob3d.transforms.prediction.stages import DETECT, wanted_stages
from hierprob3d.transforms.tables.schema import std_name

GROSS_PX = 12.0
"""A keypoint farther than this from the true one is grossly wrong; a person has about 200 px."""

SHARE_CUT = 0.25

_REGION = 0.8
"""Probability of the intervals that truths are looked for in."""

_LIMBS = slice(5, 17)
"""COCO keypoints from the shoulders down: joints that are compared, and may be grossly wrong."""

_GROUPS = {
    "face": range(5), "shoulders": (5, 6), "elbows": (7, 8), "wrists": (9, 10), "hips": (11, 12),
    "knees": (13, 14), "ankles": (15, 16),
}  # fmt: skip

Columns = dict[str, Tensor]
"""Per person one number or several; not numbers where nobody was found."""

Record = dict[str, Any]


def detector_figures(
    data: DataConfig, models: Mapping[str, Models], num: int, seed: int
) -> dict[str, dict[str, Record]]:
    """Figures by kind of people and keypoint model.

    Args:
        data: body, poses and backgrounds of a validation.
        models: of runs that differ in their keypoint model alone, by its name.
        num: of people, a quarter of whom is cut.
        seed: of the pictures.
    """
    num_cut = round(SHARE_CUT * num)
    return {
        kind: _figures_of_kind(data, kind, count, models, seed)
        for kind, count in ((WHOLE, num - num_cut), (CUT, num_cut))
        if count
    }


def detector_markdown(figures: Mapping[str, Mapping[str, Record]]) -> str:
    """The figures of `detector_figures` as a table with a column for each kind and model."""
    records = {f"{kind}, {name}": r for kind, by in figures.items() for name, r in by.items()}
    names = list(next(iter(records.values())))
    rows = [[name, *(_cell(record[name]) for record in records.values())] for name in names]
    return (
        "### Rendered people found by the real detectors\n\n"
        "People are found, keypoints placed and bodies predicted as by `predict`; 12 joints from "
        "the shoulders down, mm, mean / median. *Gross*: a place of these more than "
        f"{GROSS_PX:.0f} px of 256 from the true one. *Cut*: a quarter is cut by the picture's "
        "side, a quarter stands behind something, a fifth is cut at hips, thighs or elbows. "
        "*Inside 80 %*: truths within the predicted intervals.\n\n" + table(["", *records], rows)
    )


def _figures_of_kind(
    data: DataConfig, kind: str, num: int, models: Mapping[str, Models], seed: int
) -> dict[str, Record]:
    parts: dict[str, list[Columns]] = {name: [] for name in models}
    for people in pictured_people(data, kind, num, seed):
        batch = _detected(people, next(iter(models.values())))
        for name, mine in models.items():
            parts[name].append(_columns(people, batch, mine))
    return {
        name: _figures({key: torch.cat([part[key] for part in some]) for key in some[0]})
        for name, some in parts.items()
    }


def _config() -> PredictConfig:
    """What is asked of the stages: modes and bodies moved onto the keypoints."""
    return PredictConfig(
        source=SourceConfig(inputs=("arrays",)),
        sampling=SamplingConfig(uncertainty=False),
        refinement=RefinementConfig(refine=True),
        run=RunConfig(output="nowhere"),
    )


def _detected(people: PicturedPeople, models: Models) -> Batch:
    """The pictures with the boxes found, which do not depend on the keypoint model."""
    frames = [Frame(picture_item(f"/{n}.png"), image) for n, image in enumerate(people.images)]
    batch = Batch(frames)
    DETECT.run(batch, models, _config())
    return batch


def _columns(people: PicturedPeople, detected: Batch, models: Models) -> Columns:
    """What each person contributes: the best-scored one found in a picture is meant to be it."""
    batch = Batch(detected.frames, detections=dict(detected.detections))
    config = _config()
    for stage in wanted_stages(config):
        if stage is not DETECT:
            stage.run(batch, models, config)
    found = batch.people.columns
    first: dict[int, int] = {}
    for row, place in enumerate(found["frame"].tolist() if len(batch.people) else []):
        first.setdefault(place, row)
    places, rows = list(first), list(first.values())
    values = _errors(people, places, {name: c[rows].cpu() for name, c in found.items()}, models)
    return {name: _spread(some, places, len(people.images)) for name, some in values.items()}


def _errors(people: PicturedPeople, places: list[int], found: Columns, models: Models) -> Columns:
    """Of the people found: joints and shape in mm, keypoints in px; whether these are seen."""
    if not places:
        return _nobody()
    body = _on_cpu(models.body)
    true_pose = rotvec_to_rotmat(people.rotvecs[places])
    betas = people.betas[places]
    truth = _limbs(body, betas, true_pose[:, 1:], true_pose[:, 0])
    shapes = [body.shape(some).vertices for some in (found["shape_mean"], betas)]
    bodies = {
        "mode": ("shape_mean", "pose_mode", "global_rotmat"),
        "refined": ("refined_betas", "refined_pose", "refined_global_rotmat"),
    }
    limbs = {kind: _limbs(body, *(found[c] for c in names)) for kind, names in bodies.items()}
    return {
        **{kind: _mm(points, truth, "similarity") for kind, points in limbs.items()},
        "shape": _mm(shapes[0], shapes[1], "scale"),
        "beta2": torch.stack((found["shape_mean"][:, 1], betas[:, 1]), 1),
        **_inside(found, betas, models),
        **_by_true_silhouette(people, places, models, body),
        "px": (found["keypoints"][..., :2] - people.joints2d[places]).norm(dim=-1),
        "seen": people.seen[places].float(),
        "hidden": people.hidden[places].float(),
    }


def _on_cpu(body: Body) -> Body:
    """The body; of one on a GPU a copy, as the models go on with theirs."""
    return body if body.v_template.device.type == "cpu" else copy.deepcopy(body).to("cpu")


def _nobody() -> Columns:
    sizes = {"mode": (), "refined": (), "shape": (), "beta2": (2,), "px": (17,), "seen": (17,)}
    sizes |= {"hidden": (17,), "betas_inside": (NUM_BETAS,), "clean": (), "clean_beta2": (2,)}
    sizes |= {"measured_inside": (len(MEASUREMENT_NAMES),)}
    return {name: torch.zeros(0, *size) for name, size in sizes.items()}


def _inside(found: Columns, betas: Tensor, models: Models) -> Columns:
    """Of betas (B, 10) and measurements (B, 5): 1 within the 80 % interval, else 0."""

    def is_inside(mean: Tensor, std: Tensor, truth: Tensor) -> Tensor:
        return (shape_central_probability(mean, std, truth) <= _REGION).float()

    truth = models.measurer.measure(betas.to(models.device)).cpu()
    values, stds = (
        torch.stack([found[name] for name in names], 1)
        for names in (MEASUREMENT_NAMES, map(std_name, MEASUREMENT_NAMES))
    )
    return {
        "betas_inside": is_inside(found["shape_mean"], found["shape_std"], betas),
        "measured_inside": is_inside(values, stds, truth),
    }


@torch.no_grad()
def _by_true_silhouette(
    people: PicturedPeople, places: list[int], models: Models, body: Body
) -> Columns:
    """Shape in mm, and the second beta found and true, by true silhouettes and keypoints.

    Not numbers where the weights read none.
    """
    betas = people.betas[places]
    if models.shape_net is None:
        nothing = torch.full((len(places),), torch.nan)
        return {"clean": nothing, "clean_beta2": torch.stack((nothing, betas[:, 1]), 1)}
    joints2d = people.joints2d[places]
    confidence = torch.full_like(joints2d[..., :1], GIVEN_CONFIDENCE)
    keypoints = torch.cat([joints2d, confidence], -1)
    widths = body_widths(people.silhouette[places].float(), keypoints)
    mean = models.shape_net(widths.to(models.device), keypoints.to(models.device)).mean.cpu()
    shapes = [body.shape(some).vertices for some in (mean, betas)]
    return {
        "clean": _mm(shapes[0], shapes[1], "scale"),
        "clean_beta2": torch.stack((mean[:, 1], betas[:, 1]), 1),
    }


def _limbs(body: Body, betas: Tensor, pose: Tensor, global_rotmat: Tensor) -> Tensor:
    """(B, 12, 3) COCO joints from the shoulders down."""
    vertices, joints = body(betas, pose, global_rotmat)
    return body.coco_joints(vertices, joints)[:, _LIMBS]


def _mm(points: Tensor, truth: Tensor, alignment: str) -> Tensor:
    """(B,) mean distance, mm."""
    return 1000 * point_errors(points, truth, [alignment])[:, 0].mean(-1)


def _spread(values: Tensor, places: list[int], num: int) -> Tensor:
    """The values at their people's places; not numbers elsewhere."""
    spread = values.new_full((num, *values.shape[1:]), torch.nan)
    spread[places] = values
    return spread


def _figures(columns: Columns) -> Record:
    """The rows of the table by their label: numbers, or pairs of mean and median."""
    there = columns["mode"].isfinite()
    some = {name: values[there] for name, values in columns.items()}
    gross = ((some["px"] > GROSS_PX) & (some["seen"] + some["hidden"] > 0))[:, _LIMBS].sum(1)
    seen, hidden = some["seen"] > 0, some["hidden"] > 0
    return {
        "people": len(there),
        "found": int(there.sum()),
        "MPJPE-PA": _mean_median(some["mode"]),
        "without a gross keypoint": _mean_median(some["mode"][gross == 0]),
        "people without, %": _percent(gross == 0),
        "with 1 to 3": _mean_median(some["mode"][(gross > 0) & (gross < 4)]),
        "with 4 or more": _mean_median(some["mode"][gross >= 4]),
        "people with 4 or more, %": _percent(gross >= 4),
        "MPJPE-PA, refined": _mean_median(some["refined"]),
        "PVE-T-SC": _mean_median(some["shape"]),
        "R² of the second beta": _explained(*some["beta2"].unbind(1)),
        **_clean_figures(some),
        "betas inside 80 %, %": _percent(some["betas_inside"] > 0),
        **{
            f"{name.rpartition('_')[0].replace('_', ' ')} inside 80 %, %": _percent(inside > 0)
            for name, inside in zip(MEASUREMENT_NAMES, some["measured_inside"].mT, strict=True)
        },
        "keypoints seen, px": _mean_median(some["px"][seen]),
        **{
            f"{name}, px": _mean_median(some["px"][:, list(members)][seen[:, list(members)]])
            for name, members in _GROUPS.items()
        },
        "keypoints hidden, px": _mean_median(some["px"][hidden]),
        f"seen more than {GROSS_PX:.0f} px off, %": _percent(some["px"][seen] > GROSS_PX),
    }


def _clean_figures(columns: Columns) -> Record:
    """Rows of shapes by true silhouettes; dashes where the weights read none."""
    known = columns["clean"].isfinite()
    return {
        "PVE-T-SC, true silhouette and keypoints": _mean_median(columns["clean"][known]),
        "R² of the second beta, likewise": _explained(*columns["clean_beta2"][known].unbind(1)),
    }


def _mean_median(values: Tensor) -> list[float] | None:
    if not len(values):
        return None
    return [round(float(value), 3) for value in (values.mean(), values.median())]


def _percent(which: Tensor) -> float | None:
    return round(100 * float(which.float().mean()), 2) if len(which) else None


def _explained(found: Tensor, true: Tensor) -> float | None:
    """Share of the variance of a true number that the one found explains."""
    if len(true) < 2:
        return None
    left, all_of_it = (true - found).square().mean(), (true - true.mean()).square().mean()
    return round(float(1 - left / all_of_it), 3)


def _cell(value: float | list[float] | None) -> str:
    if isinstance(value, list):
        return " / ".join(map(number, value))
    if isinstance(value, int):
        return str(value)
    return number(value, digits=2 if value is not None and abs(value) < 1 else 1)
