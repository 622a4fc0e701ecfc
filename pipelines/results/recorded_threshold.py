"""The threshold of keypoints that a run used; needs no Beam, as readers do without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hierprob3d.model.people.keypoint_estimators import MoveNetKeypoints


def keypoint_threshold(manifest: Mapping[str, Any]) -> float:
    """Confidence above which a run took keypoints for seen; MoveNet's where it was not recorded."""
    return float(manifest.get("keypoint_threshold", MoveNetKeypoints.visibility_threshold))
