"""Pickles of arrays, read without running any code of theirs.

Body model and data set files are pickles, many written by python 2 with chumpy arrays in them. A
pickle is a program, so nothing that it names is ever looked up: the few names that such files
need stand for the small classes below, which only remember data, and any other name is refused.
Afterwards the stand-ins are turned into plain numpy arrays and scipy.sparse matrices. Chumpy need
not be installed.
"""

from __future__ import annotations

import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import scipy.sparse

_PLAIN_DTYPE = re.compile(r"[?biufcSUO]\d*")
_SPARSE_FORMATS = ("csc", "csr", "coo")


class UnsafePickleError(ValueError):
    """The pickle names something other than arrays; nothing was executed."""


@dataclass(frozen=True)
class UnreadableChumpy:
    """Takes the place of a chumpy expression other than an array or a selection of one.

    A file may hold some that nobody needs; they should not make the rest unreadable.
    """

    kind: str
    """Name of the chumpy class."""


class _Standin:
    """What a name in the pickle stands for: remembers its state, does nothing."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def plain(self) -> Any:
        """The numpy or scipy object that the state describes."""
        raise UnsafePickleError(f"{type(self).__name__} cannot be an array.")


class _Dtype(_Standin):
    def __init__(self, name: str, align: Any = False, copy: Any = False) -> None:
        if not isinstance(name, str) or not _PLAIN_DTYPE.fullmatch(name):
            raise UnsafePickleError(f"The array type {name!r} is not admitted.")
        self.name = name

    def plain(self) -> np.dtype[Any]:
        dtype = np.dtype(self.name)
        if self.state is None:
            return dtype
        _, byte_order, subtype, names, fields = self.state[:5]
        if not (subtype is None and names is None and fields is None):
            raise UnsafePickleError("Structured arrays are not admitted.")
        return dtype.newbyteorder(byte_order) if byte_order in ("<", ">") else dtype


class _Array(_Standin):
    def plain(self) -> np.ndarray:
        _, shape, dtype, is_fortran, content = self.state
        return _array(content, dtype.plain(), shape, "F" if is_fortran else "C")


class _Reconstruct(_Standin):
    """numpy's `_reconstruct(ndarray, (0,), b"b")`: an empty array whose state follows."""

    def __new__(cls, *ignored: Any) -> Any:
        return _Array()


class _FromBuffer(_Standin):
    """numpy's `_frombuffer(buffer, dtype, shape, order)` of pickle protocol 5."""

    def __init__(self, content: Any, dtype: _Dtype, shape: Any, order: str) -> None:
        self.state = (content, dtype, shape, order)

    def plain(self) -> np.ndarray:
        content, dtype, shape, order = self.state
        return _array(content, dtype.plain(), shape, order)


class _Scalar(_Standin):
    def __init__(self, dtype: _Dtype, content: Any = b"") -> None:
        self.state = (dtype, content)

    def plain(self) -> Any:
        dtype, content = self.state
        return _array(content, dtype.plain(), (1,), "C")[0]


class _Sparse(_Standin):
    format = ""

    def plain(self) -> Any:
        state = {key.lstrip("_"): _plain(value) for key, value in self.state.items()}
        shape = tuple(int(size) for size in state["shape"])
        if self.format == "coo":
            indices = (state["row"], state["col"]) if "row" in state else state["coords"]
            return scipy.sparse.coo_matrix((state["data"], indices), shape=shape)
        build = scipy.sparse.csc_matrix if self.format == "csc" else scipy.sparse.csr_matrix
        matrix = build((state["data"], state["indices"], state["indptr"]), shape=shape)
        matrix.check_format()
        return matrix


class _Chumpy(_Standin):
    """A chumpy array (`Ch`: its numbers are `x`) or a selection of one (`Select`)."""

    def plain(self) -> Any:
        state = self.state if isinstance(self.state, dict) else {}
        if "x" in state:
            return np.asarray(_plain(state["x"]))
        if "a" not in state or "idxs" not in state:
            return UnreadableChumpy(type(self).__name__)
        selected = np.asarray(_plain(state["a"])).ravel()[_plain(state["idxs"])]
        return selected.reshape(_plain(state.get("preferred_shape", selected.shape)))


class _NewObject(_Standin):
    """`copy_reg._reconstructor(cls, object, None)` of old protocols."""

    def __new__(cls, kind: Any, *ignored: Any) -> Any:
        if not (isinstance(kind, type) and issubclass(kind, _Standin)):
            raise UnsafePickleError(f"An object of kind {kind!r} is not admitted.")
        return kind.__new__(kind)


class _Encode(_Standin):
    """`_codecs.encode(text, "latin1")`: how python 3 writes bytes for python 2."""

    def __new__(cls, text: str, encoding: str = "latin1") -> Any:
        if encoding != "latin1":
            raise UnsafePickleError(f"The encoding {encoding!r} is not admitted.")
        return str.encode(text, "latin1")


class _NoBytes(_Standin):
    """`bytes()`: how python 3 writes empty bytes for python 2."""

    def __new__(cls) -> Any:
        return b""


class _NdarrayName(_Standin):
    """The class `numpy.ndarray`, only ever an argument."""


_ADMITTED: dict[tuple[str, str], Any] = {
    ("copy_reg", "_reconstructor"): _NewObject,
    ("copyreg", "_reconstructor"): _NewObject,
    ("_codecs", "encode"): _Encode,
    ("numpy", "ndarray"): _NdarrayName,
    ("numpy", "dtype"): _Dtype,
    ("collections", "OrderedDict"): OrderedDict,
}
for _core in ("numpy.core", "numpy._core"):
    _ADMITTED[_core + ".multiarray", "_reconstruct"] = _Reconstruct
    _ADMITTED[_core + ".multiarray", "scalar"] = _Scalar
    _ADMITTED[_core + ".numeric", "_frombuffer"] = _FromBuffer
for _builtins in ("builtins", "__builtin__"):
    _ADMITTED[_builtins, "bytes"] = _NoBytes
    for _kind in (object, set, frozenset):
        _ADMITTED[_builtins, _kind.__name__] = _kind


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of an admitted name; never the named object itself."""
        if (module, name) in _ADMITTED:
            return _ADMITTED[module, name]
        if module.split(".")[0] == "chumpy":
            return type(name, (_Chumpy,), {})
        layout = name.split("_")[0]
        if module.startswith("scipy.sparse") and layout in _SPARSE_FORMATS:
            return type(name, (_Sparse,), {"format": layout})
        raise UnsafePickleError(
            f"it names {module}.{name}, and only numpy, scipy.sparse and chumpy arrays are admitted"
        )


def load_pickle(source: str | os.PathLike[str] | IO[bytes]) -> Any:
    """The content of a pickle of arrays, numbers, texts and containers of them.

    Python 2 texts are read as latin1, in which its array bytes survive. Chumpy arrays become numpy
    arrays, other chumpy expressions `UnreadableChumpy`.

    Args:
        source: path of the file, or a binary file.

    Returns:
        The object, made of numpy arrays, scipy.sparse matrices and plain python.

    Raises:
        FileNotFoundError: the path does not exist.
        UnsafePickleError: the pickle names anything else; nothing of it was executed.
        ValueError: not a pickle, or a damaged one.
    """
    if isinstance(source, str | os.PathLike):
        with _readable_errors(Path(source).name), open(source, "rb") as file:
            return _plain(_Unpickler(file, encoding="latin1").load())
    with _readable_errors("the pickle"):
        return _plain(_Unpickler(source, encoding="latin1").load())


@contextmanager
def _readable_errors(name: str) -> Iterator[None]:
    """Says which file failed; whatever a damaged pickle raises becomes a ValueError."""
    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError(f"{name} does not exist.") from None
    except UnsafePickleError as error:
        raise UnsafePickleError(f"{name} was refused: {error}.") from None
    except (
        pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, AttributeError,
        ArithmeticError, RecursionError, MemoryError,
    ) as error:  # fmt: skip
        raise ValueError(f"{name} is not a readable pickle ({error}).") from error


def _array(content: Any, dtype: np.dtype[Any], shape: tuple[int, ...], order: str) -> np.ndarray:
    """An array of its own memory from raw bytes, or from a list where it holds objects."""
    if dtype.hasobject:
        objects = np.empty(len(content), dtype=object)
        objects[:] = [_plain(value) for value in content]
        return objects.reshape(shape, order="F" if order == "F" else "C")
    raw = content.encode("latin1") if isinstance(content, str) else bytes(content)
    return np.frombuffer(raw, dtype).reshape(shape, order="F" if order == "F" else "C").copy("K")


def _plain(value: Any) -> Any:
    """The value with every stand-in replaced by the array it stands for."""
    if isinstance(value, _Standin):
        return value.plain()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    return value
