"""Heights that a list gives: the shape's distribution is made to have them."""

from __future__ import annotations

import torch

from hierprob3d.model.body.measurements import BodyMeasurer
from hierprob3d.model.estimate.known_height import shape_of_height
from hierprob3d.transforms.batch.isolation import Columns, People
from hierprob3d.transforms.inputs.given_people import given_to


def with_given_heights(people: People, columns: Columns, measurer: BodyMeasurer) -> Columns:
    """The network's columns; shapes of people whose height is given are those of that height.

    Args:
        people: Their items say what is given.
        columns: With shape_mean and shape_std.
        measurer: Of the body model.
    """
    pairs = zip(people.items, people.person_indices, strict=True)
    given = [given_to(item.given, index) for item, index in pairs]
    heights = {place: g.height_m for place, g in enumerate(given) if g and g.height_m is not None}
    if not heights:
        return columns
    places = torch.tensor(list(heights), device=columns["shape_mean"].device)
    mean, std = columns["shape_mean"].clone(), columns["shape_std"].clone()
    wanted = torch.tensor(list(heights.values())).to(mean)
    mean[places], std[places] = shape_of_height(mean[places], std[places], wanted, measurer)
    return columns | {"shape_mean": mean, "shape_std": std}
