"""Plain tar archives of pictures, as WebDataset writes them: what they hold, and its bytes in turn.

Their members are named by fsspec's chained URIs, `tar://000/7.jpg::/data/shard-0.tar`, which other
programs open too. Here an archive is walked from header to header and read from one place on, so
that a shard of members costs one pass over its own bytes.
"""

from __future__ import annotations

import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import BinaryIO

from .folder_search import foreign_part, is_hidden
from .picture_files import read_whole
from .uris import CHAIN, open_uri, suffix

TAR_SUFFIX = ".tar"

_NO_EXTENSION = "without an extension"
_HEADER_BYTES = 512
_WALKING_BLOCK = 1 << 16
"""Bytes that a store is asked for at once when only headers are wanted: small members share one
request, large ones are passed over."""

_READING_BLOCK = 1 << 22


class UnreadableArchive(ValueError):
    """An archive that cannot be read, or a member that is not there; the message says why."""


@dataclass
class TarIndex:
    """Members of an archive that may be inputs, in their order."""

    members: list[tuple[str, int]] = field(default_factory=list)
    """Name and where its first header begins, of each that is there whole."""

    damage: str | None = None
    """What is wrong with the archive behind them; None if nothing is."""

    skipped: Counter[str] = field(default_factory=Counter)
    """Other members, by extension or name."""


def is_tar(uri: str) -> bool:
    """Whether the URI names an archive whose members are inputs, by its extension."""
    return suffix(uri) == TAR_SUFFIX


def index_tar(uri: str, kinds: frozenset[str]) -> TarIndex:
    """What an archive holds, from its headers; whatever is wrong with it becomes its damage.

    Args:
        uri: Of the archive, absolute.
        kinds: Extensions of members that are inputs.
    """
    index = TarIndex()
    names = set[str]()
    try:
        with open_uri(uri, _WALKING_BLOCK) as file:
            for info in _whole_members(file):
                reason = _reason_to_skip(info, kinds, names)
                if reason is None:
                    names.add(info.name)
                    index.members.append((info.name, info.offset))
                elif reason:
                    index.skipped[reason] += 1
    except Exception as error:  # any store; the members before are inputs all the same
        index.damage = _damage(uri, index, error)
    return index


class TarReader:
    """Reads members of an archive one after the other.

    Args:
        archive: URI.
        offset: Where the header of the first of them begins.
    """

    def __init__(self, archive: str, offset: int) -> None:
        self._archive = archive
        self._offset = offset
        self._opened = ExitStack()
        self._tar: tarfile.TarFile | None = None

    def __enter__(self) -> TarReader:
        return self

    def __exit__(self, *raised: object) -> None:
        self._close()

    def read(self, name: str, memory_limit_bytes: int | None = None) -> bytes:
        """The bytes of a member that comes after those read before.

        After any error the next call begins at the first of them again.

        Raises:
            UnreadableArchive: It is not there, or not whole.
            UnreadablePicture: It is larger than the memory that may be taken.
            OSError: The archive cannot be opened.
        """
        try:
            return self._read(name, memory_limit_bytes)
        except tarfile.TarError as error:
            self._close()
            raise UnreadableArchive(f"{self._archive} is damaged: {error}") from error
        except BaseException:
            self._close()
            raise

    def _read(self, name: str, memory_limit_bytes: int | None) -> bytes:
        while (info := _next_member(self._open())) is not None:
            if info.name == name and info.isfile():
                member = self._open().extractfile(info)
                assert member is not None  # it is a file
                with member:
                    return read_whole(member, info.size, memory_limit_bytes)  # type: ignore[arg-type]
        raise UnreadableArchive(
            f"{self._archive} has no member {name} any more: it changed after the run had begun"
        )

    def _open(self) -> tarfile.TarFile:
        if self._tar is None:
            file = self._opened.enter_context(open_uri(self._archive, _READING_BLOCK))
            file.seek(self._offset)
            self._tar = self._opened.enter_context(_tar(file))
        return self._tar

    def _close(self) -> None:
        self._opened.close()
        self._tar = None


def _whole_members(file: BinaryIO) -> Iterator[tarfile.TarInfo]:
    """Headers of an archive's members, each given once what follows it is seen to be there.

    Raises:
        UnreadableArchive, tarfile.TarError: It ends too soon, or in something else.
    """
    with _tar(file) as tar:
        before = _next_member(tar)
        while before is not None:
            info = _next_member(tar)
            yield before
            before = info
        file.seek(tar.offset)
        mark = file.read(_HEADER_BYTES)
    if len(mark) < _HEADER_BYTES:
        raise UnreadableArchive("it has no end mark")
    if mark.strip(b"\0"):
        raise UnreadableArchive("a header is damaged")


def _tar(file: BinaryIO) -> tarfile.TarFile:
    return tarfile.TarFile(fileobj=file, mode="r")


def _next_member(tar: tarfile.TarFile) -> tarfile.TarInfo | None:
    """The next header; unlike `tarfile`, it remembers none of those before."""
    info = tar.next()
    tar.members.clear()  # type: ignore[attr-defined]
    return info


def _reason_to_skip(info: tarfile.TarInfo, kinds: frozenset[str], names: set[str]) -> str | None:
    """Why a member is no input: what is counted, empty for what is not; None where it is one."""
    name = info.name.removeprefix("./")
    kind = suffix(name)
    if info.isdir() or is_hidden(name):
        return ""
    if (foreign := foreign_part(name)) is not None:
        return foreign
    if not info.isfile():
        return "links and devices in archives"
    if kind not in kinds:
        return kind or _NO_EXTENSION
    if CHAIN in name:
        return f"names with {CHAIN} in archives"
    return "further members of the same name" if info.name in names else None


def _damage(uri: str, index: TarIndex, error: Exception) -> str:
    said = str(error) or type(error).__name__
    if not index.members:
        return f"the archive {uri} cannot be read: {said}"
    return (
        f"the archive {uri} is cut short or damaged ({said}): it was read up to "
        f"{index.members[-1][0]}, {len(index.members)} pictures and videos"
    )
