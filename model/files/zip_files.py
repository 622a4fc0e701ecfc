"""Zip archives whose declared sizes are checked before anything is taken out of them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from typing import IO, Any

_MAX_DIRECTORY_BYTES = 4_000_000
"""Of the list of members; Python takes fifteen times as much to hold it."""

_MAX_EXPANSION = 100
_SPARE_BYTES = 1 << 26
"""Members may unpack to a hundred times the archive's size, and 64 MiB in any case: arrays that
are mostly zeros shrink to a twentieth, bombs to a thousandth."""

_ENCRYPTED = 1
_zipfile: Any = zipfile  # for the end record, which has no public name


def open_zip(file: IO[bytes]) -> zipfile.ZipFile:
    """The archive in a seekable file, its list of members of a bearable length.

    Raises:
        ValueError, zipfile.BadZipFile: it is none, or too long a list.
    """
    end = _zipfile._EndRecData(file)
    if end and end[_zipfile._ECD_SIZE] > _MAX_DIRECTORY_BYTES:
        raise ValueError("its list of members is too long")
    return zipfile.ZipFile(file)


def check_members(members: Iterable[zipfile.ZipInfo], num_bytes: int) -> None:
    """Checks members that are to be read together.

    Args:
        members: of one archive.
        num_bytes: size of the archive.

    Raises:
        ValueError: a member is packed in an odd way, or together they are larger than can be.
    """
    members = list(members)
    for member in members:
        if member.flag_bits & _ENCRYPTED:
            raise ValueError(f"{member.filename!r} in it is encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{member.filename!r} in it is packed in a way that is not read")
        if member.compress_type == zipfile.ZIP_STORED and member.file_size != member.compress_size:
            raise ValueError(f"{member.filename!r} in it has two sizes")
    if sum(member.compress_size for member in members) > num_bytes:
        raise ValueError("its members overlap, or are larger than the file")
    unpacked = sum(member.file_size for member in members)
    if unpacked > max(_SPARE_BYTES, _MAX_EXPANSION * num_bytes):
        raise ValueError(f"it would unpack to {unpacked:,} bytes, of a file of {num_bytes:,}")
