"""Exact draws from matrix-Fisher distributions: batched rejection sampling on quaternions.

If U^T R V is matrix-Fisher with parameter diag(S), its unit quaternion q has the Bingham density
exp(-q^T L q), L = 2 diag(0, s2 + s3, s1 + s3, s1 + s2). Proposals come from the angular central
Gaussian (ACG) with matrix I + 2 L / b: q = y / |y|, y_i = e_i / sqrt(1 + 2 l_i / b), e uniform on
the unit sphere. For every 0 < b <= 4 a multiple M(b) of its density bounds the Bingham density
(Kent, Ganeiber and Mardia, arXiv:1310.8110), and since |e| = 1 their ratio depends on |y| alone:

    Bingham / (M(b) ACG) = (v exp(1 - v))^2,   v = b / (4 |y|^2)

The best b is solved for per distribution. e takes three uniform numbers, acceptance a fourth.
Every draw is a rejection sampler of its own: what is accepted is kept, only draws still missing
are proposed again, for all distributions at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from .random_streams import RandomStreams, uniform_blocks

Uniforms = Callable[[Tensor, int, int], Tensor]
"""(draws (M,), first attempt, number of attempts K) -> (4, K, M) numbers in [0, 1)."""

STREAM = "matrix_fisher"
"""Stream of a person's RandomStreams that the draws use."""

CHUNK_SIZE = 2**15
"""Draws worked on at once; bounds the working memory (some 10 MB) for any number of draws."""

_MIN_PROPOSALS = 8192
"""Few missing draws are tried several times at once to make up this many proposals, as a further
round costs as much as some thousand of them ..."""

_MAX_ATTEMPTS = 16
"""... up to this many times each."""

_NUM_NEWTON_STEPS = 5


class Envelope(NamedTuple):
    """Proposals of D distributions."""

    scales: Float[Tensor, "4 D"]
    """(4, D) y_i / e_i = 1 / sqrt(1 + 2 l_i / b); differentiable in S with b held fixed."""

    b: Float[Tensor, " D"]
    """(D,) the envelope's parameter; carries no gradient."""


def best_envelope(S: Float[Tensor, "D 3"]) -> Envelope:
    """Envelopes with the most acceptances for proper singular values S (D, 3)."""
    s1, s2, s3 = S.T
    diagonal = 2 * torch.stack([torch.zeros_like(s1), s2 + s3, s1 + s3, s1 + s2]).clamp(min=0)
    b = _best_b(diagonal.detach())
    return Envelope(torch.rsqrt(1 + 2 * diagonal / b), b)


def accepted_directions(
    envelope: Envelope, num_draws: int, uniforms: Uniforms
) -> Float[Tensor, "4 {num_draws} D"]:
    """Directions e whose proposals are accepted, (4, num_draws, D) unit vectors.

    Args:
        envelope: proposals of D distributions; where they are NaN directions are uniform.
        num_draws: draws per distribution.
        uniforms: source of random numbers, addressed by draw index * D + distribution.
    """
    _, w1, w2, w3 = envelope.scales.detach().square().nan_to_num(nan=1.0)
    quarter_b = envelope.b.nan_to_num(nan=4.0) / 4
    num_distributions = len(quarter_b)
    draws = torch.arange(num_draws * num_distributions, device=quarter_b.device)
    distributions = draws[:num_distributions].repeat(num_draws)
    numbers = [
        _accepted_numbers((w1, w2, w3, quarter_b), *chunk, uniforms)
        for chunk in zip(draws.split(CHUNK_SIZE), distributions.split(CHUNK_SIZE), strict=True)
    ]
    split, first, second = torch.cat(numbers, dim=1).unflatten(1, (num_draws, num_distributions))
    return _uniform_directions(split, first, second)


def generator_uniforms(
    generator: torch.Generator | None, device: torch.device, dtype: torch.dtype
) -> Uniforms:
    """Numbers drawn one after the other from a torch.Generator (None: torch's default one)."""
    source = device if generator is None else generator.device

    def uniforms(draws: Tensor, first_attempt: int, num_attempts: int) -> Tensor:
        shape = (4, num_attempts, len(draws))
        return torch.rand(shape, generator=generator, dtype=dtype, device=source).to(device)

    return uniforms


def stream_uniforms(streams: RandomStreams, num_joints: int, num_draws: int) -> Uniforms:
    """Numbers of each person's own stream for draws of D = P * num_joints distributions.

    Draws count draw by draw, in each person by person, in each joint by joint.
    """
    shape = (num_draws, streams.num_people, num_joints)
    keys = streams.keys[:, None].expand(shape).reshape(-1)
    blocks = torch.arange(num_draws * num_joints, device=keys.device)
    blocks = blocks.view(num_draws, 1, num_joints).expand(shape).reshape(-1)

    def uniforms(draws: Tensor, first_attempt: int, num_attempts: int) -> Tensor:
        attempts = torch.arange(first_attempt, first_attempt + num_attempts, device=draws.device)
        chosen = keys.index_select(0, draws), blocks.index_select(0, draws)
        return uniform_blocks(*chosen, attempts[:, None], stream=STREAM)

    return uniforms


def _best_b(diagonal: Tensor) -> Tensor:
    """Solution b in [1, 4] of sum_i 1 / (b + 2 l_i) = 1, (D,), for diagonals (4, D), first 0.

    Newton from the left of a convex decreasing function: monotone, so stopping early costs speed
    only, never correctness.
    """
    b, twice = torch.ones_like(diagonal[0]), 2 * diagonal
    for _ in range(_NUM_NEWTON_STEPS):
        terms = (b + twice).reciprocal()
        b = b + (terms.sum(0) - 1) / terms.square().sum(0)
    return b


def _accepted_numbers(
    parameters: Sequence[Tensor],
    draws: Tensor,
    distributions: Tensor,
    uniforms: Uniforms,
) -> Tensor:
    """The three numbers of each draw's first accepted direction, (3, M), for draws (M,)."""
    chosen = [row.index_select(0, distributions) for row in parameters]
    missing, first_attempt = torch.arange(len(draws), device=draws.device), 0
    accepted = parameters[0].new_empty(3, len(draws))
    while num_missing := len(missing):
        num_attempts = min(max(_MIN_PROPOSALS // num_missing, 1), _MAX_ATTEMPTS)
        numbers = uniforms(draws, first_attempt, num_attempts)
        is_accepted = numbers[3] < _acceptance(chosen, numbers)
        # A draw without success is written too: a later round replaces it.
        found = _first_accepted(numbers[:3], is_accepted)
        accepted = accepted.scatter_(1, missing.expand(3, -1), found) if first_attempt else found
        left = (~is_accepted.any(0)).nonzero().squeeze(1)
        missing, draws, *chosen = (row.index_select(0, left) for row in (missing, draws, *chosen))
        first_attempt += num_attempts
    return accepted


def _acceptance(parameters: Sequence[Tensor], numbers: Tensor) -> Tensor:
    """Probabilities (K, M) to accept the proposals made of numbers (>=3, K, M).

    Args:
        parameters: (M,) each: squared scales of y_1, y_2, y_3 (that of y_0 is 1), and b / 4.
        numbers: see _uniform_directions.
    """
    w1, w2, w3, quarter_b = parameters
    square1, square2 = (2 * math.pi * numbers[1:3]).cos_().square_()
    # |y|^2 by interpolation between non-negative terms: no digits lost where scales differ much.
    circle1 = torch.lerp(w1, torch.ones_like(w1), square1)
    circle2 = torch.lerp(w3, w2, square2)
    v = quarter_b / circle2.lerp_(circle1, numbers[0])
    return (1 - v).exp_().mul_(v).square_()


def _first_accepted(numbers: Tensor, is_accepted: Tensor) -> Tensor:
    """Of (3, K, M) numbers, those of the first accepted attempt, (3, M)."""
    if len(is_accepted) == 1:
        return numbers.squeeze(1)
    # argmax gives the first of equals; along the rows of a copy because columns are slow on CPUs.
    first = is_accepted.T.contiguous().byte().argmax(1)
    return numbers.gather(1, first.expand(len(numbers), 1, -1)).squeeze(1)


def _uniform_directions(split: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Uniform points of the unit sphere in 4-space (Shoemake), (4, ...), of uniform numbers."""
    near, far = split.sqrt(), (1 - split).sqrt()
    first, second = 2 * math.pi * first, 2 * math.pi * second
    circles = [near * first.cos(), near * first.sin(), far * second.cos(), far * second.sin()]
    return torch.stack(circles)
