from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from hierprob3d.configs.synthetic_people import SynthesisConfig
from hierprob3d.training.people.framing import (
    FramedPeople,
    boxed_vertices,
    frame_people,
    inside_picture,
)
from hierprob3d.training.random.draws import Draws

EXACT = SynthesisConfig(
    focal_length=(300, 300), distance_jitter=0, box_scale_jitter=0, box_centre_jitter=0,
    extreme_crop_probability=0,
)  # fmt: skip


@pytest.fixture
def stick() -> Tensor:
    """(1, 3, 3) a flat person 2 m high: head, thigh, foot."""
    return torch.tensor([[[0.0, -1.0, 0.0], [0.0, 0.2, 0.0], [0.1, 1.0, 0.0]]])


PARTS = torch.tensor([23, 7, 5])


def framed(draws: Draws, points: Tensor, config: SynthesisConfig) -> FramedPeople:
    keypoints = points[:, :1].expand(-1, 17, -1)
    return frame_people(draws, points, keypoints, boxed_vertices(PARTS), config)


def test_the_box_enlarged_fills_the_crop(draws: Draws, stick: Tensor) -> None:
    people = framed(draws, stick, EXACT)
    height = 256 / 1.2
    expected = torch.tensor([128 - height / 2, 128 + 0.1 * height, 128 + height / 2])
    torch.testing.assert_close(people.vertices[0, :, 1], expected)
    assert people.vertices[0, :, 0].mean() == pytest.approx(128, abs=3)
    torch.testing.assert_close(people.keypoints[0, 0], people.vertices[0, 0])
    torch.testing.assert_close(people.eye[0], torch.tensor([0.0, 0.0, -2.5]))


def test_wide_people_fill_the_width_of_the_content(draws: Draws) -> None:
    lying = torch.tensor([[[-1.0, 0.0, 0.0], [0.2, 0.0, 0.0], [1.0, 0.0, 0.0]]])
    for aspect in (0.75, 1.0):
        people = framed(draws, lying, dataclasses.replace(EXACT, box_aspect=aspect))
        width = people.vertices[0, 2, 0] - people.vertices[0, 0, 0]
        assert width == pytest.approx(256 * aspect / 1.2, rel=1e-5)


def test_what_is_nearer_looks_larger(draws: Draws, stick: Tensor) -> None:
    near = stick.clone()
    near[0, 2, 2] = -0.5  # the foot half a metre towards the camera at 2.5 m
    people = framed(draws, near, EXACT)
    head, thigh, foot = people.vertices[0, :, 1]
    assert (foot - thigh) / (thigh - head) == pytest.approx((1 / 0.8 - 0.2) / 1.2, rel=1e-4)


@pytest.mark.parametrize(
    ("shares", "last_inside"), [((1.0, 0.0, 0.0), 0), ((0.0, 1.0, 0.0), 0), ((0.0, 0.0, 1.0), 1)]
)
def test_extreme_crops_go_around_a_part(
    draws: Draws, stick: Tensor, shares: tuple[float, float, float], last_inside: int
) -> None:
    wide = torch.cat([stick, stick[:, :1] + torch.tensor([0.0, 0.5, 0.0])], dim=1)  # and a chest
    parts = torch.cat([PARTS, torch.tensor([1])])
    config = dataclasses.replace(EXACT, extreme_crop_probability=1.0, extreme_crop_shares=shares)
    keypoints = wide[:, :1].expand(-1, 17, -1)
    people = frame_people(draws, wide, keypoints, boxed_vertices(parts), config)
    inside = ((people.vertices[0, :, 1] > 0) & (people.vertices[0, :, 1] < 256)).tolist()
    assert inside == [True, last_inside == 1, False, True]


def test_off_the_axis_people_are_seen_from_the_side(draws: Draws) -> None:
    config = dataclasses.replace(EXACT, camera_xy_std=0.3)
    pair = torch.tensor([[[0.0, -1.0, 0.0], [0.0, -1.0, 1.0], [0.0, 1.0, 0.0]]]).repeat(100, 1, 1)
    people = framed(draws, pair, config)
    sideways = people.vertices[:, 0, 0] - people.vertices[:, 1, 0]  # one point behind the other
    scale = (people.vertices[:, 2, 1] - people.vertices[:, 0, 1]) / 2  # px per metre
    expected = -people.eye[:, 0] * (1 - 2.5 / 3.5) * scale
    torch.testing.assert_close(sideways, expected, atol=1e-2, rtol=1e-3)
    assert people.eye[:, 0].std() == pytest.approx(0.3, rel=0.25)


def test_people_are_cut_off_where_their_picture_ends(draws: Draws, stick: Tensor) -> None:
    """2 m at 2.5 m fill 240 px of 256; half a metre lower, 44 px of them are out of the picture."""
    config = dataclasses.replace(
        EXACT, picture_size=256.0, camera_offset=(0.0, 0.5), box_scale=1.0, box_aspect=1.0
    )
    people = framed(draws, stick, config)
    assert people.picture is not None
    first, last = people.picture[0]
    scale = 256 / (256 - (128 - 60))  # from the head at 68 px down to the border
    torch.testing.assert_close(last - first, torch.full((2,), 256 * scale))
    head, _, foot = people.vertices[0, :, 1].tolist()
    assert head == pytest.approx(0, abs=1e-3) and last[1] == pytest.approx(256, abs=1e-3)
    assert foot == pytest.approx(240 * scale, abs=1e-3)
    lower = people.picture - 64.0
    mask = inside_picture(lower, 64)
    assert mask.shape == (1, 64, 64) and mask[0, :48].any() and not mask[0, 48:].any()


def test_the_box_is_displaced_in_pixels_of_the_picture(draws: Draws, stick: Tensor) -> None:
    config = dataclasses.replace(EXACT, picture_size=256.0, box_centre_jitter=5.0, box_aspect=1.0)
    people = framed(draws, stick.repeat(200, 1, 1), config)
    middle = (people.vertices[:, 0, 1] + people.vertices[:, 2, 1]) / 2 - 128
    scale = (people.vertices[:, 2, 1] - people.vertices[:, 0, 1]) / 240
    assert float((middle / scale).abs().max()) == pytest.approx(5.0, abs=0.1)
