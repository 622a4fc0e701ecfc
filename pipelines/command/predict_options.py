"""The options of `predict`: declared, read from the command line and a YAML file, checked."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hierprob3d.configs.prediction import (
    DETECTORS,
    GENDERS,
    KEYPOINTS,
    PEOPLE,
    PICTURES,
    SAVES,
    ModelsConfig,
    PredictConfig,
    RefinementConfig,
    RunConfig,
    SamplingConfig,
    SourceConfig,
)

from .usage import UsageError, nearest, option_actions, refuse_without

_NOT_OPTIONS = ("config", "beam_options")
_LISTS = ("--save", "--visualise")


def add_predict_options(parser: argparse.ArgumentParser) -> None:
    """Declares all options of `predict`; one that is not given leaves no trace in the result."""
    parser.argument_default = argparse.SUPPRESS
    parser.add_argument("inputs", nargs="*", metavar="INPUT", default=argparse.SUPPRESS,
                        help="picture, video, folder, glob, or list (.txt, .csv or .parquet with "
                        "a column uri); any fsspec path")  # fmt: skip
    parser.add_argument(
        "--output", metavar="DIR", help="folder of the results, made if needed", **_REST
    )
    parser.add_argument(
        "--config", metavar="YAML", help="file with options by name; the command line wins", **_REST
    )
    for title, options in _GROUPS.items():
        group = parser.add_argument_group(title)
        for names, details in options:
            group.add_argument(*names, **(_REST | details))


_REST: dict[str, Any] = {"default": argparse.SUPPRESS}

_GROUPS: dict[str, list[tuple[tuple[str, ...], dict[str, Any]]]] = {
    "inputs": [
        (("--frame-step",), {"type": int, "metavar": "N", "help": "every N-th frame of videos"}),
        (("--fps",), {"type": float, "metavar": "X", "help": "X frames per second of videos"}),
        (("--limit",), {"type": int, "metavar": "N", "help": "at most N new items in this run"}),
        (("--max-megapixels",), {"type": float, "metavar": "X",
         "help": "larger pictures become error rows, undecoded (100)"}),
        (("--check-sources",), {"action": "store_true",
         "help": "ask for the version of what lists name; what changed is done again"}),
    ],
    "models": [
        (("--body-model",), {"metavar": "open|PATH",
         "help": "bundled OpenBody (open), an SMPL file, or the folder of SMPL_NEUTRAL.pkl ..."}),
        (("--gender",), {"choices": GENDERS, "help": "body model for everybody (neutral)"}),
        (("--weights",), {"metavar": "PATH",
         "help": "distribution network: safetensors or the paper's .tar (bundled)"}),
        (("--detector",), {"choices": DETECTORS,
         "help": "person detector; none = pictures are cropped and centred (movenet)"}),
        (("--cropped-images",), {"dest": "detector", "action": "store_const", "const": "none",
         "help": "the same as --detector none"}),
        (("--detector-weights",), {"metavar": "PATH", "help": "weights of the detector"}),
        (("--detector-threshold",), {"type": float, "metavar": "X",
         "help": "score of a person (0.2 movenet, 0.95 maskrcnn)"}),
        (("--keypoints",), {"choices": KEYPOINTS, "help": "keypoint model (movenet)"}),
        (("--keypoint-weights",), {"metavar": "PATH", "help": "its weights; hrnet needs them"}),
        (("--keypoint-threshold",), {"type": float, "metavar": "X",
         "help": "confidence of a visible limb keypoint (0.3 movenet, 0.75 hrnet)"}),
        (("--people",), {"choices": PEOPLE, "help": "everybody, or the centre-most person (all)"}),
        (("--device",), {"metavar": "NAME", "help": "auto, cpu, cuda or cuda:N (auto)"}),
    ],
    "uncertainty": [
        (("--num-samples",), {"type": int, "metavar": "N", "help": "bodies per person (50)"}),
        (("--no-uncertainty",), {"action": "store_true", "help": "no samples, no spreads in m"}),
        (("--paper-uncertainty",), {"action": "store_true",
         "help": "spreads with the mean shape, as the paper's code"}),
        (("--seed",), {"type": int, "metavar": "N", "help": "seed of all draws (0)"}),
        (("--save",), {"metavar": "LIST", "help": f"more columns: {','.join(SAVES)}"}),
    ],
    "refinement": [
        (("--refine",), {"action": "store_true",
         "help": "also move bodies onto the keypoints, as far as the distribution allows"}),
        (("--keypoint-error",), {"type": float, "metavar": "X",
         "help": "factor on the keypoints' errors; below 0.5 bodies follow them too far (1)"}),
    ],
    "run": [
        (("--shard-size",), {"type": int, "metavar": "N", "help": "items per unit of work"}),
        (("--batch-size",), {"type": int, "metavar": "N",
         "help": "pictures in memory, people per network call (16)"}),
        (("--visualise",), {"metavar": "LIST", "help": f"draw pictures: {','.join(PICTURES)}"}),
        (("--retry-failed",), {"action": "store_true", "help": "do failed items again"}),
        (("--overwrite",), {"action": "store_true", "help": "do all inputs again"}),
        (("--dry-run",), {"action": "store_true", "help": "check everything, write nothing"}),
        (("--max-failed-ratio",), {"type": float, "metavar": "X",
         "help": "exit code 1 above this share of failures (0.5)"}),
        (("--time-limit-per-item",), {"type": float, "metavar": "X",
         "help": "seconds after which an item becomes an error row (300)"}),
    ],
}  # fmt: skip
"""Option names and their argparse details, by the heading under which --help shows them."""


def config_from_args(args: argparse.Namespace, parser: argparse.ArgumentParser) -> PredictConfig:
    """The configuration that command line and YAML file give together.

    Args:
        args: What was on the command line.
        parser: A parser with `add_predict_options`, which reads the values of the YAML file.

    Raises:
        UsageError: An unknown key, a value of another type, a missing --output or input.
        ValueError: A value out of range.
    """
    given = {k: v for k, v in vars(args).items() if k not in _NOT_OPTIONS}
    path = getattr(args, "config", None)
    values = {**(_read_yaml(Path(path), parser) if path else {}), **given}
    if not values.get("inputs"):
        raise UsageError("give at least one INPUT: a picture, video, folder, glob or list.")
    if not values.get("output"):
        raise UsageError("--output DIR is missing.")
    refuse_without(values, "keypoint_error", "refine")
    return PredictConfig(
        source=SourceConfig(
            **_take(values, "frame_step", "fps", "limit", "max_megapixels", "check_sources"),
            inputs=tuple(values["inputs"]),
        ),
        models=ModelsConfig(
            **_take(
                values, "body_model", "gender", "weights", "detector", "detector_weights",
                "detector_threshold", "keypoints", "keypoint_weights", "keypoint_threshold",
                "people", "device",
            )
        ),
        sampling=SamplingConfig(
            **_take(values, "num_samples", "seed"),
            uncertainty=not values.get("no_uncertainty", False),
            paper_rule=values.get("paper_uncertainty", False),
            save=_as_set(values.get("save", "")),
        ),
        refinement=RefinementConfig(**_take(values, "refine", "keypoint_error")),
        run=RunConfig(
            **_take(
                values, "output", "shard_size", "batch_size", "retry_failed", "overwrite",
                "dry_run", "max_failed_ratio", "time_limit_per_item",
            ),
            visualise=_as_set(values.get("visualise", "")),
        ),
    )  # fmt: skip


def _read_yaml(path: Path, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Options of a YAML file as the parser would have them from the command line."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a YAML file: {error}") from error
    if not isinstance(content, Mapping):
        raise UsageError(f"{path} must hold options by name, such as `num-samples: 50`.")
    options = {"--" + str(key).replace("_", "-"): value for key, value in content.items()}
    inputs = options.pop("--inputs", [])
    actions = option_actions(parser)
    try:
        words = [word for name in options for word in _as_words(name, options[name], actions)]
        return {**vars(parser.parse_args(words)), "inputs": _as_inputs(inputs)}
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _as_words(name: str, value: Any, actions: Mapping[str, argparse.Action]) -> list[str]:
    """The option as it would stand on the command line; a value of null leaves it out."""
    if name not in actions:
        raise UsageError(f"unknown option {name.removeprefix('--')}.{nearest(name, actions)}")
    if value is None:
        return []
    if actions[name].nargs == 0:
        if not isinstance(value, bool):
            raise UsageError(f"{name} must be true or false, got {value!r}.")
        return [name] if value else []
    if name in _LISTS and isinstance(value, list):
        value = ",".join(map(str, value))
    if isinstance(value, bool | list | Mapping):
        raise UsageError(f"{name} must be a single value, got {value!r}.")
    return [f"{name}={value}"]


def _as_inputs(value: Any) -> tuple[str, ...]:
    inputs = [value] if isinstance(value, str) else value
    if not isinstance(inputs, list) or not all(isinstance(name, str) for name in inputs):
        raise UsageError(f"inputs must be a path or a list of paths, got {value!r}.")
    return tuple(inputs)


def _take(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


def _as_set(words: str) -> frozenset[str]:
    """Members of a list with commas."""
    return frozenset(word.strip() for word in words.split(",") if word.strip())
