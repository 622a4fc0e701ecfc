"""What samples of a body tell: spread of each point, and how well each sample fits keypoints."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


def sample_spread(points: Float[Tensor, "B N K 3"]) -> Float[Tensor, "B K"]:
    """(B, K) mean distance of (B, N, K, 3) sampled points to their mean over the N samples.

    Of vertices it is the paper's per-vertex uncertainty. Whether the samples include shape is the
    caller's choice; the paper's pictures use one shape. 0 for a single sample.
    """
    return torch.linalg.vector_norm(points - points.mean(1, keepdim=True), dim=-1).mean(1)


def fit_to_keypoints(
    samples: Float[Tensor, "B N K 2"],
    keypoints: Float[Tensor, "B K 2"],
    visible: Bool[Tensor, "B K"],
    rule: Literal["worst", "mean"] = "worst",
) -> Float[Tensor, "B N"]:
    """Distance in pixels of each projected sample from the visible keypoints.

    Args:
        samples: (B, N, K, 2) projected keypoints of the samples, px.
        keypoints: (B, K, 2) keypoints found in the picture, px of the same frame.
        visible: (B, K) bool, keypoints to compare.
        rule: "worst" takes the largest distance, by which the paper orders samples; "mean" the
            mean distance.

    Returns:
        (B, N) px; NaN for a person without a visible keypoint.
    """
    if rule not in ("worst", "mean"):
        raise ValueError(f"Unknown rule {rule!r}: use worst or mean.")
    distances = torch.linalg.vector_norm(samples - keypoints[:, None], dim=-1)
    distances = distances.masked_fill(~visible[:, None], 0)
    num_visible = visible.sum(dim=-1, dtype=distances.dtype)[:, None]
    total = distances.amax(dim=-1) if rule == "worst" else distances.sum(dim=-1) / num_visible
    return total.masked_fill(num_visible == 0, torch.nan)


def order_by_fit(fit: Float[Tensor, "B N"]) -> Int64[Tensor, "B N"]:
    """Sample numbers (B, N), best fit first; equal or NaN fits keep the order of the draws."""
    return fit.argsort(dim=-1, stable=True)
