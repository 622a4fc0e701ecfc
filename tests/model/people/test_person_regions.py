"""Regions turned as people are, and what is seen in them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from hierprob3d.model.people.person_regions import Regions, crop_regions

SIZE = 64


def pose(turn: float = 0.0, centre: tuple[float, float] = (300.0, 200.0)) -> Tensor:
    """(1, 17, 3) somebody whose hips lie at the centre, turned clockwise by radians."""
    points = torch.zeros(17, 2)
    points[:5, 1] = -70
    points[5:7] = torch.tensor([[20.0, -50.0], [-20.0, -50.0]])
    points[11:13] = torch.tensor([[12.0, 0.0], [-12.0, 0.0]])
    points[13:, 1] = 90
    cos, sin = math.cos(turn), math.sin(turn)
    points = points @ torch.tensor([[cos, sin], [-sin, cos]]) + torch.tensor(centre)
    return torch.cat((points, torch.ones(17, 1)), 1)[None]


@pytest.mark.parametrize("turn", [0.0, 0.5, math.pi, -2.0])
def test_hips_are_the_centre_and_shoulders_are_up(turn: float) -> None:
    keypoints = pose(turn)
    regions = Regions.around_poses(keypoints)
    torch.testing.assert_close(regions.centres, torch.tensor([[300.0, 200.0]]))
    assert regions.angles.item() == pytest.approx(turn, abs=1e-6)
    # The shoulders' middle, 50 px above the hips, as the crop shows it.
    crop_point = torch.tensor([[[SIZE / 2, SIZE / 2 - 50 * SIZE / regions.sides.item()]]])
    shown = regions.points_to_picture(crop_point, SIZE)[0]
    torch.testing.assert_close(shown, keypoints[0, 5:7, :2].mean(0, keepdim=True))


def test_sides_hold_all_that_is_seen_and_cut_off_legs() -> None:
    whole, cut = pose(), pose()
    cut[0, 13:, 2] = 0.1
    assert Regions.around_poses(whole).sides.item() == pytest.approx(2 * 1.25 * 1.08 * 90)
    assert Regions.around_poses(cut).sides.item() == pytest.approx(2 * 1.25 * 1.9 * 50)


def test_what_is_no_number_is_told_apart() -> None:
    keypoints = torch.cat((pose(), pose()))
    keypoints[1, 11, 0] = torch.nan
    assert Regions.around_poses(keypoints).finite.tolist() == [True, False]


def test_a_box_gives_an_upright_square() -> None:
    regions = Regions.around_boxes(torch.tensor([[10.0, 20.0, 50.0, 120.0]]))
    assert regions.centres.tolist() == [[30, 70]]
    assert (regions.sides.item(), regions.angles.item()) == (125, 0)


@pytest.fixture(scope="module")
def picture() -> Tensor:
    """(3, 90, 120) whose red is x, whose green is y."""
    y, x = torch.meshgrid(torch.arange(90), torch.arange(120), indexing="ij")
    return torch.stack((2 * x, 2 * y, torch.full_like(x, 50))).byte()


@pytest.mark.parametrize("side", [40.0, 64.0, 150.0])
def test_crops_show_the_picture_where_their_points_lie(picture: Tensor, side: float) -> None:
    """Also shrunk ones: a filter leaves an even slope as it is."""
    regions = Regions(torch.tensor([[60.0, 45.0]]), torch.tensor([side]), torch.tensor([0.7]))
    (crop,) = crop_regions(picture, regions, SIZE)
    points = torch.tensor([[[32.5, 32.5], [36.5, 28.5], [26.5, 40.5]]])
    shown = crop[:2, points[0, :, 1].long(), points[0, :, 0].long()].T
    expected = 2 * (regions.points_to_picture(points, SIZE)[0] - 0.5) / 255
    torch.testing.assert_close(shown, expected, atol=3 / 255, rtol=0)


def test_beyond_the_picture_it_is_black(picture: Tensor) -> None:
    regions = Regions(
        torch.tensor([[0.0, 0.0], [-500.0, 40.0]]), torch.tensor([80.0, 80.0]), torch.zeros(2)
    )
    corner, far = crop_regions(picture, regions, SIZE)
    assert corner[:, :30].eq(0).all() and corner[:, :, :30].eq(0).all()
    assert corner[2, 40:, 40:].allclose(torch.tensor(50 / 255))
    assert far.eq(0).all()


def test_nobody_gives_no_crops() -> None:
    nobody = Regions.around_boxes(torch.from_numpy(np.zeros((0, 4), np.float32)))
    assert crop_regions(torch.zeros(3, 4, 4, dtype=torch.uint8), nobody, SIZE).shape[0] == 0
