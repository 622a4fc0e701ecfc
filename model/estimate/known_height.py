"""A shape's distribution given the person's height."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from hierprob3d.model.body.measurements import BodyMeasurer

_NUM_STEPS = 4
"""The height is nearly linear in the betas: after these it is met to a tenth of a millimetre."""


def shape_of_height(
    mean: Float[Tensor, "B 10"],
    std: Float[Tensor, "B 10"],
    heights: Float[Tensor, " B"],
    measurer: BodyMeasurer,
) -> tuple[Float[Tensor, "B 10"], Float[Tensor, "B 10"]]:
    """The most probable shape of a height, and what is left of each coefficient's deviation.

    The mean is the point of largest density among shapes of that height. The deviations are those
    of single coefficients under the condition; that these then hang together is not kept, so that
    drawn shapes still differ somewhat in height.

    Args:
        mean: (B, 10) means of the betas.
        std: (B, 10) their standard deviations, independent of each other.
        heights: (B,) metres.
        measurer: Of the body model.

    Returns:
        Mean (B, 10) and standard deviation (B, 10).
    """
    betas, variance = mean, std.square()
    for _ in range(_NUM_STEPS):
        height, slope = measurer.height_and_slope(betas)
        weight = (variance * slope.square()).sum(-1)
        missing = heights - height + (slope * (betas - mean)).sum(-1)
        betas = mean + variance * slope * (missing / weight)[:, None]
    left = 1 - variance * slope.square() / weight[:, None]
    return betas, std * left.clamp(min=0).sqrt()
