from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from hierprob3d.configs.synthetic_people import HalvesConfig, SynthesisConfig
from hierprob3d.training.look.occlusion import (
    missing_person,
    random_frames,
    random_halves,
    random_objects,
)
from hierprob3d.training.look.surface import SurfacePixels
from hierprob3d.training.random.draws import Draws

PLAIN = SynthesisConfig(truncation_probability=0, occluder_probability=0)


def every_pixel(num: int) -> SurfacePixels:
    """People who fill their pictures."""
    person, row, column = torch.ones(num, 256, 256).nonzero(as_tuple=True)
    return SurfacePixels(person, row, column, person * 0, torch.zeros(0, 3), torch.zeros(0, 3))


def test_without_augmentation_there_is_only_the_content(draws: Draws) -> None:
    frames = random_frames(draws, 3, PLAIN)
    assert frames[:, :, 32:224].all() and frames.sum() == 3 * 256 * 192
    assert random_frames(draws, 1, dataclasses.replace(PLAIN, box_aspect=1.0)).all()
    assert not random_objects(draws, 3, PLAIN).any()
    missing = missing_person(draws, every_pixel(2), torch.ones(2 * 65536).long(), 2, PLAIN)
    assert not (missing.pixels.any() or missing.halves.any() or missing.keypoints.any())


def test_frames_end_on_one_side(draws: Draws) -> None:
    config = dataclasses.replace(PLAIN, truncation_probability=1.0)
    frames = random_frames(draws, 200, config)[:, :, 32:224]
    lines = [frames.any(2), frames.any(1)]  # rows and columns with anything in them
    height, width = (line.sum(1) for line in lines)
    assert (frames.sum((1, 2)) == height * width).all()  # still rectangles
    assert ((height == 256) | (width == 192)).all()
    assert height.min() >= 256 * 0.55 - 1 and width.min() >= 192 - 256 * 0.35 + 31
    from_below = (height < 256) & frames[:, 0].any(1)
    assert 0.4 < from_below.float().mean() < 0.7


def test_objects_are_one_or_two_ellipses_or_boxes(draws: Draws) -> None:
    covered = random_objects(draws, 150, dataclasses.replace(PLAIN, occluder_probability=0.5))
    area = covered.sum((1, 2))
    assert 0.4 < (area > 0).float().mean() < 0.6
    # Half axes of 0.04 to 0.18 of the side; a box is 4 / pi times the ellipse.
    assert area[area > 0].min() > 3.1 * (0.04 * 256) ** 2
    assert area.max() < 2 * 4 * (0.18 * 256) ** 2 * 1.02
    middle = area[area > 0].float().mean() / 256**2
    assert 0.04 < middle < 0.09  # 1.5 objects of 3.57 * 0.11^2 each, some overlapping


@pytest.mark.parametrize(
    ("lost", "limits"),
    [("bottom", (0.3, 0.7)), ("top", (0.3, 0.7)), ("side", (0.5 - 1 / 30, 0.5 + 1 / 30))],
)
def test_halves_are_lost_on_their_side(
    draws: Draws, lost: str, limits: tuple[float, float]
) -> None:
    halves = random_halves(draws, 100, HalvesConfig(**{lost: 1.0}))
    along = halves.all(1) if lost == "side" else halves.all(2)
    assert (halves.sum((1, 2)) == 256 * along.sum(1)).all()  # whole rows or columns
    share = along.float().mean(1)
    assert share.min() > limits[0] - 0.01 and share.max() < limits[1] + 0.01
    first, last = along[:, 0], along[:, -1]
    expected: Tensor = {"bottom": last & ~first, "top": first & ~last, "side": first ^ last}[lost]
    assert expected.all()
    if lost == "side":
        assert 0.3 < first.float().mean() < 0.7


def test_missing_parts_take_their_pixels_and_half_of_their_keypoints(draws: Draws) -> None:
    probabilities = [0.0] * 24
    probabilities[2] = 1.0  # part 3, the right hand
    config = dataclasses.replace(PLAIN, missing_parts=tuple(probabilities))
    num = 60
    part = (torch.arange(num * 65536) % 25).clamp(min=1)
    missing = missing_person(draws, every_pixel(num), part, num, config)
    assert torch.equal(missing.pixels, part == 3)
    share = missing.keypoints.float().mean(0)
    assert 0.3 < share[10] < 0.7  # the right wrist
    assert share.sum() == share[10]


def test_a_missing_box_leaves_the_keypoints(draws: Draws) -> None:
    config = dataclasses.replace(PLAIN, missing_box=1.0)
    missing = missing_person(draws, every_pixel(20), torch.ones(20 * 65536).long(), 20, config)
    boxes = missing.pixels.view(20, 256, 256)
    assert (boxes.sum((1, 2)) - 48**2).abs().max() <= 48
    rows = boxes.any(2).float()
    centre = (rows * torch.arange(256)).sum(1) / rows.sum(1)
    assert (centre - 128).abs().max() <= 0.15 * 256 + 1
    assert not missing.keypoints.any() and not missing.halves.any()


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ValueError, match="24 probabilities, got 3"):
        SynthesisConfig(missing_parts=(0.1, 0.1, 0.1))
    with pytest.raises(ValueError, match="hidden_rule"):
        SynthesisConfig(hidden_rule="guess")
