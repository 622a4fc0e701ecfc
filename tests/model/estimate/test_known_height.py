"""Shapes of a known height."""

from __future__ import annotations

import torch

from hierprob3d.model.body.measurements import BodyMeasurer
from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.estimate.known_height import shape_of_height


def test_the_shape_has_the_height_and_is_the_most_probable_one() -> None:
    measurer = BodyMeasurer(load_body("open"))
    mean, std = torch.randn(3, 10) * 0.5, torch.rand(3, 10) + 0.2
    heights = torch.tensor([1.5, 1.75, 1.95])
    found, left = shape_of_height(mean, std, heights, measurer)
    reached, slope = measurer.height_and_slope(found)
    torch.testing.assert_close(reached, heights, atol=1e-4, rtol=0)
    assert bool((left < std).all()) and bool((left >= 0).all())
    # Along the height's contour the density's logarithm is flat: its gradient is parallel to slope.
    gradient = (found - mean) / std.square()
    cosine = torch.cosine_similarity(gradient, slope)
    torch.testing.assert_close(cosine.abs(), torch.ones(3), atol=1e-3, rtol=0)


def test_a_height_that_fits_changes_no_mean() -> None:
    measurer = BodyMeasurer(load_body("open"))
    mean, std = torch.zeros(1, 10), torch.ones(1, 10)
    height, _ = measurer.height_and_slope(mean)
    found, _ = shape_of_height(mean, std, height, measurer)
    torch.testing.assert_close(found, mean, atol=1e-4, rtol=0)
