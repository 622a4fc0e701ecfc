"""Lengths across bodies, read off silhouettes that are known."""

from __future__ import annotations

import torch
from torch import Tensor

from hierprob3d.model.body.skeleton import COCO_FLIP
from hierprob3d.model.people.body_widths import (
    NUM_PLACES,
    NUM_WIDTHS,
    body_widths,
    mirrored_widths,
    person_scale,
)


def upright() -> Tensor:
    """(1, 17, 3) somebody upright, arms straight down, the picture 128 px a side."""
    x = [64, 62, 66, 60, 68, 76, 52, 84, 44, 88, 40, 72, 56, 73, 55, 74, 54]
    y = [20, 18, 18, 19, 19, 34, 34, 50, 50, 66, 66, 68, 68, 92, 92, 114, 114]
    return torch.tensor([[*map(float, place), 0.9] for place in zip(x, y, strict=True)])[None]


def test_a_bar_is_as_wide_as_it_is_whatever_the_scale() -> None:
    keypoints = upright()
    _, size = person_scale(keypoints)
    silhouette = torch.zeros(1, 128, 128)
    silhouette[:, 30:80, 54:70] = 1  # from 10 px left of the trunk's line to 6 px right of it
    widths = body_widths(silhouette, keypoints)
    assert widths.shape == (1, NUM_WIDTHS)
    waist = widths[0, : 2 * NUM_PLACES].view(-1, 2)[3] * size[0]
    torch.testing.assert_close(waist, torch.tensor([[10.0, 6.0]]), atol=0.3, rtol=0)
    twice = silhouette.repeat_interleave(2, 1).repeat_interleave(2, 2)
    scaled = keypoints * torch.tensor([2.0, 2.0, 1.0])
    torch.testing.assert_close(body_widths(twice, scaled), widths, atol=0.01, rtol=0)


def test_places_off_the_silhouette_have_no_width_and_those_outside_are_not_seen() -> None:
    widths = body_widths(torch.zeros(1, 64, 128), upright())[0]
    assert (widths[: 2 * NUM_PLACES] == 0).all() and widths[-1] == 0
    seen = widths[2 * NUM_PLACES : 3 * NUM_PLACES]
    assert (seen[:5] > 0.8).all() and (seen[-4:] == 0).all()  # shins lie below the picture


def test_the_mirror_image_has_mirrored_widths() -> None:
    generator = torch.Generator().manual_seed(0)
    silhouette = torch.nn.functional.avg_pool2d(torch.rand(1, 130, 130, generator=generator), 3, 1)
    keypoints = upright() + torch.randn(1, 17, 3, generator=generator) * torch.tensor([2, 2, 0.0])
    image = keypoints[:, list(COCO_FLIP)].clone()
    image[..., 0] = 128 - image[..., 0]
    expected = body_widths(silhouette.flip(-1), image)
    found = mirrored_widths(body_widths(silhouette, keypoints))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
