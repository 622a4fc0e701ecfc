"""The `hierprob3d` command itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipelines import cli
from pipelines.beam_options import option_value, pipeline_flags, split_beam_options
from pipelines.usage import UsageError
from pipelines.workers import _without, plan_workers


def test_overview_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in cli.COMMANDS)


def test_no_command_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2


def test_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predcit"]) == 2
    assert "Did you mean predict?" in capsys.readouterr().err


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name, "--help"]) == 0
    assert f"usage: hierprob3d {name}" in capsys.readouterr().out


def test_overview_imports_neither_torch_nor_beam() -> None:
    script = (
        "import sys; from pipelines.cli import main; main(['--help']);"
        "assert not {'torch', 'apache_beam'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(cli.COMMANDS, "predict", cli.Command("no_such_package.predict", ""))
    assert cli.main(["predict"]) == 2
    assert "needs the package 'no_such_package'" in capsys.readouterr().err


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, words: list[str]) -> int:
        raise TypeError("a bug")

    monkeypatch.setattr(cli, "_run_command", fail)
    with pytest.raises(TypeError, match="a bug"):
        cli.main(["predict"])


def test_beam_options_are_told_apart_from_ours() -> None:
    own = {"--output", "--seed"}
    words = ["--runner", "FlinkRunner", "a.jpg", "--output", "out", "--flink_master=host:1",
             "--streaming", "b.jpg"]  # fmt: skip
    ours, beams = split_beam_options(words, own)
    assert ours == ["a.jpg", "--output", "out", "b.jpg"]
    assert beams == ["--runner", "FlinkRunner", "--flink_master=host:1", "--streaming"]


def test_runner_defaults_and_refusals() -> None:
    assert pipeline_flags([]) == ["--runner=FnApiRunner"]
    assert pipeline_flags(["--runner", "SparkRunner"]) == ["--runner", "SparkRunner"]
    for name in ("DaskRunner", "dask.DaskRunner", "apache_beam.runners.dask.DaskRunner"):
        with pytest.raises(UsageError, match="loses data"):
            pipeline_flags([f"--runner={name}"])


def test_option_values() -> None:
    assert option_value(["--a", "1", "--b=2"], "--a") == "1"
    assert option_value(["--a", "1", "--b=2"], "--b") == "2"
    assert option_value(["--a"], "--a") is None
    assert _without(["--a", "1", "--b=2", "--c"], "--a", "--b") == ["--c"]


def test_worker_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.workers.num_cores", lambda: 8)
    monkeypatch.setattr("pipelines.workers.memory_gib", lambda: 64.0)
    few, many = plan_workers([], 3, on_gpu=False), plan_workers([], 1000, on_gpu=False)
    assert (few.starts_processes, few.num_workers, few.num_threads) == (False, 1, 4)
    assert (many.starts_processes, many.num_workers, many.num_threads) == (True, 8, 1)
    assert plan_workers([], 1000, on_gpu=True).num_workers == 4
    monkeypatch.setattr("pipelines.workers.memory_gib", lambda: 5.0)
    assert plan_workers([], 1000, on_gpu=False).num_workers == 2  # 2 GiB each
    asked = plan_workers(["--direct_num_workers", "3"], 3, on_gpu=False)
    assert (asked.starts_processes, asked.num_workers) == (True, 3)
    other = plan_workers(["--runner", "FlinkRunner"], 1000, on_gpu=False)
    assert (other.is_local, other.flags) == (False, ("--runner", "FlinkRunner"))
