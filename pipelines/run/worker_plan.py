"""How many processes and threads a run gets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hierprob3d.pipelines.command.beam_options import (
    is_local_runner,
    option_value,
    pipeline_flags,
    runner_name,
)
from hierprob3d.transforms.batch.memory import memory_bytes

from .resource_hints import with_hints

IN_MEMORY = "in_memory"
MULTI_PROCESSING = "multi_processing"
MODE = "--direct_running_mode"
NUM_WORKERS = "--direct_num_workers"

_MIN_ITEMS_FOR_PROCESSES = 24
"""Starting a worker costs 6 to 11 s of imports and loading, in which about this many are done."""

_GIB_PER_WORKER = 3.0
"""Python with its libraries and models 1.1 GiB; a batch of pictures with its proxies and the
meshes of all samples of a batch of people about as much again; the rest is for allocators that
hand nothing back. A larger --batch-size, --num-samples or picture needs more."""

_ENGINES_WORKERS = ("--parallelism", "--num_workers", "--max_num_workers")
"""Options of Flink and of Dataflow."""

_UNKNOWN_WORKERS = 8
"""Where an engine decides: several shards for each of so many, which one worker does no slower."""

_GPU = "type:nvidia-tesla-t4;count:1;install-nvidia-driver"
"""What Dataflow is asked for where the user's --resource_hint says nothing else."""

_MAX_WORKERS_PER_GPU = 4
_MAX_THREADS = 4


@dataclass(frozen=True)
class WorkerPlan:
    """Processes and threads of a run."""

    flags: tuple[str, ...]
    """Beam options: the user's, and those that follow from this plan."""

    num_workers: int = 1
    """Processes that annotate; 1 where another engine decides."""

    num_threads: int = 1
    """Threads of torch and OpenCV in each.

    One in each of several processes: threads of several processes hinder each other, and two
    threads cost twice the time of one for little gain."""

    starts_processes: bool = False
    """Whether worker processes of this machine are started."""

    is_local: bool = True
    """Whether all processes are on this machine."""

    num_sharing: int = 1
    """Processes that shards are cut for; more than `num_workers` where these are not known."""

    needs_beam: bool = True
    """False: one process, and no option of Beam's says how it is to work."""

    @property
    def may_exit(self) -> bool:
        """Whether processes that annotate may end without the run."""
        return self.starts_processes or not self.is_local

    def for_device(self, device: str) -> WorkerPlan:
        """The same, on another engine with a GPU for each worker if that is the device."""
        if self.is_local or not device.startswith("cuda"):
            return self
        return replace(self, flags=with_hints(self.flags, {"accelerator": _GPU}))


def plan_workers(beam_words: Sequence[str], num_items: int, on_gpu: bool) -> WorkerPlan:
    """Processes for a run; what the user's Beam options say is kept.

    Args:
        beam_words: The user's Beam options.
        num_items: Items to annotate; a few are done sooner without starting processes.
        on_gpu: Whether the networks compute on a GPU, which processes share.

    Raises:
        UsageError: A runner that cannot be used.
    """
    flags = pipeline_flags(beam_words)
    if not is_local_runner(runner_name(beam_words)):
        hinted = with_hints(flags, {"min_ram": f"{_GIB_PER_WORKER:g}GiB"})
        return WorkerPlan(hinted, is_local=False, num_sharing=_engine_workers(beam_words))
    asked_mode = option_value(beam_words, MODE)
    asked_workers = option_value(beam_words, NUM_WORKERS)
    num_workers = int(asked_workers or 0) or default_workers(num_cores(), on_gpu)
    many = num_items >= _MIN_ITEMS_FOR_PROCESSES or asked_workers is not None
    mode = asked_mode or (MULTI_PROCESSING if many and num_workers > 1 else IN_MEMORY)
    if mode == IN_MEMORY:
        num_workers = 1
    return WorkerPlan(
        flags=(
            *_without(flags, MODE, NUM_WORKERS),
            f"{MODE}={mode}",
            f"{NUM_WORKERS}={num_workers}",
        ),
        num_workers=num_workers,
        num_sharing=num_workers,
        num_threads=max(1, min(_MAX_THREADS, num_cores() // 2)) if num_workers == 1 else 1,
        starts_processes=mode == MULTI_PROCESSING,
        needs_beam=bool(beam_words) or mode != IN_MEMORY,
    )


def one_process(plan: WorkerPlan) -> WorkerPlan:
    """As the plan, with one worker process, which may die; other engines keep theirs."""
    if not plan.is_local:
        return plan
    flags = (*_without(plan.flags, MODE, NUM_WORKERS), f"{MODE}={MULTI_PROCESSING}",
             f"{NUM_WORKERS}=1")  # fmt: skip
    return replace(plan, flags=flags, num_workers=1, starts_processes=True, needs_beam=True)


def _engine_workers(beam_words: Sequence[str]) -> int:
    """Processes that another engine may have, as far as its options say."""
    values = [option_value(beam_words, name) for name in _ENGINES_WORKERS]
    return max([_UNKNOWN_WORKERS, *(int(value) for value in values if value and value.isdecimal())])


def default_workers(cores: int, on_gpu: bool) -> int:
    """Processes that cores, memory and GPU allow."""
    by_memory = int(memory_bytes() / 2**30 // _GIB_PER_WORKER)
    limit = _MAX_WORKERS_PER_GPU if on_gpu else cores
    return max(1, min(cores, by_memory, limit))


def num_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _without(flags: Sequence[str], *names: str) -> list[str]:
    """The options without those named, in either form, and without their values."""
    kept: list[str] = []
    words = iter(flags)
    for word in words:
        if word in names:
            next(words, None)
        elif word.split("=", 1)[0] not in names:
            kept.append(word)
    return kept
