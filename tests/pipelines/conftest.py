"""What prediction tests share: seeded weights of the open family, pictures, and the command."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
import torch

from hierprob3d.model.network.checkpoints import save_distribution_net
from hierprob3d.model.network.distribution_net import DistributionNet
from hierprob3d.model.network.network_config import WeightsMetadata
from hierprob3d.pipelines.command.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO = REPOSITORY / "model" / "assets" / "demo"
PERSON = DEMO / "astronaut.png"
PEDESTRIANS = DEMO / "pedestrians.mp4"


def save_random_weights(
    path: Path, family: str, seed: int = 0, global_spread: bool = False
) -> Path:
    """A network that has learnt nothing, in our own format."""
    torch.manual_seed(seed)
    metadata = WeightsMetadata(
        body_family=family, sign_rule="invariant", input_stride=2, global_spread=global_spread
    )
    save_distribution_net(DistributionNet(metadata.network_config()), path, metadata)
    return path


@pytest.fixture(scope="session")
def open_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights for OpenBody."""
    return save_random_weights(tmp_path_factory.mktemp("weights") / "open.safetensors", "openbody")


@pytest.fixture(scope="session")
def smpl_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights for SMPL."""
    return save_random_weights(tmp_path_factory.mktemp("weights") / "smpl.safetensors", "smpl")


@pytest.fixture(scope="session")
def predict(open_weights: Path) -> Callable[..., int]:
    """`predict(inputs..., output, *options)` in this process; its exit code."""

    def run(*arguments: str | Path) -> int:
        return main(["predict", "--weights", str(open_weights), "--num-samples", "4",
                     *map(str, arguments)])  # fmt: skip

    return run


@pytest.fixture(scope="session")
def command(open_weights: Path) -> list[str]:
    """The same as a command line for another process."""
    return [sys.executable, "-m", "hierprob3d", "predict", "--weights", str(open_weights),
            "--num-samples", "4"]  # fmt: skip


@pytest.fixture(scope="session")
def process_environment() -> dict[str, str]:
    """Environment in which the command line finds this code from any folder."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "OMP_NUM_THREADS": "1"}


def read_rows(output: Path, table: str) -> pa.Table:
    """All rows of a table, in the order of items and people."""
    rows = ds.dataset(output / table).to_table()
    keys = [name for name in ("item_id", "person_index") if name in rows.column_names]
    return rows.sort_by([(key, "ascending") for key in keys]) if keys else rows  # none written


def status_by_name(output: Path) -> dict[str, str]:
    """Status of every picture by its file name; of videos by name and frame."""
    rows = read_rows(output, "frames").select(["uri", "frame_index", "status"]).to_pylist()
    return {
        Path(row["uri"]).name
        + ("" if row["frame_index"] is None else f"#{row['frame_index']}"): row["status"]
        for row in rows
    }


def copy_person(path: Path) -> Path:
    """A picture with one person, at that path."""
    shutil.copy(PERSON, path)
    return path
