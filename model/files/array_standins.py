"""What stands for the names that pickles of arrays hold, and the arrays that come of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .bounded_unpickler import (
    Budget,
    Elements,
    Mapping,
    PickleError,
    Standin,
    UnsafePickleError,
    is_standin,
)

Convert = Callable[[Any], Any]

SPARSE_FORMATS = ("csc", "csr", "coo", "lil")

_PLAIN_DTYPE = re.compile(r"[?biufcSUO]\d*")
_LAST_LETTER = 0x10FFFF


@dataclass(frozen=True)
class UnreadableChumpy:
    """Takes the place of a chumpy expression other than an array or a selection of one.

    A file may hold some that nobody needs; they should not make the rest unreadable.
    """

    kind: str
    """Name of the chumpy class."""


def check_text(array: np.ndarray) -> None:
    """ValueError where a text array holds numbers that are no letters, which numpy cannot print."""
    if array.dtype.kind == "U" and array.size and array.itemsize:
        order = array.dtype.byteorder
        letters = (
            np.ascontiguousarray(array).reshape(-1).view(f"{order if order in '<>' else '='}u4")
        )
        if letters.max() > _LAST_LETTER:
            raise ValueError("a text in it is damaged")


class Dtype(Standin):
    """`numpy.dtype`."""

    def __init__(self, name: str, align: Any = False, copy: Any = False) -> None:
        if not isinstance(name, str) or not _PLAIN_DTYPE.fullmatch(name):
            raise UnsafePickleError(f"the array type {name!r} is not admitted")
        self.name = name

    def dtype(self) -> np.dtype[Any]:
        """The numpy type."""
        dtype = np.dtype(self.name)
        if self.state is None:
            return dtype
        _, byte_order, subtype, names, fields = self.state[:5]
        if not (subtype is None and names is None and fields is None):
            raise UnsafePickleError("structured arrays are not admitted")
        return dtype.newbyteorder(byte_order) if byte_order in ("<", ">") else dtype

    def plain(self, convert: Convert, budget: Budget) -> np.dtype[Any]:
        """The numpy type."""
        return self.dtype()


class Array(Standin):
    """`numpy.ndarray`; its state is (version, shape, dtype, is_fortran, content)."""

    def plain(self, convert: Convert, budget: Budget) -> np.ndarray:
        """The array."""
        _, shape, dtype, is_fortran, content = self.state
        return _array(content, dtype.dtype(), shape, "F" if is_fortran else "C", convert, budget)


class _Reconstruct(Standin):
    """numpy's `_reconstruct(ndarray, (0,), b"b")`: an empty array whose state follows."""

    def __new__(cls, *ignored: Any) -> Any:
        return Array()


class _FromBuffer(Standin):
    """numpy's `_frombuffer(buffer, dtype, shape, order)` of pickle protocol 5."""

    def __init__(self, content: Any, dtype: Dtype, shape: Any, order: str) -> None:
        self.state = (content, dtype, shape, order)

    def plain(self, convert: Convert, budget: Budget) -> np.ndarray:
        """The array."""
        content, dtype, shape, order = self.state
        return _array(content, dtype.dtype(), shape, order, convert, budget)


class _Scalar(Standin):
    def __init__(self, dtype: Dtype, content: Any = b"") -> None:
        self.state = (dtype, content)

    def plain(self, convert: Convert, budget: Budget) -> Any:
        """The numpy scalar."""
        dtype, content = self.state
        return _array(content, dtype.dtype(), (1,), "C", convert, budget)[0]


class Sparse(Standin):
    """A matrix of scipy.sparse; a lil matrix becomes a csr one."""

    format = ""

    def plain(self, convert: Convert, budget: Budget) -> Any:
        """The matrix, its indices checked."""
        import scipy.sparse  # takes a quarter of a second, and few files hold one

        state = {key.lstrip("_"): convert(value) for key, value in self.state.items()}
        shape = tuple(int(size) for size in state["shape"])
        if self.format == "coo":
            indices = (state["row"], state["col"]) if "row" in state else state["coords"]
            return scipy.sparse.coo_matrix((state["data"], indices), shape=shape)
        if self.format == "lil":
            parts = _parts_of_lists(state["rows"], state["data"])
        else:
            parts = (state["data"], state["indices"], state["indptr"])
        build = scipy.sparse.csc_matrix if self.format == "csc" else scipy.sparse.csr_matrix
        matrix = build(parts, shape=shape)
        matrix.check_format()
        return matrix


class Chumpy(Standin):
    """A chumpy array (`Ch`: its numbers are `x`) or a selection of one (`Select`)."""

    def plain(self, convert: Convert, budget: Budget) -> Any:
        """The array, or `UnreadableChumpy`."""
        state = self.state if isinstance(self.state, dict) else {}
        if "x" in state:
            return np.asarray(convert(state["x"]))
        if "a" not in state or "idxs" not in state:
            return UnreadableChumpy(type(self).__name__)
        selected = np.asarray(convert(state["a"])).ravel()[convert(state["idxs"])]
        budget.spend(selected.nbytes)
        return selected.reshape(convert(state.get("preferred_shape", selected.shape)))


class _NewObject(Standin):
    """`copy_reg._reconstructor(cls, object, None)` of old protocols."""

    def __new__(cls, kind: Any, *ignored: Any) -> Any:
        if not is_standin(kind):
            raise UnsafePickleError(f"an object of kind {kind!r} is not admitted")
        return kind.__new__(kind)


class _Encode(Standin):
    """`_codecs.encode(text, "latin1")`: how python 3 writes bytes for python 2."""

    def __new__(cls, text: str, encoding: str = "latin1") -> Any:
        if encoding != "latin1":
            raise UnsafePickleError(f"the encoding {encoding!r} is not admitted")
        return str.encode(text, "latin1")


class _NoBytes(Standin):
    """`bytes()`: how python 3 writes empty bytes for python 2."""

    def __new__(cls) -> Any:
        return b""


class _NdarrayName(Standin):
    """The class `numpy.ndarray`, only ever an argument."""


class _Factory(Standin):
    """A class that makes the missing values of a defaultdict, only ever an argument."""


class _Object(Standin):
    """The class `object`, only ever an argument."""


ADMITTED: dict[tuple[str, str], Any] = {
    ("copy_reg", "_reconstructor"): _NewObject,
    ("copyreg", "_reconstructor"): _NewObject,
    ("_codecs", "encode"): _Encode,
    ("numpy", "ndarray"): _NdarrayName,
    ("numpy", "dtype"): Dtype,
    ("collections", "OrderedDict"): Mapping,
    ("collections", "defaultdict"): Mapping,
    ("collections", "Counter"): Mapping,
}
for _core in ("numpy.core", "numpy._core"):
    ADMITTED[_core + ".multiarray", "_reconstruct"] = _Reconstruct
    ADMITTED[_core + ".multiarray", "scalar"] = _Scalar
    ADMITTED[_core + ".numeric", "_frombuffer"] = _FromBuffer
for _builtins in ("builtins", "__builtin__"):
    ADMITTED[_builtins, "bytes"] = _NoBytes
    ADMITTED[_builtins, "object"] = _Object
    for _name in ("set", "frozenset"):
        ADMITTED[_builtins, _name] = Elements
    for _name in ("list", "dict", "tuple", "int", "long", "float", "bool", "str", "unicode"):
        ADMITTED[_builtins, _name] = _Factory


def _array(
    content: Any,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    order: str,
    convert: Convert,
    budget: Budget,
) -> np.ndarray:
    """An array of its own memory from raw bytes, or from a list where it holds objects."""
    layout: Literal["F", "C"] = "F" if order == "F" else "C"
    if dtype.hasobject:
        if not isinstance(content, list | tuple):
            raise PickleError("an array of objects is none")
        objects = np.empty(len(content), dtype=object)
        for place, value in enumerate(content):
            objects[place] = convert(value)
        return objects.reshape(shape, order=layout)
    raw = content.encode("latin1") if isinstance(content, str) else bytes(content)
    budget.spend(len(raw))
    array = np.frombuffer(raw, dtype).reshape(shape, order=layout).copy("K")
    check_text(array)
    return array


def _parts_of_lists(rows: np.ndarray, data: np.ndarray) -> tuple[np.ndarray, ...]:
    """Numbers, columns and beginnings of rows of a lil matrix."""
    lengths = [len(row) for row in rows]
    if lengths != [len(values) for values in data]:
        raise PickleError("the rows of a sparse matrix disagree with its numbers")
    columns = [column for row in rows for column in row]
    numbers = [number for values in data for number in values]
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    return np.asarray(numbers, np.float64), np.asarray(columns, np.int64), starts
