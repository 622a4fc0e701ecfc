"""Whole commands, by CPU time and memory: people a second, one picture, two workers, many pictures.

    python -m benchmarks.whole_runs [--quick]

Pictures are the demo's photographs and frames of its clip in several sizes. People a second are
what more pictures cost beyond fewer, so that starting does not count; of processes all CPU time is
added, so that a busy machine changes little. Two workers are compared by the time between their
first and their last finished shard: for that row the machine must be quiet.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
from PIL import Image

DEMO = Path(__file__).parents[1] / "model" / "assets" / "demo"
SIDES = (512, 640, 960, 1280)
KINDS = "crops,uncropped,samples"
_IN_PROCESS = ("--direct_running_mode", "in_memory")


@dataclass(frozen=True)
class Figure:
    """A line of the table."""

    name: str
    value: str
    aim: str


@dataclass(frozen=True)
class Used:
    """What a command took, its children included."""

    cpu_s: float
    peak_mb: float
    people: int


def photographs() -> list[Image.Image]:
    """The demo's photographs, and ten frames of its clip."""
    found = [Image.open(path).convert("RGB") for path in sorted(DEMO.glob("*.png"))]
    with av.open(str(DEMO / "pedestrians.mp4")) as clip:
        frames = [frame.to_image() for frame in clip.decode(video=0)]
    return found + frames[:: max(1, len(frames) // 10)][:10]


def write_pictures(folder: Path, number: int) -> Path:
    """A folder of so many pictures of all sizes; no two are the same file."""
    folder.mkdir()
    originals = photographs()
    for index in range(number):
        picture = originals[index % len(originals)].copy()
        side = SIDES[(index // len(originals)) % len(SIDES)]
        scale = side / max(picture.size)
        picture = picture.resize([round(length * scale) for length in picture.size])
        picture.save(folder / f"{index:05d}.jpg", quality=90)
    return folder


def run(inputs: Path, output: Path, *words: str) -> Used:
    """`hierprob3d predict` in a process of its own, on one thread."""
    command = [sys.executable, "-m", "hierprob3d", "predict", str(inputs), "--output", str(output)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with open(os.devnull, "w") as nowhere:
        process = subprocess.Popen([*command, *words], env=environment, stdout=nowhere,
                                   stderr=nowhere)  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    (record,) = (output / "runs").glob("*.json")
    people = json.loads(record.read_text())["counts"]["people"]
    return Used(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000, people)


def people_per_s(folder: Path, few: Path, many: Path, *words: str) -> tuple[float, float]:
    """People a second of one core's time, in one process, without start; and people a picture."""
    name = "-".join(words) or "plain"
    less, more = (run(pictures, folder / f"{name}-{pictures.name}", *_IN_PROCESS, *words)
                  for pictures in (few, many))  # fmt: skip
    rate = (more.people - less.people) / (more.cpu_s - less.cpu_s)
    return rate, more.people / len(list(many.iterdir()))


def shards_per_s(folder: Path, pictures: Path, workers: int) -> float:
    """Shards a second between the first and the last that is finished."""
    output = folder / f"workers{workers}"
    run(pictures, output, "--shard-size", "8", "--direct_running_mode", "multi_processing",
        "--direct_num_workers", str(workers))  # fmt: skip
    ends = sorted(path.stat().st_mtime for path in (output / "frames").iterdir())
    return (len(ends) - 1) / (ends[-1] - ends[0])


def figures(quick: bool) -> list[Figure]:
    """All lines; quick: of a fifth of the pictures, to see that it works."""
    share = 5 if quick else 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        few, many = (write_pictures(folder / str(n), n) for n in (48 // share, 144 // share))
        one = write_pictures(folder / "one", 1)
        plain, crowd = people_per_s(folder, few, many)
        drawn, _ = people_per_s(folder, few, many, "--visualise", KINDS)
        run(one, folder / "warm")
        single = run(one, folder / "single")
        rates = [shards_per_s(folder, many, workers) for workers in (1, 2)]
        cropped = [write_pictures(folder / f"cropped{n}", n) for n in (200 // share, 1200 // share)]
        peaks = [run(pictures, folder / f"of-{pictures.name}", "--cropped-images", *_IN_PROCESS)
                 for pictures in cropped]  # fmt: skip
    numbers = " and ".join(pictures.name.removeprefix("cropped") for pictures in cropped)
    return [
        Figure(f"people a second of a core, {crowd:.1f} in a picture, none drawn", f"{plain:.1f}",
               "≥ 12"),
        Figure(f"the same with {KINDS.replace(',', ', ')}", f"{drawn:.1f}", "≥ 8"),
        Figure("one picture from the shell, CPU time", f"{single.cpu_s:.1f} s", "≤ 5 s"),
        Figure("the same, most memory", f"{single.peak_mb:.0f} MB", "≤ 800 MB"),
        Figure("two workers by one, pictures of all sizes", f"{rates[1] / rates[0]:.2f}", "≥ 1.85"),
        Figure(f"most memory of {numbers} pictures, larger by smaller",
               f"{peaks[1].peak_mb / peaks[0].peak_mb:.3f}", "≤ 1.05"),
    ]  # fmt: skip


def table_of(lines: Sequence[Figure]) -> str:
    """The figures in Markdown."""
    head = ["| whole commands | measured | aim |", "|---|---|---|"]
    return "\n".join(head + [f"| {line.name} | {line.value} | {line.aim} |" for line in lines])


def main() -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--quick", action="store_true", help="a fifth of the pictures")
    print(table_of(figures(parser.parse_args().quick)))


if __name__ == "__main__":
    main()
