"""How likely a person's mode is right, as one number from 0 to 1 to filter on.

`quality` is the estimated probability that the pose of the mode is right: that its joints lie on
average less than `Quality.right_mm` from the true ones after the best rotation, scale and shift
(MPJPE-PA, 14 joints). It is a logistic regression of what every row knows; the parameters lie in
`model/assets/quality.json` and are made by `python -m tools.fit_quality`, which names itself there,
from people rendered with a known pose and found by the bundled detector.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from hierprob3d.model.picture.proxy import PROXY_SIZE

PARAMETERS_PATH = Path(__file__).parents[1] / "assets" / "quality.json"

FEATURES = ("spread", "reprojection", "confidence", "truncation")
"""Logarithm of the mean angular spread in degrees; of the keypoints' distance in px of the 256
crop; mean confidence of the keypoints; part of the body outside the picture."""

DIRECTIONS = (-1, -1, 1, -1)
"""Sign that the weight of each feature may have: of two people who differ in one of them alone,
the less sure, the farther from the keypoints or the more cut off never has the higher quality."""

_NO_KEYPOINT_PX = 64.0
"""Taken for the distance of a person without a visible keypoint."""


@dataclass(frozen=True)
class Quality:
    """Parameters of the regression."""

    right_mm: float
    """Error below which a mode counts as right."""
    weights: tuple[float, ...]
    """Of FEATURES."""
    bias: float

    def of(self, features: Float[Tensor, "P features"]) -> Float[Tensor, " P"]:
        """Probability (P,) of features (P, len(FEATURES))."""
        weights = features.new_tensor(self.weights)
        return torch.sigmoid(features @ weights + self.bias)


@cache
def bundled_quality() -> Quality:
    """The parameters of this package."""
    found = json.loads(PARAMETERS_PATH.read_text("utf-8"))
    weights = tuple(found["weights"][name] for name in FEATURES)
    return Quality(found["right_mm"], weights, found["bias"])


def quality_features(columns: Mapping[str, Tensor]) -> Float[Tensor, "P features"]:
    """(P, len(FEATURES)) of people.

    Args:
        columns: pose_spread_deg (P, 23), reprojection_px (P,), crop (P, 3), keypoints (P, 17, 3)
            and truncation (P,), as the people table has them.
    """
    device = columns["pose_spread_deg"].device
    scale = PROXY_SIZE / columns["crop"][:, 2].to(device)
    distance = columns["reprojection_px"].to(device) * scale
    features = [
        columns["pose_spread_deg"].mean(-1).clamp(min=0.1).log(),
        distance.nan_to_num(nan=_NO_KEYPOINT_PX).add(1).log(),
        columns["keypoints"][..., 2].to(device).mean(-1),
        columns["truncation"].to(device),
    ]
    return torch.stack([feature.float() for feature in features], -1)
