"""The command line in a process of its own: run to its end, or killed with all its workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO = REPOSITORY / "model" / "assets" / "demo"

TIME_LIMIT_S = 900
"""A command that takes longer counts as one that hangs."""

_COMMON = ("--num-samples", "4")


def predict_words(
    inputs: Path | str, output: Path | str, *options: object, module: str = "hierprob3d"
) -> list[str]:
    """The command that annotates the inputs.

    Args:
        inputs: Folder.
        output: Folder of the results.
        options: More words of the command line.
        module: What is started in place of the package.
    """
    words = [inputs, "--output", output, *_COMMON, *options]
    return [sys.executable, "-m", module, "predict", *map(str, words)]


def environment(*folders: Path, **variables: str) -> dict[str, str]:
    """Environment in which python finds this code and what lies in the folders, from anywhere."""
    path = os.pathsep.join(map(str, (REPOSITORY / "src", REPOSITORY, *folders)))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **variables}


def run(
    words: Sequence[str],
    variables: Mapping[str, str] | None = None,
    limit: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end; exit code and what it said.

    Args:
        words: The command.
        variables: Its environment, by default `environment()`.
        limit: Called in the new process, to limit what it and its children may take.

    Raises:
        TimeoutError: It did not end; it was killed with its workers.
    """
    process = start(words, variables, limit)
    try:
        said, errors = process.communicate(timeout=TIME_LIMIT_S)
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"{' '.join(words)} took more than {TIME_LIMIT_S} s") from None
    finally:
        kill_group(process)
    return subprocess.CompletedProcess(list(words), process.returncode, said, errors)


def start(
    words: Sequence[str],
    variables: Mapping[str, str] | None = None,
    limit: Callable[[], None] | None = None,
) -> subprocess.Popen[str]:
    """A command at work, in a process group of its own; what it says is to be read."""
    return subprocess.Popen(
        words,
        env=environment() if variables is None else variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=limit,
    )


def kill_group(process: subprocess.Popen[str]) -> None:
    """Kills the command and all its workers, as a machine that loses its power does."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # all have ended
        pass
    process.communicate()


def misbehaviour(done: subprocess.CompletedProcess[str], code: int = 0) -> list[str]:
    """What is wrong with how a command ended: another exit code, or a traceback."""
    last = (done.stderr.strip().splitlines() or [""])[-1][-300:]
    found = []
    if done.returncode != code:
        found.append(f"ended with exit code {done.returncode}, not {code}: {last}")
    if "Traceback" in done.stderr:
        found.append(f"printed a traceback: {last}")
    return found
