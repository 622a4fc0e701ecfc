"""Long trials on two cores; figures as one Markdown table, exit code 1 if anything did not hold.

python -m tools.soak                       # all of it, at most 30 minutes
python -m tools.soak --scale 0.02          # a quick look
python -m tools.soak --only kills --seed 7
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from .bad_store import flaky_store, full_disk
from .damaged_files import damaged_files
from .figures import Figure, Trial, as_table, measured, problem_lines
from .kills import kills
from .poison import decoders_that_end_their_worker, inputs_that_cost_memory_or_time
from .poisoned import POISONS

_FILES = {"images": 2000, "videos": 300, "model files and pickles": 500, "lists": 200}
_KILLS, _PICTURES, _FEW_PICTURES = 20, 40, 16
_SMALL = 0.1
"""Below this share fewer frames and processes serve, too."""


def main(words: Sequence[str] | None = None) -> int:
    """Runs the trials; 1 if anything did not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.soak", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--scale", type=float, default=1.0, help="share of the tries (default: 1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=30.0,
                        help="no part is begun after so many (default: 30)")  # fmt: skip
    parser.add_argument("--only", action="append", metavar="PART",
                        help="some of: " + ", ".join(trials(Path(), 1.0, 0)))  # fmt: skip
    args = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        chosen = trials(Path(folder), args.scale, args.seed)
        unknown = set(args.only or ()) - set(chosen)
        if unknown:
            parser.error(f"unknown parts: {', '.join(sorted(unknown))}")
        chosen = {name: chosen[name] for name in args.only or chosen}
        figures = _run(chosen, 60 * args.minutes)
    print(f"\n{as_table(figures)}\n\nscale {args.scale:g}, seed {args.seed}", flush=True)
    problems = problem_lines(figures)
    print("\n".join(problems), file=sys.stderr)
    return int(bool(problems))


def trials(folder: Path, scale: float, seed: int) -> dict[str, Trial]:
    """All trials by name, each with a folder of its own.

    Args:
        folder: To work in.
        scale: Share of the tries.
        seed: Of all inputs, mutations and moments.
    """

    def share(whole: int, least: int) -> int:
        return max(least, round(scale * whole))

    num_pictures, num_few = share(_PICTURES, 3), share(_FEW_PICTURES, 2)
    is_small = scale < _SMALL
    made: dict[str, Trial] = {
        "kills": partial(
            kills, folder / "kills", seed, share(_KILLS, 2), num_pictures, 27 if is_small else 3
        ),
        "poison": partial(
            decoders_that_end_their_worker,
            folder / "poison",
            seed,
            share(len(POISONS), 1),
            num_few,
        ),
        "costly": partial(inputs_that_cost_memory_or_time, folder / "costly", seed, num_few),
        "store": partial(flaky_store, folder / "store", seed, num_pictures, 1 if is_small else 2),
        "disk": partial(full_disk, folder / "disk", seed, num_pictures),
    }
    counts = {kind: share(whole, 4) for kind, whole in _FILES.items()}
    made["files"] = partial(damaged_files, seed, counts, 1 if is_small else 2)
    return made


def _run(chosen: dict[str, Trial], limit_s: float) -> list[Figure]:
    """Figures of the trials, each told when it is there."""
    figures: list[Figure] = []
    start = time.monotonic()
    for name, trial in chosen.items():
        if time.monotonic() - start > limit_s:
            figures.append(Figure(name, 0, "", ("not begun: the time was over",)))
            continue
        print(f"{name} ...", file=sys.stderr, flush=True)
        found = measured(name, trial)
        print("\n".join([f"  {figure}" for figure in found]), file=sys.stderr, flush=True)
        figures += found
    return figures


if __name__ == "__main__":
    sys.exit(main())
