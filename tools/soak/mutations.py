"""Files as bad lines, bad disks and bad people leave them."""

from __future__ import annotations

import numpy as np

_HEAD_BYTES = 400
"""Where most formats keep their sizes and offsets."""

_EXTREMES = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x00", b"\x80\x00\x00\x00")


def mutated(whole: bytes, other: bytes, random: np.random.Generator) -> bytes:
    """The file with one to three kinds of damage; never empty.

    Args:
        whole: The file.
        other: Another file, parts of which may get into it.
        random: What to do, and where.
    """
    content = bytearray(whole)
    for _ in range(random.integers(1, 4)):
        damage = _DAMAGES[random.integers(len(_DAMAGES))]
        damage(content, other, random)
        if not content:
            return whole[:1]
    return bytes(content)


def _place(content: bytearray, random: np.random.Generator) -> int:
    end = len(content) if random.random() < 0.5 else min(_HEAD_BYTES, len(content))
    return int(random.integers(0, end))


def _bytes_changed(content: bytearray, other: bytes, random: np.random.Generator) -> None:
    for _ in range(random.integers(1, 9)):
        content[_place(content, random)] = random.integers(0, 256)


def _extreme_number(content: bytearray, other: bytes, random: np.random.Generator) -> None:
    place = _place(content, random)
    value = _EXTREMES[random.integers(len(_EXTREMES))]
    content[place : place + 4] = value if random.random() < 0.5 else value[::-1]


def _cut(content: bytearray, other: bytes, random: np.random.Generator) -> None:
    del content[_place(content, random) :]


def _zeros(content: bytearray, other: bytes, random: np.random.Generator) -> None:
    place = _place(content, random)
    end = min(len(content), place + int(random.integers(1, 4096)))
    content[place:end] = bytes(end - place)


def _block_lost(content: bytearray, other: bytes, random: np.random.Generator) -> None:
    place = _place(content, random)
    del content[place : place + int(random.integers(1, 512))]


def _block_twice(content: bytearray, other: bytes, random: np.random.Generator) -> None:
    place = _place(content, random)
    content[place:place] = content[place : place + int(random.integers(1, 512))]


def _foreign_block(content: bytearray, other: bytes, random: np.random.Generator) -> None:
    place, start = _place(content, random), int(random.integers(0, len(other)))
    content[place:place] = other[start : start + int(random.integers(1, 512))]


_DAMAGES = (
    _bytes_changed,
    _bytes_changed,
    _extreme_number,
    _extreme_number,
    _cut,
    _zeros,
    _block_lost,
    _block_twice,
    _foreign_block,
)
