"""What the command line says to a user who asked for something it cannot do."""

from __future__ import annotations

import argparse
import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

EXIT_DONE = 0
EXIT_FAILURES = 1
EXIT_USAGE = 2

_NUMBER = re.compile(r"-\d*\.?\d+")


class UsageError(ValueError):
    """The user asked for something that cannot be done; the message says what to change."""


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, without the usage block above it."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{message} (--help lists the options)")


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint such as ` Did you mean --seed?`, empty when nothing is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]}?" if near else ""


def refuse_without(values: Mapping[str, Any], name: str, needed: str) -> None:
    """UsageError where an option is given without the switch that it changes nothing without.

    Args:
        values: what was given, by the name of its destination.
        name: destination of the option.
        needed: destination of the switch.
    """
    if name in values and not values.get(needed):
        raise UsageError(f"--{name.replace('_', '-')} needs --{needed.replace('_', '-')}.")


def option_name(word: str) -> str:
    """The name in `--name` or `--name=value`."""
    return word.split("=", 1)[0]


def option_actions(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Every option that the parser knows, by each of its names."""
    return {name: action for action in parser._actions for name in action.option_strings}


def options_and_others(
    words: Sequence[str], actions: Mapping[str, argparse.Action]
) -> tuple[list[list[str]], list[str]]:
    """(each option with its values, all other words) of a command line.

    argparse takes positional words in one run only, and tells of an unknown option last of all.

    Args:
        words: Options and other words in any order; after `--` nothing is an option.
        actions: The known options by name.

    Raises:
        UsageError: An unknown option; names the nearest known one.
    """
    options, others = list[list[str]](), list[str]()
    position = 0
    while position < len(words) and words[position] != "--":
        name = option_name(words[position])
        if not _is_option(name):
            others.append(words[position])
            position += 1
            continue
        if name not in actions:
            raise UsageError(f"unknown option {name}.{nearest(name, actions)}")
        end = _end_of_option(words, position, actions[name])
        options.append(list(words[position:end]))
        position = end
    return options, [*others, *words[position + 1 :]]


def _is_option(name: str) -> bool:
    """Whether argparse would take the word for an option."""
    return len(name) > 1 and name[0] == "-" and " " not in name and not _NUMBER.fullmatch(name)


def _end_of_option(words: Sequence[str], position: int, action: argparse.Action) -> int:
    """Index after the option at `position` and the values that belong to it."""
    if "=" in words[position]:
        return position + 1
    most: float = action.nargs if isinstance(action.nargs, int) else 1
    if action.nargs in ("*", "+"):
        most = math.inf
    end = position + 1
    while end < len(words) and end - position <= most and not _is_option(words[end]):
        end += 1
    return end
