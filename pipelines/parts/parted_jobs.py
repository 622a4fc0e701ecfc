"""The commands that many machines can do together, and their options from command line and plan."""

from __future__ import annotations

import importlib
from typing import Any

from hierprob3d.configs.checks import nearest
from hierprob3d.configs.loading import restored
from hierprob3d.pipelines.command.cli import COMMANDS, parse_command
from hierprob3d.pipelines.command.usage import UsageError
from hierprob3d.pipelines.run.absolute_paths import check_local_paths, with_absolute_paths
from hierprob3d.pipelines.run.job import Job
from hierprob3d.transforms.inputs.listing import check_local_inputs
from hierprob3d.transforms.inputs.uris import absolute

JOBS = {
    "predict": "predict:Prediction",
    "evaluate": "evaluate:Evaluation",
    "preprocess-3dpw": "preprocess_3dpw:Preprocessing",
}
"""Classes below hierprob3d.pipelines, by command."""


def job_class(command: str) -> type[Job]:
    """What a command does; its module is imported only here."""
    module, name = JOBS[command].split(":")
    found: type[Job] = getattr(importlib.import_module(f"hierprob3d.pipelines.{module}"), name)
    return found


def read_command(program: str, words: list[str]) -> tuple[str, Any, list[str]]:
    """Name, configuration and Beam's words of the command after `--`.

    Raises:
        UsageError: There is none, or it is none of those that can be divided.
        ValueError: Its options are wrong.
    """
    if not words:
        raise UsageError(
            "give the command after --, as in "
            f"hierprob3d {program} --parts 8 -- predict photos --output out"
        )
    name, *options = words
    if name not in JOBS:
        known = ", ".join(JOBS)
        raise UsageError(f"{name!r} cannot be divided.{nearest(name, JOBS)} One of {known}.")
    try:
        command, config, beam_words = parse_command(name, options)
    except ValueError as error:
        raise UsageError(f"of {name}: {error}") from error
    if command is not COMMANDS[name]:
        raise UsageError(f"{name} --compare is done at once, not in parts.")
    if getattr(getattr(config, "run", None), "dry_run", False):
        raise UsageError("--dry-run goes with the command itself, without parts.")
    return name, config, beam_words


def output_of(config: Any) -> str:
    """The output folder that a command names, absolute."""
    return absolute(getattr(config, "run", config).output)


def check_named(config: Any) -> None:
    """Raise an error if a local input, model or dataset that a command names is not here.

    Without listing or loading any; stores are not asked.

    Raises:
        FileNotFoundError: An input.
        UsageError: Another path.
    """
    check_local_inputs(getattr(getattr(config, "source", None), "inputs", ()))
    is_made = getattr(config, "dataset", None) == "synthetic"
    check_local_paths(with_absolute_paths(config), {"output", *(["data"] if is_made else [])})


def planned_job(command: str, stored: dict[str, Any], device: str | None) -> Job:
    """The job of a plan.

    Args:
        command: Its name.
        stored: Its configuration, as the plan keeps it.
        device: Where networks compute here, None as planned.

    Raises:
        UsageError: Another version wrote the plan.
    """
    kind = job_class(command)
    settings = stored if device is None else with_device(stored, device)
    try:
        return kind(restored(kind.config_class, settings))
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"the plan was made by another version of this package: {error}"
        ) from error


def with_device(stored: dict[str, Any], device: str) -> dict[str, Any]:
    """Settings of a command with another device."""
    if "models" in stored:
        return {**stored, "models": {**stored["models"], "device": device}}
    return {**stored, "device": device}
