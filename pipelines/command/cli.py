"""The `hierprob3d` command: finds the sub-command, reads its options and runs it.

Each sub-command is a documented configuration, whose fields are its options, and a function of it
that returns the exit code. The function's module is imported only when the options are right, so
that --help and messages come at once, and one with a missing extra does not break the others.
"""

from __future__ import annotations

import importlib
import sys
from argparse import Action
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hierprob3d.configs.checks import nearest
from hierprob3d.configs.option_fields import option_fields
from hierprob3d.module_path import restart_words

from .options import add_options, config_from, is_given, usage
from .output_streams import said_if_slow, unbroken_output
from .termination import Terminated, termination_as_interrupt
from .usage import (
    EXIT_DONE,
    EXIT_FAILURES,
    EXIT_GO_ON,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    OneLineParser,
    UsageError,
    known_name,
    option_actions,
    option_name,
    options_and_others,
)


@dataclass(frozen=True)
class Command:
    """What a sub-command does, is told and calls, as `module:name` below hierprob3d."""

    help: str
    config: str
    function: str
    takes_beam_options: bool = False
    """Whether the function is also given Beam's own options, as words."""

    takes_command: bool = False
    """Whether the function is also given the words after `--`, another command with its options."""

    instead: Command | None = None
    """What is done instead where an option of its configuration is given."""


COMMANDS = {
    "predict": Command(
        "annotate pictures and videos",
        "configs.prediction:PredictConfig", "pipelines.predict:predict", takes_beam_options=True,
    ),
    "evaluate": Command(
        "metrics on 3DPW, SSP-3D or synthetic data",
        "configs.evaluation:EvaluateConfig", "pipelines.evaluate:evaluate", takes_beam_options=True,
        instead=Command(
            "the difference of two evaluations",
            "configs.evaluation:CompareConfig", "pipelines.evaluation.comparison:print_comparison",
        ),
    ),
    "preprocess-3dpw": Command(
        "3DPW to crops and labels",
        "configs.preprocessing:PreprocessConfig", "pipelines.preprocess_3dpw:preprocess",
        takes_beam_options=True,
    ),
    "plan": Command(
        "divide one of these into parts for many machines",
        "configs.parts:PlanConfig", "pipelines.parts.plan_parts:run", takes_command=True,
    ),
    "work": Command(
        "do one part of a plan",
        "configs.parts:WorkConfig", "pipelines.parts.work_part:run", takes_beam_options=True,
    ),
    "finish": Command(
        "join what all parts have done, or say what is missing",
        "configs.parts:FinishConfig", "pipelines.parts.finish_parts:run",
    ),
    "slurm": Command(
        "plan, work and finish as a chain of Slurm jobs",
        "configs.parts:SlurmConfig", "pipelines.parts.slurm:run", takes_command=True,
    ),
    "compact": Command(
        "join a run's many small files into few large ones",
        "configs.run_results:CompactConfig", "pipelines.compact:run",
    ),
    "prepare-backgrounds": Command(
        "photographs for training, such as LSUN's",
        "configs.training_commands:BackgroundsConfig", "training.prepare_backgrounds:run",
    ),
    "train": Command(
        "train a distribution network",
        "configs.training_commands:TrainCommandConfig", "training.train_command:run",
    ),
    "train-lift": Command(
        "train the network that reads coordinates",
        "configs.lift_training:LiftCommandConfig", "training.lift.train_lift:run",
    ),
    "train-shape": Command(
        "train the network of shapes",
        "configs.shape_training:ShapeCommandConfig", "training.shape.train_shape:run",
    ),
    "plot-training": Command(
        "curves of several trainings",
        "configs.training_commands:PlotTrainingConfig", "training.run.run_comparison:run",
    ),
    "assess": Command(
        "all figures of the weights' model card",
        "configs.training_commands:AssessConfig", "pipelines.assess:run",
    ),
    "track": Command(
        "people of a run's videos over time, their motion smoothed",
        "configs.tracking:TrackConfig", "pipelines.track:track", takes_beam_options=True,
    ),
    "render": Command(
        "pictures and videos of a run, from its tables",
        "configs.run_results:RenderConfig", "pipelines.render:run",
    ),
    "report": Command(
        "one HTML page of a prediction run",
        "configs.run_results:ReportConfig", "pipelines.report:run",
    ),
    "export": Command(
        "meshes and parameters for other tools",
        "configs.run_results:ExportConfig", "pipelines.export:run",
    ),
    "inspect": Command(
        "counts, errors and timings of a run",
        "configs.run_results:InspectConfig", "pipelines.inspect:run",
    ),
}  # fmt: skip
PROGRAM = "hierprob3d"
_UNMAPPED = "failed to map segment"
"""What the system's loader says where a library does not fit into the memory that is allowed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code of the command in `argv`: see `command.usage`.

    Errors of the user (`UsageError`, other `ValueError`s, missing or unwritable files) end as one
    line on stderr, and so do disks that are full and stores that do not answer, with code 1;
    anything else is a defect and keeps its traceback.
    """
    with unbroken_output(), termination_as_interrupt():
        return _exit_code(argv)


def _exit_code(argv: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return EXIT_DONE if words else EXIT_USAGE
    if words[0] == "--version":
        print(f"{PROGRAM} {_version()}")
        return EXIT_DONE
    name = words[0]
    try:
        return _run_command(name, words[1:])
    except SystemExit as leaving:  # argparse after --help
        return leaving.code if isinstance(leaving.code, int) else EXIT_USAGE
    except (ValueError, OSError) as error:
        from hierprob3d.transforms.store.outages import is_outage  # not for those that succeed

        print(f"{PROGRAM} {name}: error: {_one_line(error)}", file=sys.stderr)
        return EXIT_FAILURES if is_outage(error) else EXIT_USAGE
    except KeyboardInterrupt as stop:
        print(f"{PROGRAM} {name}: stopped; the same command goes on from here.", file=sys.stderr)
        return EXIT_GO_ON if isinstance(stop, Terminated) else EXIT_INTERRUPTED


def _run_command(name: str, words: list[str]) -> int:
    command, config, beam_words = parse_command(name, words)
    with said_if_slow("loading libraries ..."):
        function = _function(command)
        if restart_words():  # else a program calls us, which may want pandas
            _leave_pandas_out()
    takes_words = command.takes_beam_options or command.takes_command
    return int(function(config, beam_words) if takes_words else function(config))


def _leave_pandas_out() -> None:
    from hierprob3d.transforms.tables.arrow_alone import leave_pandas_out  # takes PyArrow

    leave_pandas_out()


def parse_command(name: str, words: list[str]) -> tuple[Command, Any, list[str]]:
    """What to call for a command line, with its configuration and the words it is also given.

    Raises:
        UsageError: there is no such command or option, or something needed is missing.
        ValueError: a value out of range.
    """
    if name not in COMMANDS:
        raise UsageError(f"no such command.{nearest(name, COMMANDS)} One of {', '.join(COMMANDS)}.")
    command, parser, classes = _parser(name)
    if command.takes_command:
        words, inner = _before_and_after_dashes(words)
    own = option_actions(parser)
    further = _beam_actions(words, own) if command.takes_beam_options else {}
    options, others = options_and_others(words, own, further)
    ours = [word for option in options if option_name(option[0]) in own for word in option]
    beam_words = [w for option in options if option_name(option[0]) not in own for w in option]
    args, rest = parser.parse_known_args([*ours, "--", *others] if others else ours)
    if rest:
        raise UsageError(f"unexpected argument {rest[-1]!r}.")
    if command.instead and is_given(classes[1], args):
        if is_given(classes[0], args) or beam_words:
            (first, *_) = option_fields(classes[1])
            raise UsageError(f"{first.option_name} goes without other options.")
        command = command.instead
    given = inner if command.takes_command else beam_words
    return command, config_from(_named(command.config), args), given


def _before_and_after_dashes(words: list[str]) -> tuple[list[str], list[str]]:
    """A command's own words, and those of the command that it is given.

    Where the dashes are missing, nothing is given: so much is told, and not that the options of the
    other command are unknown.
    """
    names = (position for position, word in enumerate(words) if word in COMMANDS)
    position = words.index("--") if "--" in words else next(names, len(words))
    return words[:position], words[position + 1 :] if "--" in words else []


def _parser(name: str) -> tuple[Command, OneLineParser, list[type]]:
    """A command, the parser of its options, and the configurations that these are fields of."""
    command = COMMANDS[name]
    paths = [command.config, *([command.instead.config] if command.instead else [])]
    classes = [_named(path) for path in paths]
    parser = OneLineParser(
        prog=f"{PROGRAM} {name}",
        usage=usage(f"{PROGRAM} {name}", classes[0]),
        description=classes[0].__doc__,
        epilog=_BEAM_TOO if command.takes_beam_options else None,
        allow_abbrev=False,
    )
    add_options(parser, *classes)
    return command, parser, classes


_BEAM_TOO = (
    "Every option of Apache Beam is taken as well, such as --runner or --direct_num_workers."
)


def _beam_actions(words: list[str], own: Mapping[str, Action]) -> dict[str, Action]:
    """Beam's options but for those we have, where a word may be one: importing it takes seconds."""
    if all(known_name(word, own) for word in words if word.startswith("--")):
        return {}
    from .beam_options import beam_actions

    return {name: a for name, a in beam_actions().items() if not known_name(name, own)}


def _function(command: Command) -> Any:
    """The function of a command; UsageError naming the package that is not installed."""
    try:
        return _named(command.function)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == PROGRAM:
            raise
        raise UsageError(f"needs the package '{error.name}', which is not installed.") from error
    except ImportError as error:
        if _UNMAPPED not in str(error):
            raise
        raise UsageError(f"more memory is needed than `ulimit -v` allows ({error}).") from error


def _named(path: str) -> Any:
    """The object at `module:name` below hierprob3d."""
    module, name = path.split(":")
    return getattr(importlib.import_module(f"{PROGRAM}.{module}"), name)


def _version() -> str:
    from importlib import metadata  # only here: it takes as long as all of --help

    return metadata.version(PROGRAM)


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def _overview() -> str:
    texts = {name: command.help for name, command in COMMANDS.items()}
    texts |= {"--version": "the version of this package", "--help": "this list"}
    width = max(map(len, texts))
    lines = [f"  {name:{width}}  {text}" for name, text in texts.items()]
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
