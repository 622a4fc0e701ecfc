"""Beam's own options on our command line, and the runner that is used when none is named."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from pipelines.usage import UsageError, nearest

DEFAULT_RUNNER = "FnApiRunner"
"""Beam's own default would first try to download Prism, and hang on a machine without internet."""

_LOCAL_RUNNERS = ("fnapirunner", "directrunner")
_REFUSED_RUNNERS = {
    "daskrunner": "Beam's DaskRunner reports success and loses data (side branches, tags, tails of "
    "batches); use FnApiRunner, or Flink or Spark through PortableRunner"
}


def split_beam_options(words: Sequence[str], own: Iterable[str]) -> tuple[list[str], list[str]]:
    """(our words, Beam's words) of a command line; UsageError for a name that neither knows.

    Args:
        words: The command line after the sub-command.
        own: Names of our options; they win over Beam's.
    """
    own = set(own)
    if all(_name(word) in own for word in words if word.startswith("--")):
        return list(words), []
    actions = _beam_actions()
    ours, beams = list[str](), list[str]()
    position = 0
    while position < len(words):
        name = _name(words[position])
        if not name.startswith("--") or name in own:
            ours.append(words[position])
            position += 1
            continue
        if name not in actions:
            raise UsageError(f"unknown option {name}.{nearest(name, own | set(actions))}")
        end = _end_of_option(words, position, actions[name])
        beams.extend(words[position:end])
        position = end
    return ours, beams


def pipeline_flags(beam_words: Sequence[str]) -> list[str]:
    """Beam's words with our default runner added where none is named; UsageError for Dask."""
    runner = runner_name(beam_words)
    reason = _REFUSED_RUNNERS.get(runner.rsplit(".", 1)[-1].lower())
    if reason:
        raise UsageError(f"--runner {runner} is refused: {reason}.")
    named = any(_name(word) == "--runner" for word in beam_words)
    return [*beam_words, *([] if named else [f"--runner={DEFAULT_RUNNER}"])]


def runner_name(beam_words: Sequence[str]) -> str:
    """The runner that Beam's words name, or the default."""
    return option_value(beam_words, "--runner") or DEFAULT_RUNNER


def is_local_runner(runner: str) -> bool:
    """Whether the runner works in processes of this machine that we may choose."""
    return runner.rsplit(".", 1)[-1].lower() in _LOCAL_RUNNERS


def option_value(beam_words: Sequence[str], name: str) -> str | None:
    """Value of option `name`, from `--name value` or `--name=value`; None if it is not there."""
    for position, word in enumerate(beam_words):
        if _name(word) == name:
            if "=" in word:
                return word.split("=", 1)[1]
            return beam_words[position + 1] if position + 1 < len(beam_words) else None
    return None


def _name(word: str) -> str:
    return word.split("=", 1)[0]


def _end_of_option(words: Sequence[str], position: int, action: argparse.Action) -> int:
    """Index after the option at `position` and the values that belong to it."""
    if "=" in words[position] or action.nargs == 0:
        return position + 1
    if action.nargs is None:
        return min(position + 2, len(words))
    end = position + 1
    while end < len(words) and not words[end].startswith("-"):
        end += 1
    return end


def _beam_actions() -> dict[str, argparse.Action]:
    """Every option that Beam knows, by name."""
    from apache_beam.options.pipeline_options import PipelineOptions

    parser = argparse.ArgumentParser(add_help=False, conflict_handler="resolve")
    for options in [PipelineOptions, *_subclasses(PipelineOptions)]:
        add = options.__dict__.get("_add_argparse_args")
        if add is not None:
            add.__get__(None, options)(parser)
    return {name: action for action in parser._actions for name in action.option_strings}


def _subclasses(cls: Any) -> list[Any]:
    return [found for sub in cls.__subclasses__() for found in (sub, *_subclasses(sub))]
