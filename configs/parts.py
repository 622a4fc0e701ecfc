"""What the commands for many machines can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from .checks import check_at_least, check_device
from .option import DEVICE, Option

AUTO = "auto"
_FOLDER = Option(metavar="DIR", positional=True)


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """Plan a command for many machines: hierprob3d plan --parts N -- predict INPUT --output DIR.

    Lists once what is to be done and writes it to DIR/plan/, for `hierprob3d work DIR --part I` on
    any machine that sees DIR. The command after -- is predict, evaluate or preprocess-3dpw with its
    options.
    """

    parts: int
    """Parts that the items are divided into, about equally."""

    def __post_init__(self) -> None:
        check_at_least(self, 1, "--parts")


@dataclass(frozen=True, kw_only=True)
class WorkConfig:
    """Do one part of a plan; the same part started again goes on.

    Everything but what may differ from machine to machine comes from the plan. Ends with exit code
    75 when it is told to stop by SIGTERM: go on later.
    """

    folder: Annotated[str, _FOLDER]
    """Output folder with the plan."""

    part: Annotated[str, Option(metavar="I|auto")]
    """Number of the part, from 0; auto reads SLURM_ARRAY_TASK_ID, AWS_BATCH_JOB_ARRAY_INDEX or
    JOB_COMPLETION_INDEX."""

    part_offset: Annotated[int, Option(metavar="K")] = 0
    """Added to the number of the part, where one array cannot hold all parts."""

    device: Annotated[str | None, DEVICE] = None
    """Where networks compute on this machine; as planned where it is not given."""

    def __post_init__(self) -> None:
        check_at_least(self, 0, "--part-offset")
        if self.device is not None:
            check_device(self.device)


@dataclass(frozen=True, kw_only=True)
class FinishConfig:
    """Write what needs all parts of a plan: counts and timings, metrics, joined labels.

    Says which parts are done, stopped or never started, and how to do those; may be repeated.
    """

    folder: Annotated[str, _FOLDER]
    """Output folder with the plan."""


@dataclass(frozen=True, kw_only=True)
class SlurmConfig:
    """Submit a command to Slurm: hierprob3d slurm --parts N -- predict INPUT --output DIR.

    Writes three scripts to DIR/slurm/ (plan; an array of work; finish) and submits them as a chain.
    They may be edited, and submitted by hand as it prints.
    """

    parts: int
    """Parts that the items are divided into, each a task of a job array."""

    at_once: Annotated[int | None, Option(metavar="N")] = None
    """At most so many parts at the same time; otherwise as many as Slurm gives."""

    sbatch: Annotated[str | None, Option(metavar="OPTIONS")] = None
    """Options of sbatch in one text, such as --sbatch="--gres=gpu:1 --time=4:00:00"; those that ask
    for GPUs, cores, memory or nodes go to the array alone."""

    setup: Annotated[str | None, Option(metavar="FILE")] = None
    """Shell commands that prepare the environment of every job, such as module load."""

    print: bool = False
    """Only write the scripts, and print how they are submitted."""

    def __post_init__(self) -> None:
        check_at_least(self, 1, "--parts", "--at-once")
