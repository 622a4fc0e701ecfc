"""Beam's own options on our command line, and the runner that is used when none is named."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

from hierprob3d.configs.checks import nearest

from .usage import OneLineParser, UsageError, option_actions, option_name

_SECONDS_TO_ANSWER = 20.0

DEFAULT_RUNNER = "FnApiRunner"
"""Beam's own default would first try to download Prism, and hang on a machine without internet."""

_LOCAL_RUNNERS = ("fnapirunner", "directrunner")
_REFUSED_RUNNERS = {
    "daskrunner": "Beam's DaskRunner reports success and loses data (side branches, tags, tails of "
    "batches); use FnApiRunner, or Flink or Spark through PortableRunner"
}


def pipeline_flags(beam_words: Sequence[str]) -> list[str]:
    """Beam's words with our default runner added where none is named.

    Raises:
        UsageError: A runner or a value that Beam or this pipeline cannot use.
    """
    named = any(option_name(word) == "--runner" for word in beam_words)
    flags = [*beam_words, *([] if named else [f"--runner={DEFAULT_RUNNER}"])]
    if beam_words:
        _check_values(flags)
        _check_runner(flags)
    return flags


def runner_name(beam_words: Sequence[str]) -> str:
    """The runner that Beam's words name, or the default."""
    return option_value(beam_words, "--runner") or DEFAULT_RUNNER


def is_local_runner(runner: str) -> bool:
    """Whether the runner works in processes of this machine that we may choose."""
    return _class_name(runner) in _LOCAL_RUNNERS


def option_value(beam_words: Sequence[str], name: str) -> str | None:
    """Value of option `name`, from `--name value` or `--name=value`; None if it is not there."""
    for position, word in enumerate(beam_words):
        if option_name(word) == name:
            if "=" in word:
                return word.split("=", 1)[1]
            return beam_words[position + 1] if position + 1 < len(beam_words) else None
    return None


def beam_actions() -> dict[str, argparse.Action]:
    """Every option that Beam knows, by name."""
    return option_actions(_beam_parser())


def _check_values(flags: Sequence[str]) -> None:
    """Raise UsageError where Beam's own parser would end this process, at any later moment."""
    values, _ = _beam_parser().parse_known_args(list(flags))
    if values.direct_num_workers < 0:
        raise UsageError(
            f"--direct_num_workers must be at least 0 (0 = chosen here), got "
            f"{values.direct_num_workers}."
        )
    if values.no_wait_until_finish:
        raise UsageError(
            "--no_wait_until_finish is refused: the command waits for its job, holds the output "
            "folder for it and counts what came out."
        )


def _check_runner(flags: Sequence[str]) -> None:
    """Raise UsageError for a runner that is refused, that there is not, or that lacks options."""
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
    from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
    from apache_beam.runners import create_runner

    logging.getLogger("apache_beam").setLevel(logging.ERROR)  # this says what is wrong in one line
    name = option_value(flags, "--runner") or ""
    reason = _REFUSED_RUNNERS.get(_class_name(name))
    if reason:
        raise UsageError(f"--runner {name} is refused: {reason}.")
    try:
        runner = create_runner(name)
    except (ValueError, AttributeError) as error:
        known = StandardOptions.KNOWN_RUNNER_NAMES
        hint = nearest(name, known) or f" Beam has {', '.join(known)}."
        raise UsageError(f"there is no --runner {name!r}.{hint}") from error
    except ImportError as error:
        raise UsageError(f"--runner {name} cannot be loaded: {error}.") from error
    if _class_name(name) == "portablerunner":
        _check_portable(flags)
    problems = PipelineOptionsValidator(PipelineOptions(list(flags)), runner).validate()
    if problems:
        raise UsageError(f"--runner {name}: {problems[0]}")


def _check_portable(flags: Sequence[str]) -> None:
    """Raise UsageError where the engine or its workers are not named, or nobody answers there."""
    endpoint = option_value(flags, "--job_endpoint")
    if not endpoint:
        raise UsageError("--runner PortableRunner needs --job_endpoint HOST:PORT of a job server.")
    if option_value(flags, "--environment_type") is None:
        raise UsageError(
            "--runner PortableRunner needs --environment_type: EXTERNAL with --environment_config "
            "HOST:PORT of a worker pool, PROCESS, LOOPBACK, or DOCKER, which Beam would take."
        )
    _check_answers(endpoint)


@cache
def _check_answers(endpoint: str) -> None:
    """Raise UsageError if nobody answers at an address; Beam would wait for minutes."""
    import grpc

    with grpc.insecure_channel(endpoint) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=_SECONDS_TO_ANSWER)
        except grpc.FutureTimeoutError as error:
            raise UsageError(
                f"nobody answers at --job_endpoint {endpoint} within {_SECONDS_TO_ANSWER:g} s."
            ) from error


def _class_name(runner: str) -> str:
    """The runner's class in small letters; Beam takes `Flink` for FlinkRunner, in any case."""
    name = runner.rsplit(".", 1)[-1].lower()
    return name if name.endswith("runner") else f"{name}runner"


def _beam_parser() -> argparse.ArgumentParser:
    """A parser of all options that Beam knows."""
    from apache_beam.options.pipeline_options import PipelineOptions

    parser = OneLineParser(add_help=False, conflict_handler="resolve", allow_abbrev=False)
    for options in [PipelineOptions, *_subclasses(PipelineOptions)]:
        add = options.__dict__.get("_add_argparse_args")
        if add is not None:
            add.__get__(None, options)(parser)
    return parser


def _subclasses(cls: Any) -> list[Any]:
    return [found for sub in cls.__subclasses__() for found in (sub, *_subclasses(sub))]
