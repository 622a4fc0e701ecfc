"""`hierprob3d slurm`: a command as a chain of Slurm jobs, written down and submitted."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys

from hierprob3d.configs.parts import SlurmConfig
from hierprob3d.pipelines.command.usage import EXIT_DONE, UsageError
from hierprob3d.transforms.store.output_folder import OutputFolder

from .array_limits import LOGS_FOLDER, SCRIPTS_FOLDER, arrays_for, note_arrays
from .parted_jobs import check_named, output_of, read_command
from .plan_parts import same_open_plan
from .slurm_scripts import (
    MIN_SECONDS,
    SECONDS_TO_STOP,
    Chain,
    scripts,
    submission_text,
    submissions,
    time_limit,
)

_USUAL_ARRAY_SIZE = 1001
"""Slurm's default of MaxArraySize."""


def run(config: SlurmConfig, words: list[str]) -> int:
    """Writes the scripts and submits them; the exit code.

    Args:
        config: How many parts, and what Slurm is told.
        words: The command with its options.

    Raises:
        UsageError: Bad usage, as of the command itself; another plan is in the folder; or sbatch is
            missing or refuses.
        OSError: An input is not there, or the folder cannot be written to.
    """
    _, told, _ = read_command("slurm", words)
    store = OutputFolder(output_of(told))
    if not store.is_local:
        raise UsageError(
            f"Slurm's scripts and logs need a folder that all nodes share, {store.root} is none: "
            "give such an --output, or submit hierprob3d plan, work and finish yourself."
        )
    if same_open_plan(store, config.parts, words) is None:  # the scripts of another stay
        check_named(told)
    chain = _chain(config, words, store)
    store.try_writing()
    os.makedirs(f"{store.root}/{LOGS_FOLDER}", exist_ok=True)
    for name, text in scripts(chain).items():
        store.write(f"{SCRIPTS_FOLDER}/{name}", text.encode("utf-8", errors="surrogateescape"))
    if config.print:
        note_arrays(store, list(chain.arrays))
        print(submission_text(chain))
        return EXIT_DONE
    ids = _submit(chain)
    note_arrays(store, list(chain.arrays))
    for name, number in ids.items():
        print(f"{name} {number}")
    print(
        f"hierprob3d inspect {store.root} shows how far it is; what the jobs say is in "
        f"{store.root}/{LOGS_FOLDER}/",
        file=sys.stderr,
    )
    return EXIT_DONE


def _chain(config: SlurmConfig, words: list[str], store: OutputFolder) -> Chain:
    if config.setup is not None and not os.path.isfile(config.setup):
        raise UsageError(f"--setup {config.setup}: there is no such file.")
    try:
        sbatch = tuple(shlex.split(config.sbatch or ""))
    except ValueError as error:
        raise UsageError(f"--sbatch {config.sbatch!r}: {error}.") from error
    if any(word.startswith(("--array", "-a")) for word in sbatch):
        raise UsageError("--sbatch takes no --array: --parts and --at-once say what it is.")
    limit = time_limit(sbatch)
    if limit is not None and limit < MIN_SECONDS:
        raise UsageError(
            f"--sbatch {config.sbatch!r}: parts are told to stop {SECONDS_TO_STOP} s before their "
            f"time limit, so give them at least {MIN_SECONDS // 60} minutes; hours are better."
        )
    arrays = arrays_for(config.parts, max_array_size(), config.at_once)
    return Chain(
        output=store.root,
        num_parts=config.parts,
        command=tuple(words),
        program=(sys.executable, "-m", "hierprob3d"),
        arrays=tuple(arrays),
        sbatch=sbatch,
        setup=None if config.setup is None else os.path.abspath(config.setup),
        folder=os.getcwd(),
    )


def max_array_size() -> int:
    """Slurm's MaxArraySize; its usual value where Slurm does not answer."""
    try:
        shown = subprocess.run(["scontrol", "show", "config"], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return _USUAL_ARRAY_SIZE
    match = re.search(rb"^MaxArraySize\s*=\s*(\d+)", shown.stdout, re.MULTILINE)
    return int(match[1]) if match else _USUAL_ARRAY_SIZE


def _submit(chain: Chain) -> dict[str, str]:
    """Numbers of the jobs by name; of a chain that is refused midway none stays.

    Raises:
        UsageError: sbatch is not here, or refuses; with what it said.
    """
    ids = dict[str, str]()
    for name in submissions(chain, {}):
        try:
            ids[name] = _sbatch(submissions(chain, ids)[name])
        except UsageError:
            if ids:
                subprocess.run(["scancel", *ids.values()], check=False)
                print(f"cancelled {', '.join(ids.values())}", file=sys.stderr)
            raise
    return ids


def _sbatch(words: list[str]) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise UsageError(
            "there is no sbatch on this machine: submit from a login node of the cluster, or add "
            "--print and submit what it prints."
        ) from error
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise UsageError(f"sbatch refused {words[-1]}: {said}")
    return done.stdout.strip().split(";")[0]
