"""What the command line says to a user who asked for something it cannot do."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable
from typing import NoReturn

EXIT_DONE = 0
EXIT_FAILURES = 1
EXIT_USAGE = 2


class UsageError(ValueError):
    """The user asked for something that cannot be done; the message says what to change."""


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, without the usage block above it."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2 and one line on stderr."""
        self.exit(EXIT_USAGE, f"{self.prog}: error: {message} (--help lists the options)\n")


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint such as ` Did you mean --seed?`, empty when nothing is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]}?" if near else ""


def option_names(parser: argparse.ArgumentParser) -> set[str]:
    """Every `--name` that the parser knows."""
    return {name for action in parser._actions for name in action.option_strings}


def check_unknown(rest: list[str], known: Iterable[str]) -> None:
    """Raise UsageError at the first of `rest`, the words that a parser did not understand."""
    for word in rest:
        name = word.split("=", 1)[0]
        if name.startswith("-"):
            raise UsageError(f"unknown option {name}.{nearest(name, known)}")
        raise UsageError(f"unexpected argument {word!r}.")
