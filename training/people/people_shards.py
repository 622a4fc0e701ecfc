"""People who took long to make, as npz shards of a folder: each is written whole, and only once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hierprob3d.configs.lift_training import LiftTrainConfig
from hierprob3d.configs.loading import stored_settings
from hierprob3d.configs.shape_training import ShapeTrainConfig
from hierprob3d.model.files.npz_files import read_arrays
from hierprob3d.model.files.weight_files import sha256_of, whole_files
from hierprob3d.training.poses.pose_file import existing_pose_file

from .descriptions import keep_description

SHARD_SIZE = 256
_CHUNK = 16

Arrays = dict[str, np.ndarray]
"""Numbers of people by name, one row each; betas are among them."""

_LOOK = (
    "pose_tiers", "held_back_every", "body_model", "synthesis", "clothes", "backgrounds",
    "background_look",
)  # fmt: skip
"""Settings that decide how people look, as far as a training has them."""

_logger = logging.getLogger(__name__)


def made_of(
    config: LiftTrainConfig | ShapeTrainConfig, seed: int, networks: Sequence[Path]
) -> dict[str, Any]:
    """What people of a training are made of, and who looks at them, as a description has it.

    Args:
        config: the training.
        seed: of the people.
        networks: files or folders of weights.

    Raises:
        FileNotFoundError: there is no such file of poses.
    """
    settings = stored_settings(config)
    return {
        **{name: settings[name] for name in _LOOK if name in settings},
        "poses_sha256": sha256_of(existing_pose_file(config.train_poses)),
        "networks": {path.name: sha256_of(path) for path in networks},
        "seed": seed,
    }


def write_shards(
    folder: Path,
    kind: str,
    num: int,
    description: dict[str, Any],
    make: Callable[[int, list[int]], Iterable[Arrays]],
) -> Iterator[Path]:
    """Writes those shards of a folder that are not there yet; each as soon as it is asked for.

    Args:
        folder: where KIND_00000.npz and so on go.
        kind: what their names begin with.
        num: people made in all.
        description: what they are made of, kept beside them: other people are not taken for them.
        make: makes a shard, by its number and how many people its chunks have.

    Raises:
        FileNotFoundError: the folder has people but no description.
        ValueError: it has people made of something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keep_description(folder, {**description, "num": num}, f"{kind}_*.npz")
    for shard, start in enumerate(range(0, num, SHARD_SIZE)):
        path = folder / f"{kind}_{shard:05d}.npz"
        if not path.exists():
            size = min(SHARD_SIZE, num - start)
            chunks = list(make(shard, [min(_CHUNK, size - at) for at in range(0, size, _CHUNK)]))
            arrays = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
            with whole_files([path]) as [unfinished], unfinished.open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
            _logger.info("made %s, %d people", path.name, len(arrays["betas"]))
        yield path


def load_shards(folder: Path, kind: str, limit: int | None = None) -> dict[str, Tensor]:
    """Numbers of all people of a folder's shards, or of the first few shards.

    Raises:
        FileNotFoundError: there is no shard.
    """
    paths = sorted(folder.glob(f"{kind}_*.npz"))[:limit]
    if not paths:
        raise FileNotFoundError(f"no {kind}_*.npz in {folder}")
    shards = [read_arrays(path) for path in paths]
    merged = {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}
    return {name: torch.from_numpy(values) for name, values in merged.items()}
