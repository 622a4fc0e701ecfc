"""The `hierprob3d` command: finds the sub-command, reads its options and runs it.

Each sub-command is a module with `add_arguments(parser)` and `run(args) -> exit code`, imported
only when asked for, so that one with a missing extra does not break the others. A module that sets
`ACCEPTS_BEAM_OPTIONS = True` is also given Beam's own options, as `args.beam_options`.
"""

from __future__ import annotations

import importlib
import sys
from argparse import Action
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

from .usage import (
    EXIT_DONE,
    EXIT_USAGE,
    OneLineParser,
    UsageError,
    nearest,
    option_actions,
    option_name,
    options_and_others,
)


@dataclass(frozen=True)
class Command:
    """Where a sub-command lives and what it does."""

    module: str
    help: str
    extra: str = ""


COMMANDS = {
    "predict": Command("pipelines.predict", "annotate pictures and videos"),
    "evaluate": Command("pipelines.evaluate", "metrics on 3DPW, SSP-3D or synthetic data"),
    "preprocess-3dpw": Command("pipelines.preprocess_3dpw", "3DPW to crops and labels"),
    "prepare-backgrounds": Command(
        "training.prepare_backgrounds", "photographs for training, such as LSUN's"
    ),
    "train": Command("training.train_command", "train a distribution network"),
    "assess": Command("pipelines.assess", "all figures of the weights' model card"),
    "report": Command("pipelines.report", "one HTML page of a prediction run"),
    "export": Command("pipelines.export", "meshes and parameters for other tools"),
    "inspect": Command("pipelines.inspect", "counts, errors and timings of a run"),
}
PROGRAM = "hierprob3d"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code of the command in `argv`: 0 done, 1 too many failures, 2 bad usage.

    Errors of the user (`UsageError`, other `ValueError`s, missing or unwritable files) end as one
    line on stderr; anything else is a defect and keeps its traceback.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return EXIT_DONE if words else EXIT_USAGE
    name = words[0]
    try:
        return _run_command(name, words[1:])
    except SystemExit as leaving:  # argparse after --help
        return leaving.code if isinstance(leaving.code, int) else EXIT_USAGE
    except (ValueError, OSError) as error:
        print(f"{PROGRAM} {name}: error: {_one_line(error)}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print(f"{PROGRAM} {name}: stopped; the same command goes on from here.", file=sys.stderr)
        return 130


def _run_command(name: str, words: list[str]) -> int:
    if name not in COMMANDS:
        raise UsageError(f"no such command.{nearest(name, COMMANDS)} One of {', '.join(COMMANDS)}.")
    module = _import(name)
    parser = OneLineParser(prog=f"{PROGRAM} {name}", description=module.__doc__, allow_abbrev=False)
    module.add_arguments(parser)
    own = option_actions(parser)
    known = own | _beam_actions(words, own) if _accepts_beam_options(module) else own
    options, others = options_and_others(words, known)
    ours = [word for option in options if option_name(option[0]) in own for word in option]
    args, rest = parser.parse_known_args([*ours, "--", *others] if others else ours)
    if rest:
        raise UsageError(f"unexpected argument {rest[-1]!r}.")
    args.beam_options = [
        word for option in options if option_name(option[0]) not in own for word in option
    ]
    return int(module.run(args))


def _accepts_beam_options(module: ModuleType) -> bool:
    return getattr(module, "ACCEPTS_BEAM_OPTIONS", False)


def _beam_actions(words: list[str], own: Mapping[str, Action]) -> dict[str, Action]:
    """Beam's options, where a word may be one: importing Beam takes seconds."""
    if all(option_name(word) in own for word in words if word.startswith("--")):
        return {}
    from .beam_options import beam_actions

    return beam_actions()


def _import(name: str) -> ModuleType:
    """The module of a sub-command; UsageError naming the package that is not installed."""
    command = COMMANDS[name]
    try:
        return importlib.import_module(f"{PROGRAM}.{command.module}")
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == PROGRAM:
            raise
        raise UsageError(f"needs the package '{error.name}', which is not installed.") from error


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.help}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            f"usage: {PROGRAM} COMMAND ... (COMMAND --help for its options)",
            "",
            "3D human bodies from pictures, with their uncertainty.",
            "",
            *lines,
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
