"""How damaged files are read, and by which errors they may be refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hierprob3d.model.body.body_file import BodyFileError
from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.files.npz_files import ArrayFileError, read_array, read_arrays
from hierprob3d.model.files.safe_pickle import PickleError, load_pickle
from hierprob3d.model.files.weight_files import WeightsError, read_tensors, read_torch_checkpoint
from hierprob3d.transforms.datasets.pw3d_sequences import BadSequence, read_sequence
from hierprob3d.transforms.inputs.encoded_picture import UnreadablePicture
from hierprob3d.transforms.inputs.listing import list_inputs
from hierprob3d.transforms.inputs.media_kinds import is_video
from hierprob3d.transforms.inputs.picture_files import read_picture
from hierprob3d.transforms.inputs.video_index import UnreadableVideo, split_video
from hierprob3d.transforms.inputs.videos import index_video, read_frames

from . import samples

_MAX_MEGAPIXELS = 1.0
_MEMORY_LIMIT_BYTES = 200_000_000
_SHARD_SIZE = 16


@dataclass(frozen=True)
class Reader:
    """One kind of files."""

    samples: Callable[[], dict[str, bytes]]
    """Whole files by their names."""
    read: Callable[[Path], None]
    """Reads a file as a run does."""
    errors: tuple[type[Exception], ...]
    """What may refuse it."""


def _read_picture(path: Path) -> None:
    read_picture(str(path), _MAX_MEGAPIXELS, _MEMORY_LIMIT_BYTES)
    if is_video(str(path)):
        _read_video(path)


def _read_video(path: Path) -> None:
    index = index_video(str(path), _MAX_MEGAPIXELS, time_limit_s=30)
    for video_range, numbers in split_video(index, range(len(index.times_s)), _SHARD_SIZE):
        wanted = {number: index.times_s[number] for number in numbers}
        frames = read_frames(str(path), video_range, wanted, _MAX_MEGAPIXELS, _MEMORY_LIMIT_BYTES)
        for _ in frames:
            pass


_MODEL_READERS: dict[str, Callable[[Path], Any]] = {
    "body": load_body,
    "sequence": lambda path: read_sequence(str(path)),
    "labels": read_arrays,
    "keypoints": read_array,
    "weights.safetensors": read_tensors,
    "weights": read_torch_checkpoint,
    "legacy": read_torch_checkpoint,
}
"""By the beginning of the file's name; the first counts."""


def _read_model_file(path: Path) -> None:
    read = next(read for name, read in _MODEL_READERS.items() if path.name.startswith(name))
    if path.suffix == ".pkl":
        try:
            load_pickle(path)
        except PickleError:
            pass
    read(path)


READERS = {
    "images": Reader(samples.pictures, _read_picture, (UnreadablePicture, UnreadableVideo)),
    "videos": Reader(samples.videos, _read_video, (UnreadablePicture, UnreadableVideo)),
    "model files and pickles": Reader(
        samples.model_files,
        _read_model_file,
        (PickleError, BodyFileError, BadSequence, ArrayFileError, WeightsError),
    ),
    "lists": Reader(samples.lists, lambda path: list_inputs([str(path)]) and None, (ValueError,)),
}
