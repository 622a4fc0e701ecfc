"""Arrays of npy and npz files that a user brings, bounded by what their files can hold."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Container, Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from .array_standins import check_text
from .bounded_file import BoundedFile, num_bytes_left
from .file_errors import one_line_errors
from .safe_pickle import load_pickle
from .zip_files import check_members, open_zip

_SUFFIX = ".npy"
_HEADERS: dict[tuple[int, int], Any] = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
}
_PLAIN_KINDS = "?biufcSU"


class ArrayFileError(ValueError):
    """A file of arrays that cannot be used; the message names the file and says why."""


def read_arrays(path: Path, names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
    """Those of the named arrays that the npz file has, or all; others are not touched.

    Raises:
        FileNotFoundError: the path does not exist.
        ArrayFileError: the file is no npz, is damaged, or one of these arrays is pickled.
    """
    with (
        one_line_errors(ArrayFileError, path, "is no npz of plain arrays", "; fetch it again"),
        open(path, "rb") as file,
    ):
        return arrays_of_npz(file, None if names is None else frozenset(names))


def names_in_npz(file: IO[bytes]) -> list[str]:
    """Names of all arrays of a seekable npz file; errors as `arrays_of_npz`."""
    with open_zip(file) as archive:
        return [name.removesuffix(_SUFFIX) for name in archive.NameToInfo]


def read_array(path: str | os.PathLike[str]) -> NDArray[Any]:
    """The array of an npy file.

    Raises:
        FileNotFoundError: the path does not exist.
        ArrayFileError: the file is no npy, is damaged or pickled.
    """
    with (
        one_line_errors(ArrayFileError, path, "is no npy of a plain array", "; fetch it again"),
        open(path, "rb") as file,
    ):
        return array_of_npy(file, num_bytes_left(file))


def arrays_of_npz(
    file: IO[bytes], names: Container[str] | None = None, with_objects: bool = False
) -> dict[str, Any]:
    """Arrays by name of a seekable npz file.

    Args:
        file: the whole file.
        names: which arrays are read, where they are there; None reads all.
        with_objects: read pickled arrays too, by `load_pickle`; one of a single object becomes
            that object.

    Raises:
        Exception: of many kinds where the file is damaged; see `one_line_errors`.
    """
    with open_zip(file) as archive:
        wanted = {
            name.removesuffix(_SUFFIX): member
            for name, member in archive.NameToInfo.items()
            if name.endswith(_SUFFIX) and (names is None or name.removesuffix(_SUFFIX) in names)
        }
        check_members(wanted.values(), file.seek(0, io.SEEK_END))
        arrays = {}
        for name, member in wanted.items():
            with archive.open(member) as stream:
                arrays[name] = array_of_npy(stream, member.file_size, with_objects)
        return arrays


def array_of_npy(file: IO[bytes], num_bytes: int, with_objects: bool = False) -> Any:
    """The array of an npy file, no larger than the file.

    Args:
        file: at the beginning.
        num_bytes: of the file.
        with_objects: as for `arrays_of_npz`.

    Raises:
        Exception: as `arrays_of_npz`.
    """
    bounded = BoundedFile(file, num_bytes)
    version = npy_format.read_magic(bounded)
    if version not in _HEADERS:
        raise ValueError(f"an array of format {version} is not read")
    shape, is_fortran, dtype = _HEADERS[version](bounded)
    if dtype.hasobject and with_objects:
        objects = load_pickle(file, bounded.num_left, "an array of objects in it")
        return objects.item() if np.ndim(objects) == 0 and hasattr(objects, "item") else objects
    num = math.prod(shape)
    if dtype.kind not in _PLAIN_KINDS or any(size < 0 for size in shape):
        raise ValueError(f"an array of {dtype} of shape {shape} is not read")
    size = num * dtype.itemsize
    if num and not size:
        raise ValueError("an array of empty texts is not read")
    if size > bounded.num_left:
        raise ValueError(f"an array of shape {shape} is truncated")
    flat = np.empty(size, np.uint8)
    bounded.readinto(flat)
    array = flat.view(dtype) if size else np.empty(0, dtype)
    array = array.reshape(shape[::-1]).T if is_fortran else array.reshape(shape)
    check_text(array)
    return array
