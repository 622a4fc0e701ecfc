"""Work on a device batch by batch: how pictures get there, and what happens where memory ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from jaxtyping import Shaped
from torch import Tensor

Result = TypeVar("Result")


def on_device(
    values: Shaped[Tensor, "*shape"],
    device: torch.device,
    layout: torch.memory_format | None = None,
) -> Shaped[Tensor, "*shape"]:
    """The values on a device; on their way to a GPU they let this thread go on at once.

    Args:
        values: on the CPU, or there already.
        device: where they are to be.
        layout: of their memory, such as `torch.channels_last`; None: as it is.
    """
    if layout is not None:
        values = values.contiguous(memory_format=layout)
    if device.type == "cuda" and not values.is_cuda:
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def in_batches(
    run: Callable[..., Result], inputs: tuple[Tensor, ...], batch_size: int
) -> list[Result]:
    """What `run` gives for parts of the inputs one after the other, all cut alike.

    Where the memory of a GPU does not suffice, parts are halved from there on.

    Args:
        run: takes a part of each of the inputs.
        inputs: with the same number of rows.
        batch_size: most rows of a part.

    Raises:
        torch.OutOfMemoryError: one row alone does not fit.
    """
    found: list[Result] = []
    start, num_rows = 0, len(inputs[0])
    while start < num_rows:
        parts = [values[start : start + batch_size] for values in inputs]
        try:
            found.append(run(*parts))
        except torch.OutOfMemoryError:
            if len(parts[0]) == 1:
                raise
            batch_size = (len(parts[0]) + 1) // 2
            torch.cuda.empty_cache()  # what the failed attempt held is there for the next one
        else:
            start += len(parts[0])
    return found
