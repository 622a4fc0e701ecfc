"""A store that fails one call in twenty, and a disk that is full after three megabytes."""

from __future__ import annotations

import re
import resource
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from hierprob3d.transforms.store.retries import PAUSE_VARIABLE
from tests.flaky_store import LOG_VARIABLE, SHARE_VARIABLE

from .commands import REPOSITORY, environment, misbehaviour, predict_words, run
from .figures import Figure
from .inputs import write_clip, write_pictures
from .results import leftovers, lost_or_doubled, rows_of, statuses

_SHARE = 0.05
_KINDS_OF_CALLS = {"ls", "info", "open", "read", "cat_file", "pipe_file", "makedirs"}
_BYTES_PER_PICTURE = 75_000
"""So that the disk is full before half of the pictures are done."""

_SAVE_MUCH = ("--save", "vertices", "--shard-size", 1, "--direct_running_mode", "in_memory")


def flaky_store(folder: Path, seed: int, num_pictures: int, workers: int) -> Iterator[Figure]:
    """Inputs and results in a store of which one call in twenty fails, of every kind."""
    inputs, output, log = folder / "inputs", folder / "out", folder / "log"
    names = write_pictures(inputs, num_pictures, seed)
    write_clip(inputs)
    _make_known(folder / "site")
    variables = environment(
        REPOSITORY / "tests",
        folder / "site",
        **{PAUSE_VARIABLE: "0.01", LOG_VARIABLE: str(log), SHARE_VARIABLE: str(_SHARE)},
    )
    words = predict_words(
        f"flaky://{inputs}", f"flaky://{output}", "--frame-step", 9, "--shard-size", 1,
        "--direct_num_workers", workers,
    )  # fmt: skip
    problems = misbehaviour(run(words, variables))
    num_items = len(names) + 4
    problems += lost_or_doubled(output, num_items) + leftovers(output)
    failed = Counter(log.read_text().split()) if log.exists() else Counter()
    problems += [f"{name} failed" for name, s in statuses(output).items() if s == "failed"]
    problems += [f"no call of {kind} failed" for kind in sorted(_KINDS_OF_CALLS - failed.keys())]
    outcome = (
        f"one command: {failed.total()} failed calls of {len(failed)} kinds, "
        f"{num_items} items done, 0 lost, 0 twice"
    )
    yield Figure(f"a store that fails {_SHARE:.0%} of all calls", num_items, outcome,
                 tuple(problems))  # fmt: skip


def full_disk(folder: Path, seed: int, num_pictures: int) -> Iterator[Figure]:
    """A disk that fills midway: a clean end with exit code 1; with more space the run goes on."""
    write_pictures(folder / "inputs", num_pictures, seed)
    num_bytes = num_pictures * _BYTES_PER_PICTURE
    if _may_mount():
        first, second = _on_a_small_disk(folder, num_bytes)
        kind = f"a disk of {num_bytes / 1e6:.1f} MB"
    else:
        first, second = _with_small_files(folder)
        kind = "files cut off at 60 kB, as by a full disk"
    problems = misbehaviour(first, code=1) + misbehaviour(second)
    if not re.search(r"The run stopped: .*(No space left|File too large)", first.stderr):
        problems.append(f"the full disk is not named: {first.stderr[-300:]}")
    problems += lost_or_doubled(folder / "out", num_pictures) + leftovers(folder / "out")
    num_rows = rows_of(folder / "out", "people").num_rows
    outcome = f"exit code 1 and one line; with more space complete: {num_rows} people"
    yield Figure(kind, num_pictures, outcome, tuple(problems))


def _make_known(site: Path) -> None:
    """The store's package as an installed one makes itself known to fsspec."""
    installed = site / "flaky_store-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: flaky_store\nVersion: 1\n")
    point = "[fsspec.specs]\nflaky = flaky_store:FlakyFileSystem\n"
    (installed / "entry_points.txt").write_text(point)


_UNSHARE = ("unshare", "--map-root-user", "--mount")


def _may_mount() -> bool:
    """Whether a disk in memory can be made that nobody else sees, and that goes by itself."""
    if not sys.platform.startswith("linux") or shutil.which("unshare") is None:
        return False
    mount = "mount -t tmpfs -o size=1m tmpfs /mnt"
    return subprocess.run([*_UNSHARE, "sh", "-c", mount], capture_output=True).returncode == 0


def _on_a_small_disk(
    folder: Path, num_bytes: int
) -> tuple[subprocess.CompletedProcess[str], subprocess.CompletedProcess[str]]:
    """The command on a disk of that size, then on the same one made larger."""
    disk, copy = folder / "disk", folder / "out"
    disk.mkdir()
    command = shlex.join(predict_words(folder / "inputs", disk / "out", *_SAVE_MUCH))
    place = shlex.quote(str(disk))
    script = (
        f"mount -t tmpfs -o size={num_bytes} tmpfs {place} || exit 99\n"
        f"{command} 2> {shlex.quote(str(folder / 'first'))}; code=$?\n"
        f"echo; echo code=$code\n"
        f"mount -o remount,size=1g {place}; {command}; code=$?\n"
        f"cp -a {place}/out {shlex.quote(str(copy))}; exit $code"
    )
    second = run([*_UNSHARE, "sh", "-c", script])
    code = re.search(r"^code=(\d+)$", second.stdout, re.MULTILINE)
    errors = (folder / "first").read_text()
    first = subprocess.CompletedProcess(script, int(code[1]) if code else -1, "", errors)
    return first, second


def _with_small_files(
    folder: Path,
) -> tuple[subprocess.CompletedProcess[str], subprocess.CompletedProcess[str]]:
    """The command where no file may be larger than a few kB, then where any may."""
    words = predict_words(folder / "inputs", folder / "out", *_SAVE_MUCH)
    limit = 60_000  # less than the vertices of one person

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    return run(words, limit=limited), run(words)
