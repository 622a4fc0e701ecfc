"""Files of stores behind a network: every call is repeated until it is answered, or cannot be.

See `store.retries` for what is repeated, and how often.
"""

from __future__ import annotations

import inspect
import io
import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from fsspec import AbstractFileSystem
from fsspec.asyn import AsyncFileSystem

from .parallel_requests import in_parallel
from .retries import is_transient, retried, tells_of_existing

_log = logging.getLogger(__name__)


class RetryingFileSystem(AbstractFileSystem):
    """Another file system, every call of which is made by `retried`.

    Files are opened for reading only, and read on where a connection broke; `pipe_file` and
    `put_file` write.
    A call that was repeated may have been done the first time: creating and removing bear that.
    Where a back-end takes any error for an answer (nothing is there, the folder is empty), it is
    asked again in a way that shows the error.

    Args:
        fs: of a store behind a network.
    """

    cachable = False

    def __init__(self, fs: AbstractFileSystem) -> None:
        super().__init__()
        self.fs = fs
        self.protocol, self.sep, self.root_marker = fs.protocol, fs.sep, fs.root_marker

    def _strip_protocol(self, path: str) -> str:
        return self.fs._strip_protocol(path)

    def _parent(self, path: str) -> str:
        return self.fs._parent(path)

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list:
        """Entries of a folder."""
        return retried(self.fs.ls, path, detail=detail, **kwargs)

    def names(self, folder: str, prefix: str = "") -> list[str]:
        """Base names of a folder's entries that begin so."""
        if not (prefix and _finds_by_prefix(self.fs)):
            found = self.ls(folder, detail=False, refresh=True)
            return [path.rstrip("/").rpartition("/")[2] for path in found]
        self.fs.invalidate_cache(folder)
        places = (path.rpartition("/") for path in retried(self.fs.find, folder, prefix=prefix))
        return [name for place, _, name in places if place == folder.rstrip("/")]

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """What is known of an entry; FileNotFoundError where there is none."""
        return retried(self.fs.info, path, **kwargs)

    def exists(self, path: str, **kwargs: Any) -> bool:
        """Whether there is such an entry."""
        return retried(self.fs.exists, path, **kwargs) or self._kind(path) is not None

    def isdir(self, path: str) -> bool:
        """Whether it is a folder."""
        return retried(self.fs.isdir, path) or self._kind(path) == "directory"

    def isfile(self, path: str) -> bool:
        """Whether it is a file."""
        return self._kind(path) == "file"

    def _kind(self, path: str) -> str | None:
        try:
            return self.info(path)["type"]
        except (FileNotFoundError, NotADirectoryError):
            return None

    def find(self, path: str, *args: Any, **kwargs: Any) -> Any:
        """All files below a folder; by the store's own search where it has one."""
        if _has_own(self.fs, "find"):
            return retried(self.fs.find, path, *args, **kwargs)
        return super().find(path, *args, **{"on_error": _refuse, **kwargs})

    def files_below(self, folder: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """All files below a folder, with what the store says of them.

        Object stores name a thousand per request: there folders are listed several at a time, and
        memory holds few of them.
        """
        if not (isinstance(self.fs, AsyncFileSystem) and _has_own(self.fs, "find")):
            yield from self.find(folder, detail=True).items()
            return
        folders = [folder.rstrip("/")]
        while folders:
            below = []
            for place, entries in zip(folders, in_parallel(self._listed, folders), strict=True):
                for info in entries:
                    name = info["name"].rstrip("/")
                    if info["type"] != "directory":
                        yield name, info
                    elif name != place:
                        below.append(name)
            folders = below

    def _listed(self, folder: str) -> list[dict[str, Any]]:
        """Entries of a folder; the store's library is not to keep them."""
        entries = self.ls(folder, detail=True, refresh=True)
        self.fs.invalidate_cache(folder)
        return entries

    def glob(self, path: str, **kwargs: Any) -> Any:
        """Entries that a pattern matches; by the store's own search where it has one."""
        if _has_own(self.fs, "glob") and _has_own(self.fs, "find"):
            return retried(self.fs.glob, path, **kwargs)
        return super().glob(path, **kwargs)

    def read_start(self, path: str, num_bytes: int) -> bytes:
        """At most so many bytes of a file's beginning: one request where it can be."""
        try:
            return self.cat_file(path, start=0, end=num_bytes)
        except (FileNotFoundError, PermissionError):
            raise
        except Exception as error:  # stores refuse any part of an empty file
            if is_transient(error) or self.info(path)["size"]:
                raise
            return b""

    def cat_file(self, path: str, *args: Any, **kwargs: Any) -> bytes:
        """Contents of a file."""
        return retried(self.fs.cat_file, path, *args, **kwargs)

    def pipe_file(self, path: str, value: bytes, **kwargs: Any) -> None:
        """Writes a file."""
        retried(self.fs.pipe_file, path, value, **kwargs)

    def put_file(self, lpath: str, rpath: str, **kwargs: Any) -> None:
        """Writes the contents of a local file."""
        retried(self.fs.put_file, lpath, rpath, **kwargs)

    def rm_file(self, path: str) -> None:
        """Removes a file; FileNotFoundError where the first attempt finds none."""
        attempts = 0

        def remove() -> None:
            nonlocal attempts
            attempts += 1
            try:
                self.fs.rm_file(path)
            except FileNotFoundError:
                if attempts == 1:
                    raise

        retried(remove)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Makes a folder where the store knows folders."""
        retried(self.fs.makedirs, path, exist_ok=exist_ok)

    def open(self, path: str, mode: str = "rb", **kwargs: Any) -> BinaryIO:
        """The file opened for reading; `mode` must be "rb"."""
        if mode != "rb":
            raise ValueError(f"{path} cannot be opened for {mode!r}: files of stores are read here")
        return io.BufferedReader(_RetryingReader(self.fs, path, kwargs))


def create_file(fs: AbstractFileSystem, path: str, data: bytes) -> tuple[bool, bool]:
    """Writes a file only if there is none: whether this call did, and whether that is certain.

    Not certain where the back-end knows no conditional writing: of two calls at the same time both
    may believe so, and the later one's data stay.
    """
    condition = _condition_to_create(fs)
    if condition is None:
        created = not fs.exists(path)
        if created:
            fs.pipe_file(path, data)
        return created, False
    try:
        fs.pipe_file(path, data, **condition)
        return True, True
    except Exception as error:
        if not tells_of_existing(error):
            raise
    try:
        return fs.cat_file(path) == data, True  # the first attempt, of which no answer came
    except FileNotFoundError:
        return False, True


def _condition_to_create(fs: AbstractFileSystem) -> dict[str, Any] | None:
    """Arguments with which a back-end's `pipe_file` creates only; None where it cannot."""
    kind = type(fs.fs if isinstance(fs, RetryingFileSystem) else fs)
    name = "_pipe_file" if issubclass(kind, AsyncFileSystem) else "pipe_file"
    own = getattr(kind, name)
    if own in (AsyncFileSystem._pipe_file, AbstractFileSystem.pipe_file):
        return None
    known = inspect.signature(own).parameters
    if "mode" in known:
        return {"mode": "create"}
    return {"overwrite": False} if "overwrite" in known else None


def _finds_by_prefix(fs: AbstractFileSystem) -> bool:
    """Whether a store lists names with a beginning without those of all others."""
    own = getattr(type(fs), "_find" if isinstance(fs, AsyncFileSystem) else "find")
    return "prefix" in inspect.signature(own).parameters


def _has_own(fs: AbstractFileSystem, name: str) -> bool:
    """Whether a file system searches its own way, not folder by folder, passing over errors."""
    if isinstance(fs, AsyncFileSystem) and hasattr(AsyncFileSystem, f"_{name}"):
        return getattr(type(fs), f"_{name}") is not getattr(AsyncFileSystem, f"_{name}")
    return getattr(type(fs), name) is not getattr(AbstractFileSystem, name)


def _refuse(error: Exception) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


class _RetryingReader(io.RawIOBase):
    """A file of a store that is opened anew where it was, when a read fails."""

    def __init__(self, fs: AbstractFileSystem, path: str, options: dict[str, Any]) -> None:
        self._fs, self._path, self._options = fs, path, options
        self._file: Any = None
        self._position = 0
        retried(self._opened)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._opened().seekable())

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}
        if whence == os.SEEK_END:
            start[whence] = retried(self._seek_end)
        self._position = max(0, start[whence] + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        data = retried(self._read, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def readall(self) -> bytes:
        data = retried(self._read, -1)
        self._position += len(data)
        return data

    def close(self) -> None:
        if not self.closed:
            self._drop()
        super().close()

    def _opened(self) -> Any:
        if self._file is None:
            self._file = self._fs.open(self._path, "rb", **self._options)
        return self._file

    def _seek_end(self) -> int:
        try:
            return int(self._opened().seek(0, os.SEEK_END))
        except Exception:
            self._drop()
            raise

    def _read(self, size: int) -> bytes:
        try:
            file = self._opened()
            if file.tell() != self._position:
                file.seek(self._position)
            return file.read(size)
        except Exception:
            self._drop()
            raise

    def _drop(self) -> None:
        """Forgets a file that may be in any state."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except Exception as error:
                _log.debug("closing %s: %r", self._path, error)
