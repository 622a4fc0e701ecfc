"""Random numbers that belong to a person: counter-based, so independent of batch, order and runner.

Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) turns a
128-bit counter and a 64-bit key into four 32-bit words without any state. The key is the person,
the counter says which number of which stream; what else is drawn, or for whom, changes nothing.
The words are exact on every device; floating-point values made of them agree to rounding.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_NUM_ROUNDS = 10


def person_keys(
    seed: int, item_ids: Sequence[str], person_indices: Sequence[int]
) -> Int64[Tensor, " P"]:
    """Keys (P,) int64 of people, a hash of the seed, the picture and the person in it.

    Args:
        seed: the run's seed.
        item_ids: P identifiers of images or frames.
        person_indices: P numbers of the people within their picture.
    """
    people = zip(item_ids, person_indices, strict=True)
    keys = [_hash64(f"{seed}/{person_index}/{item_id}") for item_id, person_index in people]
    return torch.tensor(keys, dtype=torch.int64)


class RandomStreams:
    """One family of random streams per person; drawing twice gives the same numbers twice.

    Different uses must name different streams. Within a stream the numbers are fixed in order:
    a larger request begins with the numbers of a smaller one.

    Args:
        keys: (P,) int64, see person_keys.
        device: where numbers are made; default: the device of `keys`.
    """

    def __init__(self, keys: Int64[Tensor, " P"], device: torch.device | str | None = None) -> None:
        self.keys = keys.to(device) if device is not None else keys

    @property
    def num_people(self) -> int:
        """P, the number of keys."""
        return len(self.keys)

    def independent(self, use: str) -> RandomStreams:
        """Further streams of the same people, for a use that names streams of its own."""
        return RandomStreams(self.keys ^ _hash64(use))

    def of_draws(
        self, people: Int64[Tensor, " M"], draws: Int64[Tensor, " M"], use: str
    ) -> RandomStreams:
        """Streams of single draws, each as of a person of its own.

        Args:
            people: (M,) rows of the keys.
            draws: (M,) numbers of the person's draws.
            use: names what they are for.
        """
        of_draw = [_hash64(f"{use}/{draw}") for draw in draws.tolist()]
        return RandomStreams(self.keys[people] ^ torch.tensor(of_draw).to(self.keys))

    def uniform(
        self, shape: Sequence[int], stream: str | int, dtype: torch.dtype = torch.float32
    ) -> Float[Tensor, "P ..."]:
        """Numbers strictly between 0 and 1, (P, *shape)."""
        num_numbers = math.prod(shape)
        blocks = torch.arange(-(-num_numbers // 4), device=self.keys.device)
        numbers = uniform_blocks(self.keys[:, None], blocks, stream=stream).movedim(0, -1)
        return numbers.flatten(1)[:, :num_numbers].reshape(self.num_people, *shape).to(dtype)

    def normal(
        self, shape: Sequence[int], stream: str | int, dtype: torch.dtype = torch.float32
    ) -> Float[Tensor, "P ..."]:
        """Standard normal numbers (Box-Muller; |z| < 6.8), (P, *shape)."""
        num_numbers = math.prod(shape)
        pairs = self.uniform((-(-num_numbers // 2), 2), stream, torch.float64)
        radius, angle = torch.sqrt(-2 * torch.log(pairs[..., 0])), 2 * math.pi * pairs[..., 1]
        normals = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], dim=-1)
        return normals.flatten(1)[:, :num_numbers].reshape(self.num_people, *shape).to(dtype)


def uniform_blocks(
    keys: Int64[Tensor, "*#batch"],
    blocks: Int64[Tensor, "*#batch"],
    attempts: Int64[Tensor, "*#batch"] | int = 0,
    *,
    stream: str | int,
) -> Float64[Tensor, " 4 *batch"]:
    """Four numbers strictly between 0 and 1 for every address, (4, ...) float64.

    Args:
        keys: (...) of the people.
        blocks: (...) which block of the stream, 0 <= block < 2^63.
        attempts: (...) repetitions of a block that rejection needs, 0 <= attempt < 2^32.
        stream: name or number (below 2^32) of the stream.
    """
    number = torch.tensor(_stream_number(stream), device=keys.device)
    counter = (blocks & _MASK, blocks >> 32, torch.as_tensor(attempts).to(keys), number)
    words, scratch = _mixed_words(counter, (keys, keys >> 32))
    # Float64 holds (word + 1/2) / 2^32 exactly: neither 0 nor 1 can occur.
    return scratch.view(torch.float64).copy_(words).mul_(2.0**-32).add_(2.0**-33)


def philox4x32(
    counter: Sequence[Int64[Tensor, " ..."]], key: Sequence[Int64[Tensor, " ..."]]
) -> Int64[Tensor, " 4 *batch"]:
    """Four 32-bit words of Philox4x32-10, (4, ...) int64; arguments broadcast.

    Args:
        counter: four int64 tensors with values in [0, 2^32).
        key: two int64 tensors, whose lower 32 bits count.
    """
    return _mixed_words(counter, key)[0]


def _mixed_words(counter: Sequence[Tensor], key: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The four words, and as much memory that is free again: new memory costs as much as mixing."""
    shape = torch.broadcast_tensors(*counter, *key)[0].shape  # broadcast_shapes would load SymPy
    rows = counter[0].new_empty(8, *shape)
    for row, part in zip(rows, (*counter, *key[::-1]), strict=False):
        row.copy_(part)
    _mix(rows.view(8, math.prod(shape)))
    return rows[:4], rows[4:]


def _mix(rows: Tensor) -> None:
    """The rounds, in place; two words that are treated alike are the rows of one tensor.

    Args:
        rows: (8, n) the counter, which becomes the words, both keys, the second one first, and two
            rows for products.
    """
    # On CPUs by NumPy, in the same memory: PyTorch multiplies integers half as fast.
    library: Any = np if rows.device.type == "cpu" else torch
    arrays: Any = [rows, *_constants(rows.device)]
    rows, multipliers, steps = [array.numpy() for array in arrays] if library is np else arrays
    mixed, plain, keys, product = rows[0:4:2], rows[1:4:2], rows[4:6], rows[6:8]
    for number in range(_NUM_ROUNDS):
        # Each round exchanges the rows. Products wrap into the sign bit, and only what is
        # multiplied must be a clean 32-bit word: all above bit 31 is masked away in one go.
        is_odd = number % 2
        library.multiply(mixed, multipliers[is_odd], out=product)
        library.bitwise_right_shift(product, 32, out=mixed)
        for row in range(2):
            mixed[row] ^= plain[1 - row]
            mixed[row] ^= keys[row ^ is_odd]
        mixed &= _MASK
        keys += steps
        plain, product = product, plain
    assert _NUM_ROUNDS % 2 == 0, "else the last products lie elsewhere"
    plain &= _MASK


@cache
def _constants(device: torch.device) -> tuple[Tensor, Tensor]:
    """Multipliers of even and of odd rounds (2, 2, 1), and what the keys grow by (2, 1)."""
    multipliers = torch.tensor([_MULTIPLIERS, _MULTIPLIERS[::-1]], device=device)[..., None]
    return multipliers, torch.tensor(_KEY_STEPS[::-1], device=device)[:, None]


def _stream_number(stream: str | int) -> int:
    return stream if isinstance(stream, int) else _hash64(stream) & _MASK


def _hash64(text: str) -> int:
    """Signed 64-bit hash, the same in every process (unlike Python's hash)."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), signed=True)
