"""What a preprocessing of 3DPW has to do: frames of people, cut into shards."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import pyarrow as pa

from hierprob3d.configs.preprocessing import PreprocessConfig
from hierprob3d.model.files.inner_paths import same_file_key
from hierprob3d.transforms.inputs.items import Item, Shard, shard_name
from hierprob3d.transforms.inputs.uris import absolute, filesystem

from .labels import row_id
from .pw3d_sequences import BadSequence, Pw3dSequence, crop_name, frame_picture_name, read_sequence

_MAX_REFUSED_FRAMES = 20_000

_logger = logging.getLogger(__name__)

DETAILS = pa.schema(
    [("sequence_uri", pa.string()), ("person", pa.int32()), ("sequence_refusal", pa.string())]
)
"""Details of the plan's shards, see `PreprocessShard`."""


@dataclass(frozen=True)
class PreprocessShard:
    """The unit of work, of retry and of commit: frames of one person of a sequence."""

    index: int
    uri: str
    """Sequence file."""
    person: int | None
    """None: the sequence cannot be used."""
    items: tuple[Item, ...]
    refusal: str = ""
    """Why the sequence cannot be used, where it cannot."""

    @classmethod
    def of(cls, shard: Shard) -> PreprocessShard:
        """What a shard of the plan says."""
        uri, person, refusal = (shard.details[name] for name in DETAILS.names)
        return cls(shard.index, uri, person, shard.items, refusal)

    @property
    def name(self) -> str:
        """Part of the file names of what the shard writes."""
        return shard_name(self.index)


def list_sequences(data: str, split: str) -> list[str]:
    """URIs of a split's sequence files, sorted.

    Raises:
        FileNotFoundError: there are none.
    """
    folder = f"{absolute(data).rstrip('/')}/sequenceFiles/{split}"
    fs, path = filesystem(folder)
    found = sorted(name for name in fs.glob(f"{path}/*.pkl"))
    if not found:
        raise FileNotFoundError(f"there is no sequence file (*.pkl) in {folder}.")
    return [folder + "/" + name.rsplit("/", 1)[-1] for name in found]


def new_frames(
    uris: Sequence[str], config: PreprocessConfig, done: Container[str]
) -> Iterator[Shard]:
    """Shards of the frames that are not done."""
    numbers, room = count(), config.limit
    names: dict[str, str] = {}
    for uri in uris:
        for person, items, refusal in _people(uri, config.split, names):
            new = [item for item in items if item.item_id not in done][:room]
            room = None if room is None else room - len(new)
            details = {"sequence_uri": uri, "person": person, "sequence_refusal": refusal}
            for start in range(0, len(new), config.shard_size):
                yield Shard(next(numbers), tuple(new[start : start + config.shard_size]), details)


def _people(
    uri: str, split: str, names: dict[str, str]
) -> Iterator[tuple[int | None, list[Item], str]]:
    """Each person of a sequence file with the valid frames, and why it is refused, if it is.

    A refused sequence counts as failed by its frames, as far as they are known.

    Args:
        uri: sequence file.
        split: part of 3DPW.
        names: of earlier sequences, with their files; the sequence is added.
    """
    file = uri.rsplit("/", 1)[-1]
    try:
        sequence = read_sequence(uri)
        _note_name(sequence, file, names)
    except (ValueError, OSError) as error:
        num_frames = min(getattr(error, "num_frames", None) or 1, _MAX_REFUSED_FRAMES)
        numbers = [None] if num_frames == 1 else range(num_frames)
        yield None, [_refused_item(split, file, number) for number in numbers], str(error)
        return
    if sequence.warning:
        _logger.warning("%s: %s", file, sequence.warning)
    for person, track in enumerate(sequence.people):
        frames = np.flatnonzero(track.valid).tolist()
        yield person, [_item(split, sequence.name, frame, person) for frame in frames], ""


def _item(split: str, sequence: str, frame: int, person: int) -> Item:
    item_id = row_id("3dpw", split, crop_name(sequence, frame, person))
    return Item(item_id, f"imageFiles/{sequence}/{frame_picture_name(frame)}", frame)


def _refused_item(split: str, file: str, number: int | None) -> Item:
    """Stands for a frame of a refused sequence, or for the whole if its frames are unknown."""
    name = file if number is None else f"{file}#{number}"
    return Item(row_id("3dpw", split, name), f"sequenceFiles/{split}/{file}", number)


def _note_name(sequence: Pw3dSequence, file: str, names: dict[str, str]) -> None:
    """BadSequence if an earlier sequence's crops would have the same names."""
    earlier = names.setdefault(same_file_key(sequence.name), file)
    if earlier != file:
        raise BadSequence(
            f"{file}: the sequence is called {sequence.name!r}, as that of {earlier}",
            num_frames=int(sum(track.valid.sum() for track in sequence.people)),
        )
