"""What a preprocessing of 3DPW has to do: frames of people, cut into shards."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hierprob3d.configs.preprocessing import PreprocessConfig
from hierprob3d.transforms.inputs.items import Item
from hierprob3d.transforms.inputs.uris import absolute, filesystem

from .labels import row_id
from .pw3d_sequences import crop_name, picture_name, read_sequence


@dataclass(frozen=True)
class PreprocessShard:
    """The unit of work, of retry and of commit: frames of one person of a sequence."""

    index: int
    uri: str
    """Sequence file."""
    person: int | None
    """None: the sequence could not be read when the run began."""
    items: tuple[Item, ...]

    @property
    def name(self) -> str:
        """Part of the file names of what the shard writes."""
        return f"{self.index:05d}"


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


def plan_shards(
    uris: Sequence[str], config: PreprocessConfig, done: Container[str]
) -> tuple[list[PreprocessShard], int]:
    """(shards of the frames that are not done, number of frames that are)."""
    shards: list[PreprocessShard] = []
    num_done, room = 0, config.limit
    for uri in uris:
        for person, items in _people(uri, config.split):
            new = [item for item in items if item.item_id not in done]
            num_done += len(items) - len(new)
            new = new[:room]
            room = None if room is None else room - len(new)
            for start in range(0, len(new), config.shard_size):
                members = tuple(new[start : start + config.shard_size])
                shards.append(PreprocessShard(len(shards), uri, person, members))
    return shards, num_done


def _people(uri: str, split: str) -> Iterator[tuple[int | None, list[Item]]]:
    """Each person of a sequence file with the valid frames; one item if it cannot be read."""
    file = uri.rsplit("/", 1)[-1]
    try:
        sequence = read_sequence(uri)
    except (ValueError, OSError):
        yield None, [Item(row_id("3dpw", split, file), f"sequenceFiles/{split}/{file}")]
        return
    for person, track in enumerate(sequence.people):
        yield (
            person,
            [
                Item(
                    row_id("3dpw", split, crop_name(sequence.name, frame, person)),
                    f"imageFiles/{sequence.name}/{picture_name(frame)}",
                    frame,
                )
                for frame in np.flatnonzero(track.valid).tolist()
            ],
        )
