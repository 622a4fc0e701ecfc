"""A store for tests that fails now and then: `flaky:///a/folder` is that local folder.

Every kind of call fails the first time and every few times after, in all the ways in which stores
do: before it has done anything, or when only its answer gets lost. Like fsspec's own, `exists` and
`isdir` do not raise then but say no.
"""

from __future__ import annotations

import errno
import itertools
import os
import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
from fsspec import AbstractFileSystem
from fsspec.exceptions import FSTimeoutError
from fsspec.implementations.local import LocalFileSystem

EVERY = 4
"""Of so many calls of a kind one fails."""

SHARE_VARIABLE = "FLAKY_STORE_SHARE"
"""Environment variable with the share of calls that fail at random, instead of one of EVERY, beside
the first of every kind in each process."""

LOG_VARIABLE = "FLAKY_STORE_LOG"
"""Environment variable with a file to which the kind of every failed call is added."""


_drawn: set[str] = set()
"""Kinds of calls of this process of which one has failed by share."""


def _is_drawn(kind: str, share: float) -> bool:
    if kind in _drawn and random.random() >= share:
        return False
    _drawn.add(kind)
    return True


class HttpError(Exception):
    """As Google's back-end has it."""

    code = 503


class ClientError(Exception):
    """As Amazon's library has it."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}


def translated() -> OSError:
    """As Amazon's back-end hands on what its library says."""
    error = OSError(errno.EIO, "Please reduce your request rate")
    error.__cause__ = ClientError("SlowDown", 503)
    return error


TRANSIENT: tuple[Callable[[], Exception], ...] = (
    ConnectionResetError,
    FSTimeoutError,
    HttpError,
    translated,
    lambda: ClientError("RequestTimeout", 400),
    lambda: OSError(errno.ETIMEDOUT, "timed out"),
)


class FlakyFileSystem(AbstractFileSystem):
    """A local folder behind a bad line; its puts are atomic, as those of object stores."""

    protocol = "flaky"
    cachable = False
    conditional = True
    """Whether a put may be asked to create only."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._local = LocalFileSystem(auto_mkdir=True)
        self._calls: Counter[str] = Counter()
        self._kinds = itertools.cycle(TRANSIENT)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.removeprefix("flaky://").rstrip("/")

    def _call(self, kind: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        number = self._calls[kind]
        self._calls[kind] += 1
        share = os.environ.get(SHARE_VARIABLE)
        if not (_is_drawn(kind, float(share)) if share else number % EVERY == 0):
            return function(*args, **kwargs)
        log = os.environ.get(LOG_VARIABLE)
        if log:
            with open(log, "a") as file:
                file.write(f"{kind}\n")
        if random.random() < 0.5 if share else number // EVERY % 2:
            function(*args, **kwargs)
        raise next(self._kinds)()

    def ls(self, path: str, detail: bool = False, **kwargs: Any) -> Any:
        return self._call("ls", self._local.ls, path, detail=detail)

    def info(self, path: str, **kwargs: Any) -> Any:
        return self._call("info", self._local.info, path, **kwargs)

    def exists(self, path: str, **kwargs: Any) -> bool:
        try:
            return self._call("exists", self._local.exists, path, **kwargs)
        except Exception:
            return False

    def isdir(self, path: str) -> bool:
        try:
            return self._call("isdir", self._local.isdir, path)
        except Exception:
            return False

    def cat_file(self, path: str, start: Any = None, end: Any = None, **kwargs: Any) -> bytes:
        return self._call("cat_file", lambda: Path(path).read_bytes()[start:end])

    def rm_file(self, path: str) -> None:
        self._call("rm_file", self._local.rm_file, path)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        self._call("makedirs", self._local.makedirs, path, exist_ok=exist_ok)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        self._call("pipe_file", self._put, path, value, mode)

    def put_file(self, lpath: str, rpath: str, **kwargs: Any) -> None:
        self._call("put_file", lambda: self._put(rpath, Path(lpath).read_bytes(), "overwrite"))

    def _put(self, path: str, value: bytes, mode: str) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = f"{path}.{secrets.token_hex(8)}.put"
        Path(temporary).write_bytes(value)
        if mode == "create":
            try:
                os.link(temporary, path)
            finally:
                os.unlink(temporary)
        else:
            os.replace(temporary, path)

    def open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        assert mode == "rb"
        return self._call("open", _FlakyFile, self, path)


class _FlakyFile:
    """Reads and seeks fail as calls of the file system do."""

    def __init__(self, fs: FlakyFileSystem, path: str) -> None:
        self._fs, self._file = fs, open(path, "rb")  # noqa: SIM115

    def read(self, size: int = -1) -> bytes:
        return self._fs._call("read", self._file.read, size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._fs._call("seek", self._file.seek, offset, whence)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def register() -> None:
    """Makes the protocol known in this process."""
    fsspec.register_implementation("flaky", FlakyFileSystem, clobber=True)


def failed_calls(log: Path) -> Iterator[str]:
    """Kinds of the calls that failed."""
    yield from log.read_text().split()
