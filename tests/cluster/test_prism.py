"""Prism, its workers on another host: workers killed, Ctrl-C if work is left, no row lost."""

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
_MOST_RUNS = 4


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


def check(engine: PrismEngine, trial: Trial, folder: Path) -> None:
    """Runs the command with a worker killed and a Ctrl-C, then to its end; the local one beside."""
    output, whole = folder / "out", folder / "whole"
    words = [*trial.words, "--output", str(output), *engine.words]
    first = Command(words, folder / "killed.log")
    killed = engine.kill_workers() if first.work_until(output, 1) else 0
    code = first.end()
    second = Command(words, folder / "interrupted.log")
    if second.work_until(output, num_frames(output) + 1):
        second.process.send_signal(signal.SIGINT)
        assert second.end() in (0, 130), second.log.read_text()
    codes = [code, second.end()]
    while codes[-1] != 0 and len(codes) < _MOST_RUNS:
        codes.append(Command(words, folder / f"{len(codes)}.log").end())
    print(f"{trial.words[0]}: {killed} workers killed, exit codes {codes}")
    assert codes[-1] == 0, (folder / f"{len(codes) - 1}.log").read_text()
    done = subprocess.run([*PROGRAM, *trial.words, "--output", str(whole),
                           "--direct_running_mode", "in_memory"], env=ENVIRONMENT)  # fmt: skip
    assert done.returncode == 0
    trial.compare(output, whole)


def test_predict(engine: PrismEngine, tmp_path: Path) -> None:
    check(engine, predict_trial(tmp_path, 12), tmp_path)


def test_evaluate(engine: PrismEngine, tmp_path: Path) -> None:
    check(engine, evaluate_trial(tmp_path, 20), tmp_path)


def test_preprocess(engine: PrismEngine, golden: Path, golden_smpl: Path, tmp_path: Path) -> None:
    check(engine, preprocess_trial(tmp_path, golden, golden_smpl), tmp_path)
