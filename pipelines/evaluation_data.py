"""Datasets that can be made where they are not: of raw 3DPW, and the synthetic set."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace

from hierprob3d.configs.evaluation import EvaluateConfig
from hierprob3d.configs.preprocessing import PreprocessConfig
from hierprob3d.pipelines.command.usage import UsageError
from hierprob3d.transforms.datasets.labels import exists
from hierprob3d.transforms.datasets.pw3d import find_folder
from hierprob3d.transforms.inputs.uris import is_remote

from .preprocess_3dpw import preprocess

PREPROCESSED = "preprocessed"
"""Folder below --output for what is made of raw 3DPW."""


def provide_data(config: EvaluateConfig, beam_words: list[str]) -> EvaluateConfig:
    """The configuration with `data` naming a folder that can be read as it is.

    Raises:
        UsageError: the data cannot be made.
    """
    if config.dataset == "synthetic" and not exists(f"{config.data}/labels.npz"):
        _draw_synthetic(config)
    if config.dataset == "3dpw" and exists(f"{config.data}/sequenceFiles"):
        return _preprocessed(config, beam_words)
    return config


def _draw_synthetic(config: EvaluateConfig) -> None:
    # Imported by name and only here: training knows how to draw people, evaluation need not.
    if is_remote(config.data):
        raise UsageError(
            f"{config.data} has no labels.npz; the synthetic set is made locally only."
        )
    print(f"Making the synthetic evaluation set in {config.data} ...", file=sys.stderr)
    importlib.import_module("hierprob3d.training.assessment.evaluation_set").make_evaluation_set(
        config.data
    )


def _preprocessed(config: EvaluateConfig, beam_words: list[str]) -> EvaluateConfig:
    """Of raw 3DPW: the labels that lie in it, or else crops, labels and keypoints made now."""
    try:
        find_folder(config.data, config.split)
        return config
    except FileNotFoundError:
        output = f"{config.output}/{PREPROCESSED}"
    preprocess(
        PreprocessConfig(
            data=config.data,
            output=output,
            body_model=config.body_model,
            split=config.split,
            keypoints=config.keypoints,
            keypoint_weights=config.keypoint_weights,
            device=config.device,
            limit=config.limit,
            retry_failed=config.retry_failed,
            overwrite=config.overwrite,
        ),
        beam_words,
    )
    return replace(config, data=output)
