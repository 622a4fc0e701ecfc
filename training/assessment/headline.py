"""Means of the columns of `person_metrics`: the numbers that a log or a table begins with."""

from __future__ import annotations

import torch
from torch import Tensor

from .person_metrics import ALIGNED_METRICS, METRICS, Columns, of_refined

REGIONS = (0.5, 0.8, 0.95)
"""Shares of a predicted distribution that its regions of highest density hold."""


def headline(columns: Columns) -> dict[str, float]:
    """Means over people: mm, px of the 256 crop, nats per joint or shape coefficient, or shares.

    joints2D-L2E is of the mode's keypoints and those in the picture, joints2Dsamples-L2E of the
    draws' and of those seen, as in the paper's training code; inside-P is the share of true
    rotations within the region of highest density that holds P.
    """
    outside, hidden = columns["outside"], columns["hidden"]
    names = (*METRICS, *(f"naive-{name}" for name in ALIGNED_METRICS))
    metrics = {name: columns[name].mean() for name in names}
    metrics["joints2D-L2E"] = columns["mode_px"][~outside].mean()
    metrics["joints2Dsamples-L2E"] = columns["sample_px"][~(outside | hidden)].mean()
    if "refined_px" in columns:
        names = tuple(map(of_refined, METRICS))
        metrics |= {name: columns[name].mean() for name in names}
        metrics[of_refined("joints2D-L2E")] = columns["refined_px"][~outside].mean()
    metrics["shape-NLL"] = columns["shape_nll"].mean()
    for prefix, part in (("", "pose"), ("global-", "global")):
        if f"{part}_nll" in columns:
            metrics[f"{part}-NLL"] = columns[f"{part}_nll"].mean()
            shares = inside_shares(columns[f"{part}_mass"].flatten())
            for region, share in zip(REGIONS, shares, strict=True):
                metrics[f"{prefix}inside-{region:.0%}"] = share
    return {name: round(float(value), 4) for name, value in metrics.items()}


def inside_shares(mass: Tensor) -> Tensor:
    """Share (..., 3) of N truths inside each of REGIONS, of their mass (N, ...)."""
    return torch.stack([(mass <= region).float().mean(0) for region in REGIONS], -1)
