"""Pictures and clips that take workers down or never end: one error row each, all others done."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

from .commands import environment, misbehaviour, predict_words, run
from .figures import Figure
from .inputs import (
    write_endless_jpeg,
    write_growing_clip,
    write_heavy_png,
    write_pictures,
    write_playlist,
)
from .poisoned import POISONS
from .results import leftovers, rows_of, statuses

_WORKERS = ("--direct_num_workers", 2, "--shard-size", 2, "--no-uncertainty")
_TIME_LIMIT = ("--time-limit-per-item", 3)
_ADDRESS_SPACE = 13 << 29
"""Of each process: enough for Python, its libraries and small pictures."""

_FAILS_AT = {
    "heavy.png": "memory",
    "endless.jpg": "scans",
    "growing.avi#2": "megapixels",
    "playlist.mp4": "not a readable video",
}
"""What an error row must tell."""


def decoders_that_end_their_worker(
    folder: Path, seed: int, num_kinds: int, num_pictures: int
) -> Iterator[Figure]:
    """Decoders that kill, crash, hang or fill their process, among good pictures."""
    inputs, kinds = folder / "inputs", list(POISONS)[:num_kinds]
    names = write_pictures(inputs, num_pictures + len(kinds), seed)
    for kind, name in zip(kinds, names, strict=False):
        (inputs / name).rename(inputs / f"{kind}.jpg")
    others = set(names[len(kinds) :])
    words = predict_words(
        inputs, folder / "out", *_WORKERS, *_TIME_LIMIT, module="tools.soak.poisoned"
    )
    done = run(words, environment(), _limit_addresses)
    failed = {f"{kind}.jpg": "" for kind in kinds}
    problems = misbehaviour(done) + _wrong_rows(folder / "out", others, failed)
    outcome = f"one command: an error row each, {len(others)} other pictures done"
    yield Figure(f"decoders that are {', '.join(kinds)}", len(kinds), outcome, tuple(problems))


def inputs_that_cost_memory_or_time(folder: Path, seed: int, num_pictures: int) -> Iterator[Figure]:
    """Real files that once cost workers, under a limit of memory for each process."""
    inputs = folder / "inputs"
    names = set(write_pictures(inputs, num_pictures, seed))
    write_heavy_png(inputs / "heavy.png")
    write_endless_jpeg(inputs / "endless.jpg")
    write_growing_clip(inputs / "growing.avi")
    write_playlist(inputs / "playlist.mp4")
    words = predict_words(inputs, folder / "out", *_WORKERS, "--time-limit-per-item", 60)
    done = run(words, environment(), _limit_addresses)
    others = names | {f"growing.avi#{number}" for number in (0, 1, 3)}
    problems = misbehaviour(done) + _wrong_rows(folder / "out", others, _FAILS_AT)
    outcome = f"one command: an error row each that names the cause, {len(others)} others done"
    kind = f"inputs that cost memory or time, {_ADDRESS_SPACE / 2**30:.1f} GiB a process"
    yield Figure(kind, len(_FAILS_AT), outcome, tuple(problems))


def _wrong_rows(output: Path, good: set[str], failing: dict[str, str]) -> list[str]:
    """Items with another status than expected, or whose error row says something else."""
    found = statuses(output)
    expected = {**dict.fromkeys(good, "done"), **dict.fromkeys(failing, "failed")}
    actual = {name: "failed" if status == "failed" else "done" for name, status in found.items()}
    wrong = [
        f"{name} is {actual.get(name)}, not {expected.get(name)}"
        for name in sorted({*expected, *actual})
        if actual.get(name) != expected.get(name)
    ]
    errors = rows_of(output, "errors").to_pylist()
    for name, word in failing.items():
        messages = [row["message"] for row in errors if Path(row["uri"]).name == name.split("#")[0]]
        if len(messages) != 1 or word not in messages[0]:
            wrong.append(f"{name}: error rows {messages}")
    return wrong + leftovers(output)


def _limit_addresses() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
