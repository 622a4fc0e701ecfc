"""What weights carry of where they come from: code, data, configuration, effort."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hierprob3d.configs.loading import stored_settings
from hierprob3d.configs.training import TrainConfig
from hierprob3d.model.network.checkpoints import sha256_of
from hierprob3d.model.network.network_config import NetworkConfig, WeightsMetadata
from hierprob3d.model.rotation.rotations import rotmat_to_rotvec
from hierprob3d.training.assessment.validation import MEAN_POSE
from hierprob3d.training.people.descriptions import DESCRIPTION_FILE

_WEIGHTS = ("initial_weights", "initial_lift")
_FILES = (
    "train_poses", "val_poses", "backgrounds", "val_backgrounds", "textures", "val_textures",
    "densepose_uv", "body_model",
)  # fmt: skip
"""Settings of the data that name files or folders."""


def weights_metadata(
    config: TrainConfig,
    folder: Path,
    body_family: str,
    epoch: int,
    metrics: dict[str, float],
    effort: dict[str, float],
    mean_pose: Tensor,
) -> WeightsMetadata:
    """What weights carry of where they come from; names of files, but no paths.

    Args:
        config: the run.
        folder: its folder.
        body_family: family of its body, openbody or smpl.
        epoch: epoch of the weights.
        metrics: their validation.
        effort: steps, samples (bare people among them) and minutes that they took.
        mean_pose: (23, 3, 3) mean training pose, against which `hierprob3d assess` measures them.
    """
    description = json.loads((folder / "train" / DESCRIPTION_FILE).read_text())
    provenance = {
        "code": code_version(),
        "config": _shown_settings(config),
        "data": description,
        "epoch": epoch,
        "effort": effort,
        "validation": metrics,
        MEAN_POSE: [round(value, 4) for value in rotmat_to_rotvec(mean_pose).flatten().tolist()],
    }
    for name in _WEIGHTS:
        if (path := getattr(config, name)) is not None:
            provenance[f"{name}_sha256"] = sha256_of(path)
    return WeightsMetadata(
        body_family=body_family,
        **asdict(NetworkConfig.of(config)),
        proxy=config.data.proxy.changes,
        keypoint_visibility="confidence above 0.3 of MoveNet thunder; none is drawn regardless",
        provenance=provenance,
    )


@functools.cache
def code_version() -> dict[str, str]:
    """Versions of torch and of this code: its commit, or the number of an installed package.

    They are those of the first call: the source tree may change while a run goes on.
    """
    return {"torch": str(torch.__version__), **_source_version(Path(__file__))}


def _shown_settings(config: TrainConfig) -> dict[str, Any]:
    """The configuration, of files and folders their names only."""
    settings = stored_settings(config)
    named = [(settings, name) for name in _WEIGHTS] + [(settings["data"], n) for n in _FILES]
    for group, name in named:
        group[name] = group[name] and Path(group[name]).name
    return settings


def _source_version(file: Path) -> dict[str, str]:
    """Commit of the source tree that tracks `file`; one with changes ends in -dirty."""
    tracked = _git(file, "ls-files", "--error-unmatch", file.name)
    commit = _git(file, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    if tracked and commit:
        return {"commit": commit}
    try:
        return {"version": importlib.metadata.version("hierprob3d")}
    except importlib.metadata.PackageNotFoundError:
        return {"version": "a source tree without git"}


def _git(file: Path, *words: str) -> str:
    """What git answers in the folder of `file`, empty where it fails or is not there."""
    try:
        answer = subprocess.run(
            ["git", *words], cwd=file.parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return answer.stdout.strip()
