"""Parts in processes: killed, stopped, started twice; in the end equal to one run to the bit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hierprob3d.pipelines.command.cli import main
from tests.pipelines.conftest import copy_person
from tests.pipelines.trials import tables_of

NUM_PARTS = 3


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 200
    while not condition():
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    for number in range(11):
        copy_person(folder / f"{number}.png")
    (folder / "bad.jpg").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def plan_words(inputs: Path, open_weights: Path) -> Callable[..., list[str]]:
    def words(output: Path, *options: str, parts: int = NUM_PARTS) -> list[str]:
        command = ["predict", str(inputs), "--weights", str(open_weights), "--num-samples", "4"]
        return ["plan", "--parts", str(parts), "--", *command, "--output", str(output), *options]

    return words


def test_parts_equal_one_undisturbed_run(
    inputs: Path,
    predict: Callable[..., int],
    plan_words: Callable[..., list[str]],
    process_environment: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output, whole = tmp_path / "out", tmp_path / "whole"
    assert main(plan_words(output)) == 0

    def start(part: int) -> subprocess.Popen[bytes]:
        words = ["work", str(output), "--part", "auto", "--part-offset", "1"]
        environment = {**process_environment, "SLURM_ARRAY_TASK_ID": str(part - 1)}
        if part == 0:
            words = ["work", str(output), "--part", "0"]
        return subprocess.Popen([sys.executable, "-m", "hierprob3d", *words], env=environment,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                start_new_session=True)  # fmt: skip

    def frames_of(part: int) -> list[Path]:
        return list(output.glob(f"frames/part-*-p{part:05d}-*"))

    killed = start(0)
    wait_for(lambda: bool(frames_of(0)), killed)
    killed.send_signal(signal.SIGSTOP)  # so that it cannot end meanwhile
    capsys.readouterr()
    assert main(["work", str(output), "--part", "0"]) == 2  # twice at once
    assert "part of" in capsys.readouterr().err
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    stopped = start(1)
    wait_for(lambda: bool(frames_of(1)), stopped)
    stopped.send_signal(signal.SIGTERM)
    said = stopped.communicate()[0].decode()
    assert stopped.returncode == 75, said
    assert "goes on from here" in said

    assert main(["finish", str(output)]) == 1
    said = capsys.readouterr().err
    assert "never started: 2" in said and "stopped: 0-1" in said and "--part 0-2" in said
    assert main(["predict", str(inputs), "--output", str(output)]) == 2  # would sweep the parts'
    assert "plan in 3 parts that is not finished" in capsys.readouterr().err

    for part in range(NUM_PARTS):
        assert main(["work", str(output), "--part", str(part)]) == 0
    assert main(["finish", str(output)]) == 0
    assert predict(inputs, "--output", whole, "--shard-size", "1") == 0
    assert tables_of(output) == tables_of(whole)

    plan_id = json.loads((output / "plan" / "plan.json").read_text())["plan_id"]
    record = json.loads((output / "runs" / f"{plan_id}.json").read_text())
    assert record["status"] == "finished" and record["parts"]["done"] == NUM_PARTS
    assert record["counts"]["items"] == 12 and record["counts"]["failed"] == 1
    for path in output.glob("runs/*-p*-*.json"):
        assert abs(json.loads(path.read_text())["clock_lead_seconds"]) < 1000
    assert record["items_planned"] == 12 and record["stage_seconds"]["detect"] > 0
    assert not list(output.rglob(".tmp-*")) and not list(output.glob("runs/marks/*"))
    # Everything else reads the folder as that of any run, and goes on with it.
    capsys.readouterr()
    assert main(["inspect", str(output)]) == 0
    said = capsys.readouterr().out
    assert f"run {plan_id} (finished)" in said and "12 items" in said and "3 done" in said
    assert predict(inputs, "--output", output) == 0
    assert "all 12 items are finished" in capsys.readouterr().out
    # A chain that finds nothing new ends well, and holds nothing up.
    assert main(plan_words(output, parts=2)) == 0
    assert predict(inputs, "--output", output) == 0
    assert main(["work", str(output), "--part", "1"]) == main(["finish", str(output)]) == 0
    assert "2 parts: 2 done" in capsys.readouterr().err


def test_plans_are_refused_or_go_on(
    plan_words: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert main(plan_words(output)) == 0
    plan = (output / "plan" / "plan.json").read_bytes()
    assert main(plan_words(output)) == 0
    assert "has this plan" in capsys.readouterr().out
    for other in (plan_words(output, "--seed", "3"), plan_words(output, parts=4)):
        assert main(other) == 2
        assert "holds another plan" in capsys.readouterr().err
        assert main(["slurm", *other[1:]]) == 2
        assert "holds another plan" in capsys.readouterr().err
    assert not (output / "slurm").exists()
    assert (output / "plan" / "plan.json").read_bytes() == plan
    assert main(["work", str(output), "--part", "3"]) == 2
    assert "there is no part 3: the plan has 3, 0 to 2" in capsys.readouterr().err


def test_models_that_differ_from_the_plans_are_refused(
    plan_words: Callable[..., list[str]],
    open_weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output, weights = tmp_path / "out", tmp_path / "mine.safetensors"
    shutil.copy(open_weights, weights)
    words = plan_words(output)
    words[words.index(str(open_weights))] = str(weights)
    assert main(words) == 0
    plan = json.loads((output / "plan" / "plan.json").read_text())
    plan["model_files"]["weights"]["sha256"] = "0" * 64
    (output / "plan" / "plan.json").write_text(json.dumps(plan))
    assert main(["work", str(output), "--part", "0"]) == 2
    said = capsys.readouterr().err
    assert (
        f"planned with --weights {weights}, SHA-256 000000000000... (now with" in said
        and said.count("\n") == 1
    )
    assert not list(output.glob("frames/*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plan", "--parts", "2"], "give the command after --"),
        (["plan", "--parts", "0", "--", "predict"], "--parts must be at least 1"),
        (["plan", "--parts", "2", "--", "train"], "'train' cannot be divided"),
        (["plan", "--parts", "2", "--", "predict", "--outptu", "x"], "of predict: unknown option"),
        (["plan", "--parts", "2", "--", "predict", "a", "--output", "b", "--dry-run"], "--dry-run"),
        (["plan", "--parts", "2", "--", "evaluate", "--compare", "a", "b"], "--compare"),
        (["work", "nowhere", "--part", "0"], "there is no plan in"),
        (["work", "nowhere", "--part", "-1"], "--part must be a number from 0 or auto"),
        (["work", "nowhere", "--part", "first"], "--part must be a number from 0 or auto"),
        (["finish", "nowhere"], "there is no plan in"),
    ],
)
def test_usage(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_auto_needs_a_number(
    plan_words: Callable[..., list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert main(plan_words(tmp_path / "out")) == 0
    assert main(["work", str(tmp_path / "out"), "--part", "auto"]) == 2
    assert "none is set" in capsys.readouterr().err
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "2")
    words = ["work", str(tmp_path / "out"), "--part", "auto", "--part-offset", "7"]
    assert main(words) == 2
    assert "there is no part 9" in capsys.readouterr().err
