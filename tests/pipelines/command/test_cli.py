"""The `hierprob3d` command itself."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata

import pytest

from hierprob3d.pipelines.command import cli
from hierprob3d.pipelines.command.beam_options import beam_actions, option_value, pipeline_flags
from hierprob3d.pipelines.command.usage import (
    OneLineParser,
    UsageError,
    option_actions,
    options_and_others,
)
from hierprob3d.pipelines.run.worker_plan import _without, plan_workers


def test_overview_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in (*cli.COMMANDS, "--version"))


def test_no_command_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2


def test_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predcit"]) == 2
    assert "Did you mean predict?" in capsys.readouterr().err


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name, "--help"]) == 0
    assert f"usage: hierprob3d {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], *([name, "--help"] for name in cli.COMMANDS)], ids=" ".join
)
def test_help_loads_nothing_large(words: list[str]) -> None:
    script = (
        f"import sys; from hierprob3d.pipelines.command.cli import main; main({words!r});"
        "large = {'torch', 'apache_beam', 'numpy', 'pyarrow', 'yaml'} & set(sys.modules);"
        "assert not large, large"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"hierprob3d {metadata.version('hierprob3d')}\n"


def test_a_library_larger_than_the_memory_allowed_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def named(path: str) -> object:
        if path == cli.COMMANDS["inspect"].function:
            raise ImportError("libtorch.so: failed to map segment from shared object")
        return original(path)

    original = cli._named
    monkeypatch.setattr(cli, "_named", named)
    assert cli.main(["inspect", "."]) == 2
    assert "more memory is needed than `ulimit -v` allows" in capsys.readouterr().err


def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    monkeypatch.delitem(sys.modules, "hierprob3d.pipelines.evaluate", raising=False)
    # Its options are right: what is wrong with these is told without any package.
    assert cli.main(["evaluate", "--dataset", "synthetic", "--data", "d", "--output", "o"]) == 2
    assert "needs the package 'apache_beam'" in capsys.readouterr().err


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, words: list[str]) -> int:
        raise TypeError("a bug")

    monkeypatch.setattr(cli, "_run_command", fail)
    with pytest.raises(TypeError, match="a bug"):
        cli.main(["predict"])


def test_options_and_other_words_in_any_order() -> None:
    parser = OneLineParser()
    parser.add_argument("--output")
    parser.add_argument("--compare", nargs=2)
    words = (
        "--runner FlinkRunner a.jpg --output out --flink_master=host:1 --streaming b.jpg "
        "--compare x y -1 -- -c.jpg --d"
    ).split()
    options, others = options_and_others(words, option_actions(parser) | beam_actions())
    assert options == [
        ["--runner", "FlinkRunner"], ["--output", "out"], ["--flink_master=host:1"],
        ["--streaming"], ["--compare", "x", "y"],
    ]  # fmt: skip
    assert others == ["a.jpg", "b.jpg", "-1", "-c.jpg", "--d"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        # Told before the missing --format and --output.
        (["export", "o", "--fromat", "glb"], "unknown option --fromat. Did you mean --format?"),
        (["export", "o", "--format", "glb"], "--output DIR is missing."),
        (["inspect", "a", "b"], "unexpected argument 'b'"),
        (["inspect", "--", "-a"], "there is no folder -a"),
    ],
)
def test_bad_words_are_told_in_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    errors = capsys.readouterr().err
    assert message in errors and errors.count("\n") == 1


BAD_BEAM_OPTIONS = {
    "--runner=NoSuchRunner": "there is no --runner 'NoSuchRunner'",
    "--runner=FnApiRuner": "Did you mean FnApiRunner?",
    "--runner=": "there is no --runner ''",
    "--runner": "argument --runner: expected one argument",
    "--runner=no.such.Runner": "--runner no.such.Runner cannot be loaded: No module named 'no'",
    "--runner=PortableRunner": "needs --job_endpoint HOST:PORT",
    "--runner=PortableRunner --job_endpoint=h:1": "needs --environment_type",
    "--no_wait_until_finish": "--no_wait_until_finish is refused",
    "--runner=dask": "--runner dask is refused",
    "--direct_running_mode=foo": "argument --direct_running_mode: invalid choice: 'foo'",
    "--direct_num_workers=abc": "argument --direct_num_workers: invalid int value: 'abc'",
    "--direct_num_workers=-1": "--direct_num_workers must be at least 0",
}


@pytest.mark.parametrize("option", BAD_BEAM_OPTIONS)
def test_values_that_beam_cannot_use_are_refused(option: str) -> None:
    with pytest.raises(UsageError, match=re.escape(BAD_BEAM_OPTIONS[option])):
        plan_workers(option.split(), 100, on_gpu=False)


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
    monkeypatch.setattr("hierprob3d.pipelines.run.worker_plan.num_cores", lambda: 8)
    monkeypatch.setattr(
        "hierprob3d.pipelines.run.worker_plan.memory_bytes", lambda: int(64.0 * 2**30)
    )
    few, many = plan_workers([], 3, on_gpu=False), plan_workers([], 1000, on_gpu=False)
    assert (few.starts_processes, few.num_workers, few.num_threads) == (False, 1, 4)
    assert (many.starts_processes, many.num_workers, many.num_threads) == (True, 8, 1)
    assert plan_workers([], 1000, on_gpu=True).num_workers == 4
    monkeypatch.setattr(
        "hierprob3d.pipelines.run.worker_plan.memory_bytes", lambda: int(7.0 * 2**30)
    )
    assert plan_workers([], 1000, on_gpu=False).num_workers == 2  # 3 GiB each
    asked = plan_workers(["--direct_num_workers", "3"], 3, on_gpu=False)
    assert (asked.starts_processes, asked.num_workers) == (True, 3)
    other = plan_workers(["--runner", "FlinkRunner"], 1000, on_gpu=False)
    hint = "--resource_hint=min_ram=3GiB"
    assert (other.is_local, other.flags) == (False, ("--runner", "FlinkRunner", hint))
