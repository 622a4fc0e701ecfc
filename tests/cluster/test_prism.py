"""Prism, its workers on another host: commands interrupted, workers killed, every row once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.prism_engine import PrismEngine, why_not
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


def num_frames(output: Path) -> int:
    return len(list(output.glob("frames/part-*")))


class Command:
    """The command on Prism, started in the background."""

    def __init__(self, words: list[str], log: Path) -> None:
        self.log = log
        with open(log, "wb") as file:
            self.process = subprocess.Popen([*PROGRAM, *words], env=ENVIRONMENT, stdout=file,
                                            stderr=subprocess.STDOUT)  # fmt: skip

    def work_until(self, output: Path, count: int) -> bool:
        """Waits for so many shards; False if the command ends before."""
        deadline = time.monotonic() + 1500
        while num_frames(output) < count:
            if self.process.poll() is not None:
                return False
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)
        return self.process.poll() is None

    def end(self) -> int:
        """Its exit code."""
        return self.process.wait(timeout=1500)


def check(
    engine: PrismEngine, trial: Trial, folder: Path, kind: signal.Signals, exit_code: int
) -> None:
    """Stops the command midway, starts it again with its worker killed; the local one beside.

    Args:
        engine: By which it is run.
        trial: The command.
        folder: For outputs and logs.
        kind: How it is stopped.
        exit_code: With which it is to end then.
    """
    output, whole = folder / "out", folder / "whole"
    words = [*trial.words, "--output", str(output), *engine.words]
    stopped = Command(words, folder / "stopped.log")
    assert stopped.work_until(output, 1), stopped.log.read_text()
    stopped.process.send_signal(kind)
    assert stopped.end() == exit_code, stopped.log.read_text()
    said = stopped.log.read_text()
    assert "Traceback" not in said
    if kind != signal.SIGKILL:
        assert "goes on from here" in said
        assert engine.job_states()[-1] == "CANCELLED"
        num_published = num_frames(output)
        time.sleep(_SECONDS_OF_SILENCE)
        assert num_frames(output) == num_published  # by a worker that goes on
    again = Command(words, folder / "again.log")
    assert again.work_until(output, num_frames(output) + 1), again.log.read_text()
    assert engine.kill_workers() > 0
    assert again.end() == 0, again.log.read_text()
    assert "submitted again" in again.log.read_text() or "tried again" in again.log.read_text()
    assert set(engine.job_states()) <= {"CANCELLED", "FAILED", "DONE"}
    done = subprocess.run([*PROGRAM, *trial.words, "--output", str(whole),
                           "--direct_running_mode", "in_memory"], env=ENVIRONMENT)  # fmt: skip
    assert done.returncode == 0
    trial.compare(output, whole)


def test_predict_and_ctrl_c(engine: PrismEngine, tmp_path: Path) -> None:
    check(engine, predict_trial(tmp_path, 16), tmp_path, signal.SIGINT, 130)


def test_evaluate_and_sigterm(engine: PrismEngine, tmp_path: Path) -> None:
    check(engine, evaluate_trial(tmp_path, 40), tmp_path, signal.SIGTERM, 75)


def test_preprocess_and_the_death_of_the_command(
    engine: PrismEngine, golden: Path, golden_smpl: Path, tmp_path: Path
) -> None:
    """Nobody cancels its job; the worker finds out by itself that its run is no more."""
    trial = preprocess_trial(tmp_path, golden, golden_smpl, num_sequences=8)
    check(engine, trial, tmp_path, signal.SIGKILL, -signal.SIGKILL)
