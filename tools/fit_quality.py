"""Fits the regression behind the column `quality`, and draws how reliable it is.

    python -m tools.fit_quality [--num 2048] [--weights PATH] [--plot docs/quality_reliability.png]

People in held-back poses are rendered before drawn backgrounds, found and annotated by the bundled
detector, keypoint network and weights as any picture is, and compared with the pose that they were
rendered with. All of them fit `model/assets/quality.json`; in the plot each half has the quality
that a fit of the other half gives it. To be run again when weights, detector or keypoint network
change; the same number and seed give the same people. It takes about 0.2 s a person on one core.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from hierprob3d.configs.prediction import ModelsConfig, SamplingConfig
from hierprob3d.model.body.mesh_body import Body, load_body
from hierprob3d.model.estimate.metrics import point_errors
from hierprob3d.model.estimate.quality import (
    DIRECTIONS,
    FEATURES,
    PARAMETERS_PATH,
    Quality,
    quality_features,
)
from hierprob3d.model.network.checkpoints import sha256_of, weights_path
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.training.assessment.evaluation_set import HELDBACK_POSES
from hierprob3d.training.look.backgrounds import Backgrounds
from hierprob3d.training.people.synthetic_pictures import SyntheticBatch, SyntheticPeople
from hierprob3d.training.poses.pose_sampler import PoseSampler
from hierprob3d.training.random.draws import seeded_generator
from hierprob3d.transforms.prediction.annotator import Annotator, Person

RIGHT_MM = 80
_SEED = 4021
_CHUNK = 16
_RIDGE = 1e-3
_NUM_BINS = 10


def collect(num: int, weights: str | None) -> tuple[Tensor, Tensor]:
    """Features (P, 4) and errors (P,) in mm of those of `num` rendered people who are found."""
    body = load_body("open")
    annotator = Annotator(
        ModelsConfig(weights=weights, device="cpu"), SamplingConfig(uncertainty=False)
    )
    features, errors = [], []
    for batch in _batches(num, body):
        pictures = (batch.rgb.permute(0, 2, 3, 1) * 255).round().clamp(0, 255).byte().numpy()
        found = annotator.annotate_batch(list(pictures))
        seen = [place for place, people in enumerate(found) if people]
        if not seen:
            continue
        columns = _columns([found[place][0] for place in seen])
        features.append(quality_features(columns))
        errors.append(_errors_mm(batch, torch.tensor(seen), columns, body))
        print(f"\r{sum(map(len, errors))} people", end="", file=sys.stderr, flush=True)
    return torch.cat(features), torch.cat(errors)


def fit(features: Tensor, is_right: Tensor) -> Quality:
    """The regression that makes the given answers likeliest, with a slight pull to zero.

    Weights keep to the signs of DIRECTIONS: of few people a feature may seem to speak the wrong
    way, as other features say the same.
    """
    mean, std = features.mean(0), features.std(0)
    scaled = ((features - mean) / std).double().numpy()
    right = is_right.double().numpy()

    def loss(parameters: np.ndarray) -> float:
        logits = scaled @ parameters[:-1] + parameters[-1]
        nll = np.logaddexp(0, logits) - right * logits
        return float(nll.mean() + _RIDGE * np.square(parameters[:-1]).sum())

    bounds = [(0, None) if sign > 0 else (None, 0) for sign in DIRECTIONS]
    found = minimize(loss, np.zeros(len(FEATURES) + 1), bounds=[*bounds, (None, None)]).x
    weights = torch.from_numpy(found[:-1]) / std.double()
    bias = float(found[-1]) - float(weights @ mean.double())
    return Quality(RIGHT_MM, tuple(round(w, 4) + 0.0 for w in weights.tolist()), round(bias, 4))


def unseen_quality(features: Tensor, is_right: Tensor) -> Tensor:
    """Quality (P,) of everybody by a fit of the half that they are not in."""
    quality = torch.empty(len(features))
    for half in (0, 1):
        fitted = fit(features[1 - half :: 2], is_right[1 - half :: 2])
        quality[half::2] = fitted.of(features[half::2])
    return quality


def reliability(quality: Tensor, is_right: Tensor) -> list[tuple[int, float, float]]:
    """People, mean quality and share of right ones in each tenth of the scale that has people."""
    bins = (quality * _NUM_BINS).long().clamp(max=_NUM_BINS - 1)
    rows = []
    for number in range(_NUM_BINS):
        mine = bins == number
        if mine.any():
            rows.append(
                (int(mine.sum()), float(quality[mine].mean()), float(is_right[mine].float().mean()))
            )
    return rows


def fitted_record(
    features: Tensor, errors: Tensor, weights: str | None
) -> tuple[dict[str, Any], list[tuple[int, float, float]]]:
    """What `quality.json` says, and the rows of `reliability`."""
    is_right = errors < RIGHT_MM
    quality = fit(features, is_right)
    rows = reliability(unseen_quality(features, is_right), is_right)
    record = {
        "distribution_weights_sha256": sha256_of(weights_path(weights)),
        "people": len(errors), "share_right": round(float(is_right.float().mean()), 4),
        "right_mm": quality.right_mm, "bias": quality.bias,
        "weights": dict(zip(FEATURES, quality.weights, strict=True)),
        "reliability": [[n, round(q, 3), round(share, 3)] for n, q, share in rows],
    }  # fmt: skip
    return record, rows


def _batches(num: int, body: Body) -> Iterator[SyntheticBatch]:
    people = SyntheticPeople(body, PoseSampler(HELDBACK_POSES), Backgrounds(None))
    for start in range(0, num, _CHUNK):
        yield people.sample(seeded_generator("cpu", _SEED, start), min(_CHUNK, num - start))


def _columns(people: list[Person]) -> dict[str, Tensor]:
    names = ("pose_spread_deg", "reprojection_px", "crop", "keypoints", "truncation",
             "pose_mode", "shape_mean", "global_rotmat")  # fmt: skip
    return {name: torch.from_numpy(np.stack([p[name] for p in people])) for name in names}


def _errors_mm(
    batch: SyntheticBatch, seen: Tensor, columns: dict[str, Tensor], body: Body
) -> Tensor:
    """MPJPE-PA of the modes."""
    true = rotvec_to_rotmat(batch.rotvecs[seen])
    with torch.inference_mode():
        target, _ = body(batch.betas[seen], true[:, 1:], true[:, 0])
        mode, _ = body(columns["shape_mean"], columns["pose_mode"], columns["global_rotmat"])
        joints = [body.h36m_joints14(vertices) for vertices in (mode, target)]
        return point_errors(*joints, ["similarity"])[:, 0].mean(-1) * 1000


def draw_plot(path: Path, rows: list[tuple[int, float, float]]) -> None:
    """The reliability plot: share of right modes over quality, and how many people have it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="#9aa3b2", linewidth=1, linestyle="--")
    counts, quality, share = (np.array(column) for column in zip(*rows, strict=True))
    half = 1.96 * np.sqrt(share * (1 - share) / counts)
    axes.errorbar(quality, share, yerr=half, color="#1d3a6b", marker="o", capsize=3)
    for x, y, count in zip(quality, share, counts, strict=True):
        axes.annotate(str(count), (x, y), xytext=(6, -11), textcoords="offset points", fontsize=7)
    axes.set(xlabel="quality", ylabel=f"share with MPJPE-PA below {RIGHT_MM} mm",
             xlim=(0, 1), ylim=(0, 1), aspect="equal")  # fmt: skip
    figure.savefig(path, dpi=110)


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num", type=int, default=2048, metavar="N")
    parser.add_argument("--weights", default=None, metavar="PATH")
    parser.add_argument("--plot", type=Path, default=None, metavar="FILE")
    args = parser.parse_args()
    features, errors = collect(args.num, args.weights)
    record, rows = fitted_record(features, errors, args.weights)
    record["command"] = f"python -m tools.fit_quality --num {args.num}"
    PARAMETERS_PATH.write_text(json.dumps(record, indent=1) + "\n")
    print(f"\n{json.dumps(record, indent=1)}")
    if args.plot:
        draw_plot(args.plot, rows)


if __name__ == "__main__":
    main()
