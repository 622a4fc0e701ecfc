"""Prism, its workers on another host: commands interrupted, workers killed, every row once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hierprob3d.transforms.store.locking import holder_of
from hierprob3d.transforms.store.output_folder import run_of
from tests.cluster.prism_engine import PrismEngine, prism_path, why_not
from tests.pipelines.trials import Trial, evaluate_trial, predict_trial, preprocess_trial

pytestmark = [pytest.mark.skipif(bool(why_not()), reason=why_not()), pytest.mark.timeout(3600)]

SOURCE = Path(__file__).resolve().parents[2] / "src"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
PROGRAM = [sys.executable, "-m", "hierprob3d"]
_SECONDS_OF_SILENCE = 3.0
"""In which a worker that had not been stopped would publish several shards."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrismEngine]:
    engine = PrismEngine(tmp_path_factory.mktemp("prism"), SOURCE)
    try:
        engine.start()
        yield engine
    finally:
        engine.stop()


def num_frames(output: Path, besides: frozenset[str] = frozenset()) -> int:
    """Shards that were published, but for those of some runs."""
    return sum(run_of(path.name) not in besides for path in output.glob("frames/part-*"))


def runs_of(output: Path) -> frozenset[str]:
    """Those that have published something."""
    return frozenset(run_of(path.name) for path in output.glob("frames/part-*"))


class Command:
    """The command on Prism, started in the background."""

    def __init__(self, words: list[str], log: Path) -> None:
        self.log = log
        with open(log, "wb") as file:
            self.process = subprocess.Popen([*PROGRAM, *words], env=ENVIRONMENT, stdout=file,
                                            stderr=subprocess.STDOUT)  # fmt: skip

    def work_until_published(self, output: Path, besides: frozenset[str] = frozenset()) -> None:
        """Waits for its first shard."""
        self.wait_for(lambda: num_frames(output, besides) > 0)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Waits for something that it does; AssertionError if it ends before."""
        deadline = time.monotonic() + 1500
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def end(self) -> int:
        """Its exit code."""
        return self.process.wait(timeout=1500)


def stop(words: list[str], output: Path, kind: signal.Signals, exit_code: int) -> None:
    """Starts the command, stops it midway, and sees that its workers publish nothing after it."""
    command = Command(words, output.with_suffix(".stopped.log"))
    command.work_until_published(output)
    command.process.send_signal(kind)
    assert command.end() == exit_code, command.log.read_text()
    said = command.log.read_text()
    assert "Traceback" not in said
    assert "goes on from here" in said
    num_published = num_frames(output)
    time.sleep(_SECONDS_OF_SILENCE)
    assert num_frames(output) == num_published


def compare_with_one_run(trial: Trial, output: Path) -> None:
    whole = output.with_name("whole")
    done = subprocess.run([*PROGRAM, *trial.words, "--output", str(whole),
                           "--direct_running_mode", "in_memory"], env=ENVIRONMENT)  # fmt: skip
    assert done.returncode == 0
    trial.compare(output, whole)


def check(
    engine: PrismEngine, trial: Trial, output: Path, kind: signal.Signals, exit_code: int
) -> None:
    """Stops the command midway, starts it again with its worker killed; the local one beside.

    Args:
        engine: By which it is run.
        trial: The command.
        output: Folder for its results.
        kind: How it is stopped.
        exit_code: With which it is to end then.
    """
    words = [*trial.words, "--output", str(output), *engine.words]
    stop(words, output, kind, exit_code)
    assert engine.job_states()[-1] == "CANCELLED"
    earlier = runs_of(output)
    again = Command(words, output.with_suffix(".again.log"))
    again.work_until_published(output, besides=earlier)
    assert engine.kill_workers() > 0
    assert again.end() == 0, again.log.read_text()
    said = again.log.read_text()
    assert "submitted again" in said or "tried again" in said
    assert set(engine.job_states()) <= {"CANCELLED", "FAILED", "DONE"}
    compare_with_one_run(trial, output)


def test_predict_and_ctrl_c(engine: PrismEngine, tmp_path: Path) -> None:
    check(engine, predict_trial(tmp_path, 16), tmp_path / "out", signal.SIGINT, 130)


def test_evaluate_and_sigterm(engine: PrismEngine, tmp_path: Path) -> None:
    check(engine, evaluate_trial(tmp_path, 40), tmp_path / "out", signal.SIGTERM, 75)


def test_preprocess_and_the_death_of_the_command(
    engine: PrismEngine, golden: Path, golden_smpl: Path, tmp_path: Path
) -> None:
    """Nobody cancels its job: its worker finds out by itself that its run is no more."""
    trial, output = preprocess_trial(tmp_path, golden, golden_smpl, 2), tmp_path / "out"
    words = [*trial.words, "--output", str(output), *engine.words]
    killed = Command(words, tmp_path / "killed.log")
    killed.work_until_published(output)
    held = engine.hold_workers()  # in the midst of it
    killed.process.kill()
    killed.end()
    (run,), num_published = runs_of(output), num_frames(output)
    again = Command(words, tmp_path / "again.log")
    again.wait_for(lambda: holder_of((output / "runs" / ".lock").read_bytes()).run_id != run)
    for worker in held:
        os.kill(worker, signal.SIGCONT)
    assert again.end() == 0, again.log.read_text()
    assert num_frames(output) - num_frames(output, besides=frozenset({run})) == num_published
    compare_with_one_run(trial, output)


def test_ctrl_c_where_workers_are_threads_of_the_command(tmp_path: Path) -> None:
    """PrismRunner: the process ends by itself, not by a signal in the midst of a stage."""
    trial, output = predict_trial(tmp_path, 8), tmp_path / "out"
    own = ["--runner", "PrismRunner", "--prism_location", str(prism_path())]
    words = [*trial.words, "--output", str(output), *own]
    stop(words, output, signal.SIGINT, 130)
    assert subprocess.run([*PROGRAM, *words], env=ENVIRONMENT).returncode == 0
    compare_with_one_run(trial, output)
