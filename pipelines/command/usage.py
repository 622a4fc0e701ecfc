"""What the command line says to a user who asked for something it cannot do."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

from hierprob3d.configs.checks import nearest

EXIT_DONE = 0
EXIT_FAILURES = 1
"""Too many items failed, it stopped midway, or nothing was done."""

EXIT_USAGE = 2
EXIT_GO_ON = 75
"""Told to stop by SIGTERM, as schedulers do before a time limit: the same command goes on."""

EXIT_INTERRUPTED = 130
"""Ctrl-C."""

_FURTHER_SPELLINGS = re.compile(r"^(argument [^\s/:]+)(?:/[^\s/:]+)+:")
_SURELY_MEANT = 0.85
"""Likeness to an option of a library's hundreds, of which some are like any word."""

_NUMBER = re.compile(r"-\d*\.?\d+")


class UsageError(ValueError):
    """The user asked for something that cannot be done; the message says what to change."""


class _NamesThenValue(argparse.HelpFormatter):
    """Lists the spellings of an option, then its value once."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        values = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {values}"


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, without the usage block above it."""

    def __init__(self, **details: Any) -> None:
        super().__init__(formatter_class=_NamesThenValue, **details)

    def error(self, message: str) -> NoReturn:
        """Raise UsageError; of the spellings of an option it names the first."""
        message = _FURTHER_SPELLINGS.sub(r"\1:", message)
        message = message.replace("ignored explicit argument", "takes no value, got")
        raise UsageError(f"{message} (--help lists the options)")


def option_name(word: str) -> str:
    """The name in `--name` or `--name=value`."""
    return word.split("=", 1)[0]


def known_name(word: str, actions: Mapping[str, argparse.Action]) -> str | None:
    """The known name that `--name` or `--name=value` means; None where there is none.

    Underscores and dashes inside a long name are alike, as the paper's code writes the ones, and we
    the others, but a name that is known as it stands means itself.
    """
    name = option_name(word)
    if name in actions or not name.startswith("--"):
        return name if name in actions else None
    alike = name.replace("_", "-")
    return next((known for known in actions if known.replace("_", "-") == alike), None)


def option_actions(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Every option that the parser knows, by each of its names."""
    return {name: action for action in parser._actions for name in action.option_strings}


def options_and_others(
    words: Sequence[str],
    own: Mapping[str, argparse.Action],
    further: Mapping[str, argparse.Action] = MappingProxyType({}),
) -> tuple[list[list[str]], list[str]]:
    """(each option with its values, all other words) of a command line.

    argparse takes positional words in one run only, and tells of an unknown option last of all.

    Args:
        words: Options and other words in any order; after `--` nothing is an option.
        own: Our options by name.
        further: Options of a library that are known as well.

    Raises:
        UsageError: An unknown option; names the nearest known one.
    """
    actions = {**own, **further}
    options, others = list[list[str]](), list[str]()
    position = 0
    while position < len(words) and words[position] != "--":
        word = words[position]
        if not _is_option(option_name(word)):
            others.append(word)
            position += 1
            continue
        name = known_name(word, actions)
        if name is None:
            wrong = option_name(word)
            meant = (nearest(wrong, names, _SURELY_MEANT) for names in (own, further))
            hint = next(filter(None, meant), nearest(wrong, own))
            raise UsageError(f"unknown option {wrong}.{hint}")
        end = _end_of_option(words, position, actions[name])
        options.append([name + word[len(name) :], *words[position + 1 : end]])
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
