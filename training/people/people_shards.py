"""People who took long to make, as npz shards of a folder: each is written whole, and only once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hierprob3d.model.files.npz_files import read_arrays
from hierprob3d.model.files.weight_files import whole_files

SHARD_SIZE = 256
_CHUNK = 16

Arrays = dict[str, np.ndarray]
"""Numbers of people by name, one row each; betas are among them."""

_logger = logging.getLogger(__name__)


def write_shards(
    folder: Path, kind: str, num: int, make: Callable[[int, list[int]], Iterable[Arrays]]
) -> Iterator[Path]:
    """Writes those shards of a folder that are not there yet; each as soon as it is asked for.

    Args:
        folder: where KIND_00000.npz and so on go.
        kind: what their names begin with.
        num: people made in all.
        make: makes a shard, by its number and how many people its chunks have.
    """
    folder.mkdir(parents=True, exist_ok=True)
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
