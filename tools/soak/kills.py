"""Runs that are killed, alone or with all their workers, again and again, and then completed."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .commands import TIME_LIMIT_S, kill_group, misbehaviour, predict_words, run, start
from .figures import Figure
from .inputs import write_clip, write_pictures
from .results import differences, leftovers, lost_or_doubled, rows_of

_OPTIONS = ("--batch-size", 1)
"""People one by one: in batches, which depend on what is done together, last digits differ."""

_WORKERS = ("--direct_num_workers", 2, "--shard-size", 2)
_SHARE_AT_START = 0.25
_LONGEST_START_S = 8.0
_LONGEST_AFTER_S = 1.5
_POLL_S = 0.02


@dataclass
class _Rounds:
    """Kills runs over the same inputs; a round ends when a run comes through."""

    command: list[str]
    output: Path
    random: random.Random
    num_kills: int = 0

    def kill(self) -> subprocess.CompletedProcess[str] | None:
        """Starts the command and kills it; how it ended if it was done before."""
        before = self._num_parts()
        process = start(self.command)
        if self.random.random() < _SHARE_AT_START:
            moment = time.monotonic() + self.random.uniform(0, _LONGEST_START_S)
        else:
            while self._num_parts() == before and process.poll() is None:
                time.sleep(_POLL_S)
            moment = time.monotonic() + self.random.uniform(0, _LONGEST_AFTER_S)
        while time.monotonic() < moment and process.poll() is None:
            time.sleep(_POLL_S)
        if process.poll() is not None:
            said, errors = process.communicate()
            return subprocess.CompletedProcess(self.command, process.returncode, said, errors)
        self.num_kills += 1
        if self.num_kills % 2:
            process.kill()  # its workers are to leave by themselves
            process.communicate(timeout=TIME_LIMIT_S)
        kill_group(process)
        return None

    def _num_parts(self) -> int:
        return len(list(self.output.glob("frames/part-*")))


def kills(
    folder: Path, seed: int, num_kills: int, num_pictures: int, frame_step: int
) -> Iterator[Figure]:
    """So many kills at random moments; each round is compared with a run that nobody stopped.

    Args:
        folder: To work in, empty.
        seed: Of inputs and moments.
        num_kills: Rounds over all inputs are begun until so many were made.
        num_pictures: Of each round, beside the demo's clip.
        frame_step: Of the clip.
    """
    options = ("--frame-step", frame_step, *_OPTIONS)
    inputs, undisturbed = folder / "inputs", folder / "undisturbed"
    write_pictures(inputs, num_pictures, seed)
    (inputs / "broken.jpg").write_text("no picture")
    write_clip(inputs)
    problems = misbehaviour(run(predict_words(inputs, undisturbed, *options)))
    num_items = rows_of(undisturbed, "frames").num_rows
    source, killed, rounds = random.Random(seed), 0, 0
    while killed < num_kills:
        output = folder / f"killed{rounds}"
        words = predict_words(inputs, output, *options, *_WORKERS)
        trial = _Rounds(words, output, source)
        done = None
        while done is None and killed + trial.num_kills < num_kills:
            done = trial.kill()
        problems += misbehaviour(done or run(words))
        problems += lost_or_doubled(output, num_items) + leftovers(output)
        problems += differences(output, undisturbed)
        killed, rounds = killed + trial.num_kills, rounds + 1
    outcome = (
        f"{num_items} pictures and frames with "
        f"{rows_of(undisturbed, 'people').num_rows} people, done {rounds} times: "
        "equal to the undisturbed run to the bit, nothing lost, twice or left over"
    )
    yield Figure(
        "kills of a run, every other time with its two workers", killed, outcome, tuple(problems)
    )
