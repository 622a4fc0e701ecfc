"""The options of `evaluate`."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

from hierprob3d.configs.evaluation import (
    DATASETS,
    KEYPOINTS,
    METRIC_NAMES,
    PROTOCOLS,
    EvaluateConfig,
)

from .usage import UsageError, nearest, refuse_without

_OPTIONS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "data": [
        ("--dataset", {"choices": tuple(DATASETS), "help": "which dataset --data holds"}),
        ("--data", {"metavar": "DIR", "help": "its folder; of 3dpw preprocessed or raw; any fsspec "
                    "path; a synthetic one is made if it is not there"}),
        ("--split", {"choices": ("train", "validation", "test"), "help": "part of 3dpw (test)"}),
        ("--limit", {"type": int, "metavar": "N", "help": "only the first N rows"}),
    ],
    "models": [
        ("--body-model", {"metavar": "open|DIR", "help": "bundled OpenBody (open), or the folder "
                          "of SMPL_NEUTRAL.pkl, SMPL_MALE.pkl and SMPL_FEMALE.pkl"}),
        ("--weights", {"metavar": "PATH",
                       "help": "distribution network: safetensors or the paper's .tar (bundled)"}),
        ("--keypoints", {"choices": KEYPOINTS, "help": "keypoint file of 3dpw (hrnet)"}),
        ("--keypoint-weights", {"metavar": "PATH", "help": "HRNet, to preprocess raw 3dpw"}),
        ("--keypoint-threshold", {"type": float, "metavar": "X", "help": "confidence of a visible "
                                  "limb keypoint (3dpw 0.6, movenet 0.3, ssp3d none)"}),
        ("--device", {"metavar": "NAME", "help": "auto, cpu, cuda or cuda:N (auto)"}),
    ],
    "metrics": [
        ("--protocol", {"choices": tuple(PROTOCOLS), "help": "how distances are taken (paper)"}),
        ("--metrics", {"metavar": "LIST", "help": "names, separated by commas (the dataset's)"}),
        ("--num-samples", {"type": int, "metavar": "N",
                           "help": "hypotheses of the sample metrics (10)"}),
        ("--best-of", {"metavar": "LIST", "help": "also the best of the first N, e.g. 1,5,10,100"}),
        ("--refine", {"action": "store_true",
                      "help": "judge the bodies moved onto the given keypoints, not the modes"}),
        ("--keypoint-error", {"type": float, "metavar": "X", "help": "factor on the size of the "
                              "keypoints' errors (1)"}),
        ("--seed", {"type": int, "metavar": "N", "help": "seed of all draws (0)"}),
    ],
    "run": [
        ("--output", {"metavar": "DIR", "help": "folder of the results"}),
        ("--shard-size", {"type": int, "metavar": "N", "help": "rows per unit of work (128)"}),
        ("--batch-size", {"type": int, "metavar": "N", "help": "people per network call (16)"}),
        ("--retry-failed", {"action": "store_true", "help": "do failed rows again"}),
        ("--overwrite", {"action": "store_true", "help": "do all rows again"}),
        ("--max-failed-ratio", {"type": float, "metavar": "X",
                                "help": "exit code 1 above this share of failures (0.5)"}),
    ],
}  # fmt: skip


def add_evaluate_options(parser: argparse.ArgumentParser) -> None:
    """Declares all options; one that is not given leaves no trace in the result."""
    for title, options in _OPTIONS.items():
        group = parser.add_argument_group(title)
        for name, details in options:
            group.add_argument(name, **{"default": argparse.SUPPRESS, **details})
    parser.add_argument(
        "--compare", nargs=2, metavar=("A", "B"), default=argparse.SUPPRESS,
        help="compare two finished evaluations, with paired bootstrap intervals; nothing is run",
    )  # fmt: skip


def config_from_args(args: argparse.Namespace) -> EvaluateConfig:
    """The configuration of a command line.

    Raises:
        UsageError: something needed is missing, or a metric is unknown.
        ValueError: a value out of range.
    """
    known = {field.name for field in fields(EvaluateConfig)}
    given = {name: value for name, value in vars(args).items() if name in known}
    for name in ("dataset", "data", "output"):
        if not given.get(name):
            raise UsageError(f"--{name} is missing.")
    refuse_without(given, "keypoint_error", "refine")
    if "metrics" in given:
        given["metrics"] = _metrics(given["metrics"])
    if "best_of" in given:
        given["best_of"] = _numbers("--best-of", given["best_of"])
    return EvaluateConfig(**given)


def _metrics(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in METRIC_NAMES:
            hint = nearest(name, METRIC_NAMES)
            raise UsageError(f"unknown metric {name!r}.{hint} Known: {', '.join(METRIC_NAMES)}.")
    return names


def _numbers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(word) for word in text.split(",")}))
    except ValueError:
        raise UsageError(
            f"{option} needs whole numbers separated by commas, got {text!r}."
        ) from None
