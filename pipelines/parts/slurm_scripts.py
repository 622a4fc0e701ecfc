"""The three scripts of a chain of Slurm jobs, to be read, edited and submitted by hand."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .array_limits import LOGS_FOLDER, SCRIPTS_FOLDER, SlurmArray

SECONDS_TO_STOP = 180
"""From Slurm's warning to the time limit."""

MIN_SECONDS = 300
"""Of a time limit: of less, hardly anything is left before the warning."""

MAX_RESTARTS = 100
MEMORY_OF_OTHERS = "3G"
"""For plan and finish, where memory is asked for: of ten million inputs they take 1.3 GB."""

_OF_MEMORY = ("--mem",)
_OF_RESOURCES = (
    *_OF_MEMORY, "--cpus-per", "-c", "--gres", "--gpu", "-G", "--tres-", "--ntasks", "-n",
    "--nodes", "-N", "--mincpus", "--cores-per-socket", "--sockets-per-node", "--threads-per-core",
    "--extra-node-info", "-B", "--hint", "--exclusive", "--oversubscribe", "-s", "--tmp",
    "--constraint", "-C", "--prefer", "--nodelist", "-w", "--licenses", "-L",
)  # fmt: skip
"""Beginnings of sbatch's options that ask for what a part computes with, and on which machines."""


@dataclass(frozen=True, kw_only=True)
class Chain:
    """What the scripts are made of."""

    output: str
    """The output folder, absolute."""

    num_parts: int
    command: tuple[str, ...]
    """The command that is divided, with its options."""

    program: tuple[str, ...]
    """What starts `hierprob3d` on every machine."""

    arrays: tuple[SlurmArray, ...]
    sbatch: tuple[str, ...] = ()
    """Options of the user's for sbatch."""

    setup: str | None = None
    """File of shell commands, absolute."""

    folder: str = "."
    """Working folder of the jobs."""


def scripts(chain: Chain) -> dict[str, str]:
    """Text of the scripts by name: plan.sh, work.sh, finish.sh."""
    return {"plan.sh": _plan(chain), "work.sh": _work(chain), "finish.sh": _finish(chain)}


def submissions(chain: Chain, ids: Mapping[str, str]) -> dict[str, list[str]]:
    """Sbatch's command line for each job of the chain by name, in their order.

    Args:
        chain: The chain.
        ids: Names of jobs to what stands for their numbers, once they are known.
    """
    folder = f"{chain.output}/{SCRIPTS_FOLDER}"
    lines = {"plan": ["sbatch", "--parsable", f"{folder}/plan.sh"]}
    names = []
    for number, array in enumerate(chain.arrays):
        name = "work" if len(chain.arrays) == 1 else f"work{number + 1}"
        names.append(name)
        lines[name] = [
            "sbatch", "--parsable", f"--dependency=afterok:{ids.get('plan', '$plan')}",
            "--kill-on-invalid-dep=yes", f"--array={array.spec}", f"{folder}/work.sh",
            *([str(array.offset)] if array.offset else []),
        ]  # fmt: skip
    after = ":".join(ids.get(name, f"${name}") for name in names)
    lines["finish"] = [
        "sbatch", "--parsable", f"--dependency=afterany:{after}", f"{folder}/finish.sh"
    ]  # fmt: skip
    return lines


def submission_text(chain: Chain) -> str:
    """The same as lines for a shell."""
    lines = submissions(chain, {})
    return "\n".join(
        f"{name}=$({_shell(words)})" if name != "finish" else _shell(words)
        for name, words in lines.items()
    )


def without_resources(options: Sequence[str]) -> list[str]:
    """Options of sbatch without what only parts need; with some memory where these ask for it."""
    groups = _grouped(options)
    kept = [word for group in groups if not _is_of(group, _OF_RESOURCES) for word in group]
    asks_for_memory = any(_is_of(group, _OF_MEMORY) for group in groups)
    return [*kept, *([f"--mem={MEMORY_OF_OTHERS}"] if asks_for_memory else [])]


def _is_of(option: Sequence[str], beginnings: tuple[str, ...]) -> bool:
    """Whether an option is one of these; of short ones the value may follow at once."""
    return option[0].startswith(beginnings)


def time_limit(options: Sequence[str]) -> int | None:
    """Seconds that sbatch's options allow; None where they set no limit that can be read."""
    for name, *value in reversed(_grouped(options)):  # of several the last counts
        if name.startswith("--time="):
            return _seconds(name.partition("=")[2])
        if name in ("--time", "-t"):
            return _seconds(" ".join(value))
        if name.startswith("-t"):
            return _seconds(name[2:])
    return None


def _seconds(text: str) -> int | None:
    """Of minutes, minutes:seconds, hours:minutes:seconds or days-hours:minutes:seconds; 0: none."""
    days, dash, rest = text.rpartition("-")
    fields = rest.split(":")
    if not all(field.isdecimal() for field in [*fields, *([days] if dash else [])]):
        return None
    units = (3600, 60, 1) if dash or len(fields) == 3 else (60, 1)
    seconds = sum(int(f) * unit for f, unit in zip(fields, units, strict=False))
    return int(days or 0) * 86400 + seconds or None


def _grouped(options: Sequence[str]) -> list[list[str]]:
    """Each option with its value, where that is a word of its own."""
    groups = list[list[str]]()
    for word in options:
        if groups and not word.startswith("-"):
            groups[-1].append(word)
        else:
            groups.append([word])
    return groups


def _plan(chain: Chain) -> str:
    words = [*chain.program, "plan", "--parts", str(chain.num_parts), "--", *chain.command]
    return _script(
        chain, "plan", "Lists what is to be done and divides it into parts.",
        without_resources(chain.sbatch), [], f"exec {_shell(words)}\n",
    )  # fmt: skip


def _finish(chain: Chain) -> str:
    words = [*chain.program, "finish", chain.output]
    return _script(
        chain, "finish", "Joins what the parts have done, or says which are missing.",
        without_resources(chain.sbatch), [], f"exec {_shell(words)}\n",
    )  # fmt: skip


def _work(chain: Chain) -> str:
    words = [*chain.program, "work", chain.output, "--part", "auto", "--part-offset"]
    body = f"""\
# $1 is added to the number of the task, where one array cannot hold all parts.
{_shell(words)} "${{1:-0}}" &
work=$!
trap 'kill -TERM "$work"' TERM  # {SECONDS_TO_STOP} s before the time limit: what is whole is kept
while kill -0 "$work" 2> /dev/null; do wait "$work"; done  # the trap cuts a wait short
wait "$work"
code=$?

# 75: stopped, go on later. Not where the job was cancelled: then its state is no longer RUNNING.
job="${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
state=$(squeue --noheader --job "$job" --format %T)
if [ "$code" = 75 ] && [ "$state" = RUNNING ] &&
    [ "${{SLURM_RESTART_COUNT:-0}}" -lt {MAX_RESTARTS} ]; then
    scontrol requeue "$job"
fi
exit "$code"
"""
    head = [
        f"--array={chain.arrays[0].spec}",
        f"--signal=B:TERM@{SECONDS_TO_STOP}",
        "--requeue",
        "--open-mode=append",
    ]
    return _script(chain, "work", "Does one part of the plan.", chain.sbatch, head, body)


def _script(
    chain: Chain, name: str, what: str, options: Sequence[str], head: Sequence[str], body: str
) -> str:
    """A whole script.

    Args:
        chain: The chain.
        name: Of the job.
        what: It does, in words.
        options: Of the user's, for sbatch; they win over ours.
        head: Our own for this job.
        body: What follows the environment.
    """
    log = "%x-%A_%a.log" if name == "work" else "%x-%j.log"
    ours = [
        f"--job-name=hierprob3d-{name}",
        f"--output={chain.output}/{LOGS_FOLDER}/{log}",
        f"--chdir={chain.folder}",
        *head,
    ]
    lines = ["#!/bin/bash", f"# {what}"]
    lines += [f"#SBATCH {_quoted(word)}" for word in ours]
    lines += [f"#SBATCH {' '.join(map(_quoted, option))}" for option in _grouped(options)]
    if chain.setup is not None:
        lines += ["", f"source {shlex.quote(chain.setup)}"]
    return "\n".join([*lines, "", body])


def _quoted(word: str) -> str:
    """As sbatch reads words of #SBATCH lines."""
    return f'"{word}"' if any(letter.isspace() for letter in word) else word


def _shell(words: Sequence[str]) -> str:
    """A line for a shell; names that stand for job numbers are left open."""
    return " ".join(
        word if word.startswith("--dependency=") else shlex.quote(os.fspath(word)) for word in words
    )
