"""Synthetic pictures rendered ahead of training, as numbered shards of npz files.

A shard's pictures depend on the seed and its number only: shards may be rendered by any number
of processes, in any order, and an interrupted rendering goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from configs.training import DataConfig
from model.body import load_body
from model.proxy import PROXY_SIZE, paper_edge_detector
from training.backgrounds import Backgrounds
from training.poses import PoseSampler, PoseSamplerConfig
from training.synthetic import SyntheticBatch, SyntheticPeople

SHARD_SIZE = 1024
EDGE_STEP = 1 / 64
"""Edge strength of one unit of the stored bytes."""

_CHUNK = 32
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RenderedSet:
    """N rendered people.

    Attributes:
        edges: (N, S, S) uint8 edge strength in units of EDGE_STEP; 256 / S pixels of the crop
            are averaged in each direction.
        joints2d: (N, 17, 2) px of the 256 crop.
        outside: (N, 17) bool.
        hidden: (N, 17) bool.
        rotvecs: (N, 24, 3).
        betas: (N, 10).
    """

    edges: Tensor
    joints2d: Tensor
    outside: Tensor
    hidden: Tensor
    rotvecs: Tensor
    betas: Tensor

    def __len__(self) -> int:
        return len(self.edges)

    def __getitem__(self, index: Tensor | slice) -> RenderedSet:
        return RenderedSet(**{name: value[index] for name, value in vars(self).items()})

    def to(self, device: torch.device) -> RenderedSet:
        """The same people on another device."""
        return RenderedSet(**{name: value.to(device) for name, value in vars(self).items()})

    @property
    def stride(self) -> int:
        """Pixels of the crop per stored pixel, in each direction."""
        return PROXY_SIZE // self.edges.shape[-1]

    def edge_strength(self) -> Tensor:
        """(N, S, S) float edge strength."""
        return self.edges.float() * EDGE_STEP


def render_set(
    folder: str | Path, data: DataConfig, poses: str, num_shards: int, seed: int, device: str
) -> None:
    """Writes the shards of `folder` that are not there yet.

    Args:
        folder: where shard_00000.npz and so on go, with description.json beside them.
        data: body, backgrounds and look of the pictures.
        poses: npz of poses to draw from.
        num_shards: shards wanted, of SHARD_SIZE pictures each.
        seed: seed of the whole set.
        device: cpu or cuda.

    Raises:
        ValueError: the folder holds a set made with other settings.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    body = load_body(data.body_model).to(device)
    sampler = PoseSampler(poses, PoseSamplerConfig(tiers=data.pose_tiers))
    source = SyntheticPeople(body, sampler, Backgrounds(data.backgrounds), data.synthesis)
    _describe(folder, source, data, poses, seed)
    for number in range(num_shards):
        path = folder / f"shard_{number:05d}.npz"
        if path.exists():
            continue
        start = time.monotonic()
        arrays = _render_shard(source, np.random.default_rng([seed, number]), data.stored_stride)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        with temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        temporary.replace(path)
        rate = SHARD_SIZE / (time.monotonic() - start)
        _logger.info("rendered %s of %d, %.0f pictures/s", path.name, num_shards, rate)


def load_rendered_set(folder: str | Path, limit: int | None = None) -> RenderedSet:
    """All shards of a folder in memory (17 kB a picture at stride 2).

    Args:
        folder: as given to `render_set`.
        limit: read no more than this many shards.

    Raises:
        FileNotFoundError: there is no shard.
    """
    paths = sorted(Path(folder).glob("shard_*.npz"))[:limit]
    if not paths:
        raise FileNotFoundError(
            f"no shard_*.npz in {folder}; run `hierprob3d train --experiment DIR` with train_poses "
            "set, which renders them first"
        )
    shards = [dict(np.load(path)) for path in paths]
    merged = {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}
    return RenderedSet(**{name: torch.from_numpy(value) for name, value in merged.items()})


def pack(batch: SyntheticBatch, stride: int) -> RenderedSet:
    """Stored form of pictures: their edges averaged over `stride` pixels, and the truth."""
    edges = paper_edge_detector().edges(batch.rgb)
    edges = functional.avg_pool2d(edges, stride)[:, 0]
    stored = (edges / EDGE_STEP).round().clamp(0, 255).to(torch.uint8)
    pictures = ("rgb", "silhouette")
    truth = {name: value for name, value in vars(batch).items() if name not in pictures}
    return RenderedSet(edges=stored, **truth)


def _render_shard(
    source: SyntheticPeople, rng: np.random.Generator, stride: int
) -> dict[str, np.ndarray]:
    parts = [vars(pack(source.sample(rng, _CHUNK), stride)) for _ in range(SHARD_SIZE // _CHUNK)]
    return {name: torch.cat([part[name] for part in parts]).cpu().numpy() for name in parts[0]}


def _describe(
    folder: Path, source: SyntheticPeople, data: DataConfig, poses: str, seed: int
) -> None:
    """Writes description.json, or checks that the folder's own says the same."""
    description = {
        "poses_sha256": hashlib.sha256(Path(poses).read_bytes()).hexdigest(),
        "body_sha256": source.body.sha256,
        "backgrounds": source.backgrounds.digest,
        "pose_tiers": data.pose_tiers,
        "synthesis": json.loads(json.dumps(asdict(data.synthesis))),
        "stored_stride": data.stored_stride,
        "seed": seed,
        "shard_size": SHARD_SIZE,
    }
    path = folder / "description.json"
    if not path.exists():
        path.write_text(json.dumps(description, indent=2))
    elif json.loads(path.read_text()) != description:
        raise ValueError(
            f"{folder} holds pictures made with other settings (see its description.json); "
            "choose another --experiment or remove the folder"
        )
