"""Batches of few people filled up, so that nobody's results depend on who else is in the batch."""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor

MIN_ROWS = 4
"""BLAS sums in another order for 1 to 3 rows, and through 23 joints that grows to 5e-4 in F."""


def filled_rows(num: int) -> slice | Int64[Tensor, " R"]:
    """Which rows of a batch of `num` people a network is given: all, the last ones repeatedly.

    Of what comes out the first `num` count.
    """
    if not 0 < num < MIN_ROWS:
        return slice(None)
    return torch.arange(MIN_ROWS).clamp(max=num - 1)
