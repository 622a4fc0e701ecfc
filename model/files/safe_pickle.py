"""Pickles of arrays, read without running any code of theirs.

Body model and data set files are pickles, many written by python 2 with chumpy arrays in them.
Nothing that a pickle names is ever looked up: the few names that such files need stand for the
classes of `array_standins`, which only remember data, and any other name is refused. Afterwards
the stand-ins are turned into plain numpy arrays and scipy.sparse matrices. Chumpy need not be
installed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from .array_standins import ADMITTED, SPARSE_FORMATS, Chumpy, Sparse, UnreadableChumpy
from .bounded_file import num_bytes_left
from .bounded_unpickler import (
    BoundedUnpickler,
    Budget,
    PickleError,
    Standin,
    UnsafePickleError,
)
from .file_errors import one_line_errors, reason_of

__all__ = [
    "PickleError",
    "SafeUnpickler",
    "UnreadableChumpy",
    "UnsafePickleError",
    "load_pickle",
    "to_plain",
]

_MAX_DEPTH = 100
_MAX_EXPANDED = 4_000_000
"""Objects, where those that lie in several containers count in each."""

_NUMBERS = frozenset({int, float, bool, type(None)})


class SafeUnpickler(BoundedUnpickler):
    """Knows numpy, scipy.sparse and chumpy arrays."""

    admits = "numpy, scipy.sparse and chumpy arrays"

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of an admitted name; never the named object itself."""
        if (module, name) in ADMITTED:
            return ADMITTED[module, name]
        if module.split(".")[0] == "chumpy":
            return type(name, (Chumpy,), {})
        layout = name.split("_")[0]
        if module.startswith("scipy.sparse") and layout in SPARSE_FORMATS:
            return type(name, (Sparse,), {"format": layout})
        raise UnsafePickleError(f"it names {module}.{name}, and only {self.admits} are admitted")


def load_pickle(
    source: str | os.PathLike[str] | IO[bytes], num_bytes: int | None = None, name: str = ""
) -> Any:
    """The content of a pickle of arrays, numbers, texts and containers of them.

    Python 2 texts are read as latin1, in which its array bytes survive. Chumpy arrays become numpy
    arrays, other chumpy expressions `UnreadableChumpy`.

    Args:
        source: path of the file, or a binary file.
        num_bytes: how many the pickle may take of the binary file, by default all that are left.
        name: of the binary file, for messages.

    Returns:
        The object, made of numpy arrays, scipy.sparse matrices and plain python.

    Raises:
        FileNotFoundError: the path does not exist.
        UnsafePickleError: the pickle names anything else; nothing of it was executed.
        PickleError: not a pickle, a damaged one, or one that would take too much memory or time.
    """
    if isinstance(source, str | os.PathLike):
        with _readable_errors(Path(source).name), open(source, "rb") as file:
            return _load(file, os.fstat(file.fileno()).st_size)
    with _readable_errors(name or "the pickle"):
        return _load(source, num_bytes_left(source) if num_bytes is None else num_bytes)


def to_plain(value: Any, budget: Budget) -> Any:
    """The value with every stand-in replaced by what it stands for.

    Raises:
        PickleError: it contains itself, is nested too deeply, or would be too large.
    """
    return _Converter(budget).convert(value)


def _load(file: IO[bytes], num_bytes: int) -> Any:
    unpickler = SafeUnpickler(file, num_bytes)
    return to_plain(unpickler.load(), unpickler.budget)


@contextmanager
def _readable_errors(name: str) -> Iterator[None]:
    with one_line_errors(PickleError, name, "is not a readable pickle"):
        try:
            yield
        except UnsafePickleError as error:
            raise UnsafePickleError(f"{name} was refused: {reason_of(error)}.") from None
        except PickleError as error:
            raise PickleError(f"{name} is not a readable pickle ({reason_of(error)}).") from None


class _Converter:
    """Replaces stand-ins, each object once; shared ones stay shared, and count where they lie."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._made: dict[int, tuple[Any, int, int]] = {}
        """By identity: the result, and the objects and bytes in it."""
        self._open: set[int] = set()
        self._num = 0

    def convert(self, value: Any) -> Any:
        """The plain value."""
        self._count(1, 0)
        if isinstance(value, str | bytes):
            self._budget.spend(len(value))
            return value
        if not isinstance(value, Standin | dict | list | tuple | set):
            return value
        if id(value) in self._made:
            made, num, num_bytes = self._made[id(value)]
            self._count(num, num_bytes)
            return made
        return self._convert_once(value)

    def _convert_once(self, value: Any) -> Any:
        if id(value) in self._open:
            raise PickleError("it contains itself")
        if len(self._open) >= _MAX_DEPTH:
            raise PickleError(f"it is nested more than {_MAX_DEPTH} deep")
        self._budget.check_time()
        self._open.add(id(value))
        num, bytes_left = self._num, self._budget.bytes_left
        made = self._of_parts(value)
        self._open.remove(id(value))
        self._made[id(value)] = made, self._num - num, bytes_left - self._budget.bytes_left
        return made

    def _of_parts(self, value: Any) -> Any:
        if isinstance(value, Standin):
            return value.plain(self.convert, self._budget)
        if isinstance(value, dict):
            return {self.convert(key): self.convert(item) for key, item in value.items()}
        if isinstance(value, set):
            return {self.convert(item) for item in value}
        self._num += len(value)
        convert = self.convert
        items = [item if type(item) in _NUMBERS else convert(item) for item in value]
        return items if isinstance(value, list) else tuple(items)

    def _count(self, num: int, num_bytes: int) -> None:
        self._num += num
        self._budget.spend(num_bytes)
        if self._num > _MAX_EXPANDED:
            raise PickleError("it holds too many objects, most of them shared")
