"""People of whom only keypoints are given: new poses at a small part of the price of a picture.

A picture with edges takes far longer to make than the network takes to learn from it, so rendered
pictures must be seen many times. What a pose looks like in keypoints can be learnt from these.
"""

from __future__ import annotations

import torch

from hierprob3d.model.picture.proxy import PROXY_SIZE
from hierprob3d.training.look.occlusion import (
    missing_keypoints,
    random_halves,
    random_objects,
)
from hierprob3d.training.random.draws import Draws

from .posed_people import PosedPeopleSampler, at_keypoints
from .rendered_people import RenderedSet

_CHUNK = 64
"""People made at once where they are many: more are no faster on a CPU."""

_MASK_SIZE = 64
"""Pixels a side of the masks that keypoints are looked up in: enough for the depth of a body."""


class BarePeople:
    """Source of endless people without pictures.

    Args:
        people: where bodies and cameras come from.
    """

    def __init__(self, people: PosedPeopleSampler) -> None:
        self._people, self._config = people, people.config
        counts_pixels = self._config.hidden_rule == "parts"
        self._size = PROXY_SIZE if counts_pixels else _MASK_SIZE

    def added_to(self, people: RenderedSet, generator: torch.Generator, num: int) -> RenderedSet:
        """Rendered people and `num` bare ones, mixed, so that parts of a batch are alike.

        Args:
            people: on the device of the generator.
            generator: decides the bare people and the order.
            num: bare people.
        """
        # The order first: how many numbers the people draw may hang on a rounding error, and
        # all processes of a run must agree on who is where.
        order = torch.randperm(len(people) + num, generator=generator, device=generator.device)
        bare = self.sample(generator, num, people.edges.shape[-1])
        return RenderedSet.joined([people, bare])[order]

    def many(self, generator: torch.Generator, num: int) -> RenderedSet:
        """`num` people made some at a time; their edges are one empty pixel."""
        return RenderedSet.made(lambda size: self.sample(generator, size, 1), num, _CHUNK)

    @torch.no_grad()
    def sample(self, generator: torch.Generator, num: int, edges_size: int) -> RenderedSet:
        """`num` people whose edges (num, edges_size, edges_size) are empty.

        Args:
            generator: on the device of the body; the same state gives the same people.
            num: people, all made at once.
            edges_size: pixels a side of the empty edges.
        """
        draws, config, size = Draws(generator), self._config, self._size
        people = self._people.sample(draws, num)
        keypoints = people.framed.keypoints
        outside = ~at_keypoints(self._people.frames(draws, people, size), keypoints)
        hidden = self._people.hidden_by_body(self._people.rasterized(people, size), people)
        hidden |= missing_keypoints(draws, num, config)
        hidden |= at_keypoints(random_halves(draws, num, config.missing_halves, size), keypoints)
        hidden |= at_keypoints(random_objects(draws, num, config, size), keypoints)
        return RenderedSet(
            edges=torch.zeros(num, edges_size, edges_size, dtype=torch.uint8, device=draws.device),
            joints2d=keypoints[..., :2],
            outside=outside,
            hidden=hidden & ~outside,
            rotvecs=people.rotvecs,
            betas=people.betas,
        )
