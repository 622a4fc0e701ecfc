"""Synthetic pictures rendered ahead of training, as numbered shards of npz files.

A shard's pictures depend on the seed, its number, the kind of device (CPU and GPU draw other
random numbers) and how many are made at once only: shards may be rendered by any number of
processes, in any order, and an interrupted rendering goes on where it stopped.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from hierprob3d.configs.proxy_look import ProxyLook
from hierprob3d.configs.training import DataConfig
from hierprob3d.model.files.npz_files import read_arrays
from hierprob3d.model.files.weight_files import whole_files
from hierprob3d.model.picture.proxy import edge_detector_of
from hierprob3d.training.random.draws import seeded_generator

from .bare_people import BarePeople
from .people_description import check_described, describe
from .people_setup import PoseChoice, configured_people
from .rendered_people import EDGE_STEP, RenderedSet
from .synthetic_pictures import SyntheticBatch, SyntheticPeople

SHARD_SIZE = 1024

_CHUNK = 8
_GPU_CHUNK = 256
"""Pictures made at once; a GPU needs many to be busy, and a CPU few to keep them in its cache."""

_logger = logging.getLogger(__name__)


def render_set(
    folder: str | Path,
    data: DataConfig,
    poses: PoseChoice,
    numbers: Iterable[int],
    seed: int,
    device: str,
    check_sources: bool = True,
) -> None:
    """Writes those of some shards of `folder` that are not there yet.

    Args:
        folder: where shard_00000.npz and so on go, with description.json beside them.
        data: body, backgrounds and look of the pictures.
        poses: those to draw from.
        numbers: of the shards wanted, of SHARD_SIZE pictures each.
        seed: seed of the whole set.
        device: cpu or cuda.
        check_sources: compare backgrounds and textures with those of the shards, where none is
            missing; to load them may take minutes.

    Raises:
        FileNotFoundError: shards have no description, or something to make them of is missing.
        ValueError: the folder holds a set made with other settings.
    """
    folder = Path(folder)
    people = None
    for number in numbers:
        path = folder / f"shard_{number:05d}.npz"
        if path.exists():
            continue
        if people is None:
            people = configured_people(data, poses, device)
            describe(folder, people, data, poses, seed)
        _render_shard(path, people, data, seeded_generator(device, seed, number))
    if people is None and any(folder.glob("shard_*.npz")):
        if check_sources:
            describe(folder, configured_people(data, poses, device), data, poses, seed)
        else:
            check_described(folder, data, poses, seed)


def _render_shard(
    path: Path, people: SyntheticPeople, data: DataConfig, generator: torch.Generator
) -> None:
    start = time.monotonic()
    if data.bare:
        shard = BarePeople(people.people).many(generator, SHARD_SIZE)
    else:
        form = KeptForm(data.stored_stride, data.proxy)
        shard = render_people(people, generator, SHARD_SIZE, form)
    arrays = {name: value.cpu().numpy() for name, value in vars(shard).items()}
    with whole_files([path]) as [unfinished], unfinished.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    rate = SHARD_SIZE / (time.monotonic() - start)
    _logger.info("rendered %s/%s, %.0f people/s", path.parent.name, path.name, rate)


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
    shards = [read_arrays(path) for path in paths]
    merged = {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}
    return RenderedSet(**{name: torch.from_numpy(value) for name, value in merged.items()})


@dataclass(frozen=True)
class KeptForm:
    """How pictures are kept: their edges, and the truth.

    Attributes:
        stride: pixels of the crop averaged in each direction.
        look: how edges are found.
        in_bytes: keep them in bytes, to be stored; else as they are found.
    """

    stride: int
    look: ProxyLook = ProxyLook()
    in_bytes: bool = True

    def of(self, batch: SyntheticBatch) -> RenderedSet:
        """The people of a batch of pictures."""
        edges = edge_detector_of(self.look).edges(batch.rgb)
        edges = functional.avg_pool2d(edges, self.stride)[:, 0]
        if self.in_bytes:
            edges = (edges / EDGE_STEP).round().clamp(0, 255).to(torch.uint8)
        pictures = ("rgb", "silhouette")
        truth = {name: value for name, value in vars(batch).items() if name not in pictures}
        return RenderedSet(edges=edges, **truth)


def render_people(
    people: SyntheticPeople,
    generator: torch.Generator,
    num: int,
    form: KeptForm,
    rows: Tensor | None = None,
) -> RenderedSet:
    """`num` new people, on the device of the generator.

    Args:
        people: where they come from.
        generator: decides them.
        num: people.
        form: how they are kept.
        rows: (num,) numbers of the recorded poses to take as they are; None draws.
    """
    chunk = _GPU_CHUNK if generator.device.type == "cuda" else _CHUNK
    chunks = itertools.repeat(None) if rows is None else iter(rows.split(chunk))
    return RenderedSet.made(
        lambda size: form.of(people.sample(generator, size, next(chunks))), num, chunk
    )
