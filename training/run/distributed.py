"""One training over several processes, as `torchrun` starts them: who does what, and agreement.

Every process holds the same network and has the same people; it draws the same noise for the whole
batch from generators seeded with the step, and then takes its own part. A part's loss is its share
of the whole batch's, so gradients are summed, not averaged: a mean over visible keypoints stays the
mean over those of the whole batch, however they are spread over the parts. BatchNorm normalises
each part by itself (plain, not synchronised); its running statistics are averaged after every step.
So all processes hold the same state all the time, and one of them can write it.

All processes must see the same run folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from hierprob3d.model.network.device import resolve_device

_PATIENCE = timedelta(hours=3)
"""How long processes wait for one that renders or validates."""


@dataclass(frozen=True)
class Ranks:
    """This process among those of the run; the defaults are a process alone."""

    rank: int = 0
    """Number of this process, 0 for the one that validates, logs and saves."""
    size: int = 1
    """How many processes there are."""

    @property
    def is_first(self) -> bool:
        """Whether this process validates, logs and saves."""
        return self.rank == 0

    def sum_(self, tensors: Iterable[Tensor]) -> None:
        """Replaces tensors by their sums over all processes."""
        self._combine(list(tensors), divisor=1)

    def average_(self, tensors: Iterable[Tensor]) -> None:
        """Replaces tensors by their means over all processes."""
        self._combine(list(tensors), divisor=self.size)

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """The tensors of all processes, of one shape, in the order of their ranks."""
        if self.size == 1:
            return [tensor]
        raw = tensor.contiguous().view(torch.uint8)  # gloo gathers no bool
        gathered = [torch.empty_like(raw) for _ in range(self.size)]
        dist.all_gather(gathered, raw)
        return [one.view(tensor.dtype) for one in gathered]

    def any(self, flag: bool) -> bool:
        """Whether any process says yes; the same answer everywhere."""
        if self.size == 1:
            return flag
        answer = torch.tensor(int(flag))
        dist.all_reduce(answer, dist.ReduceOp.MAX)
        return bool(answer)

    def wait(self) -> None:
        """Returns when all processes have come here."""
        self.any(False)

    def _combine(self, tensors: list[Tensor], divisor: int) -> None:
        if self.size == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, part in zip(tensors, (flat / divisor).split(sizes), strict=True):
            tensor.copy_(part.view_as(tensor))


def is_first_rank() -> bool:
    """Whether this process is the first that `torchrun` started, or alone."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """This process among those that `torchrun` started, or alone without it.

    Tensors on a CPU travel through gloo, those on a GPU through NCCL.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Ranks()
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield Ranks(dist.get_rank(), size)
    finally:
        dist.destroy_process_group()


def training_device(name: str) -> torch.device:
    """Device of this process; each process of a machine has a GPU of its own.

    Args:
        name: auto (cuda where there is one), cpu, cuda, or cuda:N for a process alone.

    Raises:
        ValueError: there is no such GPU, or none for this process.
    """
    number = int(os.environ.get("LOCAL_RANK", "0"))
    device = resolve_device(name)
    if device.type == "cpu":
        return device
    if device.index is not None and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError(f"device {name!r} is one GPU for several processes: choose cuda")
    if number >= torch.cuda.device_count():
        raise ValueError(
            f"device {name!r}: process {number} of this machine finds "
            f"{torch.cuda.device_count()} GPUs; choose cpu, or cuda with a GPU for each process"
        )
    device = torch.device("cuda", number if device.index is None else device.index)
    torch.cuda.set_device(device)
    return device
