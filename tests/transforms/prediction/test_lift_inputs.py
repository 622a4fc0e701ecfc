from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
import torch

from hierprob3d.model.people.blazepose_keypoints import BlazePoseKeypoints
from hierprob3d.model.people.hrnet_keypoints import HRNetKeypoints
from hierprob3d.model.people.keypoint_estimators import MoveNetKeypoints
from hierprob3d.transforms.batch.isolation import People
from hierprob3d.transforms.batch.models import Models
from hierprob3d.transforms.inputs.items import Item
from hierprob3d.transforms.prediction.lift_inputs import lift_columns, lift_input


def _models(estimator: type) -> Models:
    proxy = SimpleNamespace(box_scale=1.2)
    parts = {"keypoints": estimator, "proxy": proxy, "device": torch.device("cpu")}
    return cast(Models, SimpleNamespace(**parts))


@pytest.fixture()
def people() -> People:
    """Two people in boxes 60 x 80 px and 30 x 100 px."""
    boxes = torch.tensor([[100.0, 50, 160, 130], [0, 0, 30, 100]])
    keypoints = torch.rand(2, 17, 3, generator=torch.Generator().manual_seed(0)) * 100
    keypoints[..., 2] = 0.6
    item = cast(Item, None)
    columns = {"bbox": boxes, "keypoints": keypoints, "rough_keypoints": keypoints + 1}
    return People([item, item], [0, 1], columns)


def test_a_crop_is_the_enlarged_box_as_a_square(people: People) -> None:
    crop = lift_columns(people, _models(MoveNetKeypoints))["crop"]
    assert crop.tolist() == [[130, 90, pytest.approx(96)], [15, 50, pytest.approx(120)]]


def test_keypoints_alone_leave_the_landmarks_unknown(people: People) -> None:
    people.columns |= lift_columns(people, _models(MoveNetKeypoints))
    seen = lift_input(people)
    given = people.columns["keypoints"]
    expected = (given[0, :, :2] - torch.tensor([130.0, 90])) / 96 * 256 + 128
    torch.testing.assert_close(seen.keypoints[0, :, :2], expected)
    torch.testing.assert_close(seen.keypoints[..., 2], given[..., 2])
    assert seen.landmarks.isnan().all()


def test_confidences_are_read_on_movenets_scale(people: People) -> None:
    people.columns |= lift_columns(people, _models(HRNetKeypoints))
    torch.testing.assert_close(
        lift_input(people).keypoints[..., 2], torch.full((2, 17), 0.6 * 0.3 / 0.75)
    )


def test_landmarks_come_with_the_detectors_keypoints(people: People) -> None:
    landmarks = torch.full((2, 33, 5), 50.0)
    landmarks[1, :, 3:] = 0.25
    people.columns["landmarks"] = landmarks
    people.columns |= lift_columns(people, _models(BlazePoseKeypoints))
    seen = lift_input(people)
    rough = people.columns["rough_keypoints"]
    torch.testing.assert_close(seen.keypoints[1, :, 0], (rough[1, :, 0] - 15) / 120 * 256 + 128)
    torch.testing.assert_close(seen.landmarks[1, 0, 2], torch.tensor(50 / 120 * 256))
    torch.testing.assert_close(seen.landmarks[1, :, 3:], landmarks[1, :, 3:])
    assert seen.landmarks[0, 0, 1] == pytest.approx((50 - 90) / 96 * 256 + 128)


def test_somebody_without_landmarks_among_others_has_the_keypoints_given(people: People) -> None:
    people.columns["landmarks"] = torch.full((2, 33, 5), 50.0)
    people.columns["landmarks"][0] = torch.nan
    people.columns["rough_keypoints"][0] = torch.nan  # a list gave the box, nobody detected it
    people.columns |= lift_columns(people, _models(BlazePoseKeypoints))
    seen, given = lift_input(people), people.columns["keypoints"]
    torch.testing.assert_close(seen.keypoints[0, :, 0], (given[0, :, 0] - 130) / 96 * 256 + 128)
    torch.testing.assert_close(seen.keypoints[0, :, 2], given[0, :, 2] * 0.3 / 0.5)
    assert seen.landmarks[0].isnan().all() and seen.landmarks[1].isfinite().all()
