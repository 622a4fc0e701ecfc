"""The quality is what its parameters' file and the documentation say."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from hierprob3d.model.estimate.quality import (
    DIRECTIONS,
    FEATURES,
    PARAMETERS_PATH,
    bundled_quality,
    quality_features,
)
from hierprob3d.transforms.tables.schema import IN_VIEW


def columns(**changes: torch.Tensor) -> dict[str, torch.Tensor]:
    keypoints = torch.full((1, 17, 3), 0.8)
    return {
        "pose_spread_deg": torch.full((1, 23), 20.0), "reprojection_px": torch.tensor([8.0]),
        "crop": torch.tensor([[50.0, 50.0, 512.0]]), "keypoints": keypoints,
        "truncation": torch.tensor([0.1]),
    } | changes  # fmt: skip


def test_features_are_those_of_the_row() -> None:
    [features] = quality_features(columns()).tolist()
    assert features == pytest.approx([np.log(20), np.log(1 + 4), 0.8, 0.1])
    [blind] = quality_features(columns(reprojection_px=torch.tensor([torch.nan]))).tolist()
    assert np.isfinite(blind).all() and blind[1] > features[1]


@pytest.mark.parametrize("worse", [
    {"pose_spread_deg": torch.full((1, 23), 60.0)}, {"reprojection_px": torch.tensor([80.0])},
    {"keypoints": torch.full((1, 17, 3), 0.2)},
])  # fmt: skip
def test_less_sure_and_farther_from_the_keypoints_is_worse(worse: dict[str, torch.Tensor]) -> None:
    good, bad = (
        float(bundled_quality().of(quality_features(columns(**some)))) for some in ({}, worse)
    )
    assert 0 < bad < good < 1


def test_nobody_is_better_for_being_less_in_view() -> None:
    assert all(w * sign >= 0 for w, sign in zip(bundled_quality().weights, DIRECTIONS, strict=True))


def test_the_parameters_name_their_command_and_hold_on_other_people() -> None:
    found = json.loads(PARAMETERS_PATH.read_text())
    assert found["command"].startswith("python -m tools.fit_quality")
    assert set(found["weights"]) == set(FEATURES)
    counts, quality, right = np.array(found["reliability"]).T
    assert counts.sum() == found["people"] > 400
    assert (np.abs(quality - right) * counts).sum() / counts.sum() < 0.06, "of people not fitted"
    said = next(column.meaning for column in IN_VIEW if column.name == "quality")
    assert f"MPJPE-PA below {found['right_mm']} mm" in said
