"""Shards of people: made once, and only taken for people made of the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hierprob3d.configs.lift_training import LiftTrainConfig
from hierprob3d.training.people.people_shards import Arrays, load_shards, made_of, write_shards


@pytest.fixture
def config(pose_file: Path) -> LiftTrainConfig:
    return LiftTrainConfig(train_poses=str(pose_file))


def kept(folder: Path, config: LiftTrainConfig, num: int, seed: int, network: Path) -> list[int]:
    """Numbers of the shards that had to be made."""
    numbers: list[int] = []

    def make(shard: int, sizes: list[int]) -> Iterator[Arrays]:
        numbers.append(shard)
        return ({"betas": np.full((size, 10), shard, np.float32)} for size in sizes)

    list(write_shards(folder, "people", num, made_of(config, seed, [network]), make))
    return numbers


def test_people_of_other_seeds_looks_or_networks_are_refused(
    tmp_path: Path, config: LiftTrainConfig
) -> None:
    folder, network = tmp_path / "people", tmp_path / "network"
    network.write_bytes(b"weights")
    assert kept(folder, config, 300, 0, network) == [0, 1]
    assert kept(folder, config, 300, 0, network) == []
    assert len(load_shards(folder, "people")["betas"]) == 300
    for told, changed, num, seed in (
        ("seed", config, 300, 1),
        ("num", config, 299, 0),
        ("clothes", replace(config, clothes=(0.0,)), 300, 0),
    ):
        with pytest.raises(ValueError, match=rf"other settings \({told}; see its description"):
            kept(folder, changed, num, seed, network)
    kept(folder, replace(config, steps=5), 300, 0, network)  # decides nothing about people
    network.write_bytes(b"other weights")
    with pytest.raises(ValueError, match="networks"):
        kept(folder, config, 300, 0, network)
    (folder / "description.json").unlink()
    with pytest.raises(FileNotFoundError, match="no description.json.*: restore it, or remove"):
        kept(folder, config, 300, 0, network)
