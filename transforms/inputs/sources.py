"""Very many inputs in little memory: rows packed in blocks, each once, in order of their names.

Ten million Python strings take more than a gigabyte. Names of a collection are much alike, so that
blocks of them, compressed, take about a tenth of that; what is needed of all at the same time, such
as which are the same, is told by digests in flat arrays.
"""

from __future__ import annotations

import hashlib
import heapq
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from operator import itemgetter
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from .uris import printable

_BLOCK = 4096
_SORTED_AT_ONCE = 200_000
_DIGEST_BYTES = 16
_DIGEST = np.dtype(f"S{_DIGEST_BYTES}")
_UNKNOWN = bytes(8)
_SCHEMA = pa.schema([("uri", pa.binary()), ("version", pa.string()), ("given", pa.string())])

T = TypeVar("T")


class Source(NamedTuple):
    """A picture, a video or an archive, and what is known of it before it is opened."""

    uri: str
    version: str | None = None
    """A text that changes when the file does: a checksum, or size and time; None if unknown."""

    given: str | None = None
    """What lists say of the people there, see `given_people`."""


class SourceList:
    """Sources in the order in which they are appended, packed.

    Args:
        sources: The first of them.
    """

    def __init__(self, sources: Iterable[Source] = ()) -> None:
        self._blocks: list[tuple[bytes, int]] = []
        """Compressed, with the number of bytes before."""
        self._waiting: list[Source] = []
        self._length = 0
        for source in sources:
            self.append(source)

    def append(self, source: Source) -> None:
        """Adds one at the end."""
        self._waiting.append(source)
        self._length += 1
        if len(self._waiting) == _BLOCK:
            self._blocks.append(_packed(self._waiting))
            self._waiting = []

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Source]:
        for block in self._blocks:
            yield from _unpacked(*block)
        yield from self._waiting


class UniqueSources:
    """Gathers sources, of which those of one URI become one, in the place of the first of them.

    Args:
        merged: One source in the place of several with one URI, in the order in which they came.
    """

    def __init__(self, merged: Callable[[list[Source]], Source]) -> None:
        self._merged = merged
        self._same: list[Source] = []
        """The last ones, of one URI."""
        self._rows = SourceList()
        self._digests = bytearray()
        self._is_known = bytearray()
        """Whether the version is, by row."""

    def add(self, source: Source) -> None:
        """Adds one."""
        if self._same and self._same[0].uri != source.uri:
            self._take()
        self._same.append(source)

    def sources(self) -> SourceList:
        """All of them, each URI once; nothing can be added after it."""
        self._take()
        digests = np.frombuffer(self._digests, np.uint64).reshape(-1, 2)
        first = first_rows(digests)
        return self._rows if first is None else SourceList(self._each_once(first))

    def _take(self) -> None:
        """Makes one of those that follow each other, as people of one picture mostly do."""
        if not self._same:
            return
        source = self._same[0] if len(self._same) == 1 else self._merged(self._same)
        self._same = []
        self._rows.append(source)
        self._digests += digest(source.uri)
        self._is_known.append(source.version is not None)

    def _each_once(self, first: np.ndarray) -> Iterator[Source]:
        more: dict[int, list[Source]] = {}
        for row, source in enumerate(self._rows):
            place = int(first[row])
            news = source.version is not None and not self._is_known[place]
            if place != row and (news or source.given is not None):
                more.setdefault(place, []).append(source)
        for row, source in enumerate(self._rows):
            if first[row] == row:
                yield self._merged([source, *more[row]]) if row in more else source


class KnownVersions:
    """What is known of the versions of many files, by their names as tables write them.

    Args:
        sources: The files; 24 bytes are kept of each.
    """

    def __init__(self, sources: Iterable[Source]) -> None:
        names, versions = bytearray(), bytearray()
        for source in sources:
            names += digest(printable(source.uri))
            versions += _short_digest(source.version)
        keys = np.frombuffer(names, _DIGEST)
        order = np.argsort(keys)
        self._keys, self._versions = keys[order], np.frombuffer(versions, np.uint64)[order]

    def __len__(self) -> int:
        return len(self._keys)

    def check(self, name: str, version: str | None) -> bool | None:
        """Whether a file has another version now, as far as both are known; None if not there."""
        if not len(self._keys):
            return None
        key = np.frombuffer(digest(name), _DIGEST)[0]
        place = min(int(np.searchsorted(self._keys, key)), len(self._keys) - 1)
        if self._keys[place] != key:
            return None
        now = self._versions[place].tobytes()
        return version is not None and now not in (_UNKNOWN, _short_digest(version))


def first_rows(digests: np.ndarray) -> np.ndarray | None:
    """(N,) the number of the first row with the same digest as each; None where all differ.

    Args:
        digests: (N, 2) uint64.
    """
    ordered = np.sort(digests[:, 0])
    if not (ordered[1:] == ordered[:-1]).any():
        return None
    del ordered
    order = np.lexsort((digests[:, 1], digests[:, 0]))  # rows of one digest in their order
    same = np.ones(len(order) - 1, bool)
    for half in (0, 1):
        values = digests[order, half]
        same &= values[1:] == values[:-1]
    starts = np.flatnonzero(np.append(True, ~same))
    first = np.empty(len(order), np.int64)
    first[order] = np.repeat(order[starts], np.diff(np.append(starts, len(order))))
    return first


def in_order(sources: Iterable[Source]) -> Iterator[Source]:
    """The same, sorted by URI; memory holds them packed."""
    runs: list[SourceList] = []
    last = ""
    for some in in_groups(sources, _SORTED_AT_ONCE):
        some.sort(key=itemgetter(0))
        if not runs or some[0].uri < last:
            runs.append(SourceList())
        last = some[-1].uri
        for source in some:
            runs[-1].append(source)
    return heapq.merge(*runs, key=itemgetter(0))


def in_groups(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """The values in lists of so many."""
    rest = iter(values)
    while some := list(islice(rest, size)):
        yield some


def digest(text: str) -> bytes:
    """16 bytes that no other text has."""
    return hashlib.blake2b(os.fsencode(text), digest_size=_DIGEST_BYTES).digest()


def _short_digest(version: str | None) -> bytes:
    if version is None:
        return _UNKNOWN
    return hashlib.blake2b(version.encode(), digest_size=len(_UNKNOWN)).digest()


def _packed(sources: list[Source]) -> tuple[bytes, int]:
    uris, versions, given = zip(*sources, strict=True)
    columns = [pa.array(map(os.fsencode, uris), pa.binary()), pa.array(versions, pa.string()),
               pa.array(given, pa.string())]  # fmt: skip
    data = pa.record_batch(columns, schema=_SCHEMA).serialize()
    return pa.compress(data, codec="zstd", asbytes=True), data.size


def _unpacked(block: bytes, num_bytes: int) -> Iterator[Source]:
    data = pa.decompress(block, num_bytes, codec="zstd")
    columns = [column.to_pylist() for column in pa.ipc.read_record_batch(data, _SCHEMA).columns]
    return map(Source, map(os.fsdecode, columns[0]), *columns[1:])
