"""URIs of files and folders: one for each, however it was named, and what they open.

A path is anything fsspec understands: local paths become absolute, URIs are written as their file
system writes them, chained ones (`zip://a.png::archive.zip`) keep their chain. So an item keeps its
identity from run to run.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO

import fsspec
from fsspec.implementations.local import LocalFileSystem

from hierprob3d.transforms.store.retries import retried
from hierprob3d.transforms.store.retrying_files import RetryingFileSystem

CHAIN = "::"
_TAR = "tar://"
_LOCAL = ("file://", "local://")
_EXTRAS = {"http": "http", "https": "http", "s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
"""Our own extras, by the protocols that need them."""


class CannotOpen(ValueError):
    """A protocol that is unknown, or an archive that is damaged; the message says so in a line."""


class MissingPackage(CannotOpen):
    """A protocol whose package is not installed; the message names the mend."""


def absolute(uri: str) -> str:
    """The one URI of a file or folder: local paths absolute and without protocol.

    Raises:
        ValueError: A protocol that is unknown or needs a package that is not installed.
    """
    if not is_remote(uri):
        return os.path.abspath(local_path(uri))
    return "".join(_take_apart(uri))


def printable(uri: str) -> str:
    """The URI as text that any file format can hold, whatever bytes a file name has."""
    return os.fsencode(uri).decode("utf-8", errors="replace")


def is_remote(uri: str) -> bool:
    """Whether the URI names a protocol other than the local file system."""
    return "://" in uri and not uri.startswith(_LOCAL)


def local_path(uri: str) -> str:
    """The path in a local URI, with the user's home folder in the place of `~`."""
    for protocol in _LOCAL:
        uri = uri.removeprefix(protocol)
    return os.path.expanduser(uri)


@contextmanager
def open_uri(uri: str, block_bytes: int | None = None) -> Iterator[BinaryIO]:
    """The file opened for reading; local names are taken literally, whatever they contain.

    Args:
        uri: Absolute.
        block_bytes: How much of a remote file is asked for at once; otherwise as its store likes.

    Raises:
        OSError: It cannot be opened, whatever the reason; the message says it in one line.
    """
    if not is_remote(uri):
        check_regular(uri)
        with open(uri, "rb") as file:
            yield file
        return
    with _opened_remotely(uri, {} if block_bytes is None else {"block_size": block_bytes}) as file:
        yield file


@contextmanager
def _opened_remotely(uri: str, options: Mapping[str, int]) -> Iterator[BinaryIO]:
    # The file keeps its file system alive: an archive around the file is closed with it.
    with remote_file(uri) as (fs, path):
        opened = fs.open(path, "rb", **options)
    with opened as file:
        yield file


@contextmanager
def remote_file(uri: str) -> Iterator[tuple[RetryingFileSystem, str]]:
    """The store of a remote URI and the path there, in whose block every error is an OSError."""
    try:
        fs, path = filesystem(uri)
        assert isinstance(fs, RetryingFileSystem)  # it is remote
        yield fs, path
    except OSError:
        raise
    except Exception as error:  # stores and archives raise what their packages do
        raise OSError(str(_cannot_open(uri, error))) from error


def check_regular(path: str) -> None:
    """Raise OSError if a local path is a pipe, socket or device: reading it may never end."""
    if is_special(path):
        raise OSError(f"{path} is not a regular file but a pipe, socket or device")


def filesystem(uri: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of an absolute URI, and the path there; stores are asked until they answer.

    Raises:
        ValueError: As `absolute`, or a damaged archive.
    """
    if not is_remote(uri):
        return LocalFileSystem(), uri
    try:
        fs, path = retried(fsspec.core.url_to_fs, uri)
    except OSError:
        raise
    except Exception as error:  # archives raise what their formats' readers do
        raise _cannot_open(uri, error) from error
    return RetryingFileSystem(fs), path


def suffix(uri: str) -> str:
    """Extension in small letters, with its dot; as pathlib has it, in a tenth of the time."""
    name = own_name(uri).rstrip("/").rpartition("/")[2]
    dot = name.rfind(".")
    return name[dot:].lower() if 0 < dot < len(name) - 1 else ""


def own_name(uri: str) -> str:
    """The URI without the archive or the cache that a chained one goes through."""
    if not is_remote(uri):
        return uri
    return next((link for link in uri.split(CHAIN) if "://" in link), uri)


def member_uri(archive: str, name: str) -> str:
    """URI of a member of a tar archive."""
    return f"{_TAR}{name}{CHAIN}{archive}"


def member_name(uri: str) -> str:
    """Name of the member that a URI of `member_uri` names."""
    return uri.removeprefix(_TAR).partition(CHAIN)[0]


def archive_of(uri: str) -> str | None:
    """The tar archive that a member's URI names, None where it is no member's."""
    return (uri.partition(CHAIN)[2] or None) if uri.startswith(_TAR) else None


def is_special(path: str) -> bool:
    """Whether a local path is a pipe, socket or device."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # who reads it will say what is wrong
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def beside(uri: str, name: str) -> str:
    """Absolute URI of a name in a list; relative ones count from the list's folder."""
    if is_remote(name) or name.startswith(_LOCAL):
        return absolute(name)
    if not is_remote(uri):
        return os.path.abspath(os.path.join(os.path.dirname(uri), name))
    if os.path.isabs(name):
        return os.path.abspath(name)
    before, path, after = _take_apart(uri)
    return absolute(f"{before}{path.rpartition('/')[0]}/{name}{after}")


def uris_like(uri: str, paths: Iterable[str]) -> list[str]:
    """URIs of paths on the file system of a URI."""
    before, _, after = _take_apart(uri)
    return [before + path.removeprefix(before) + after for path in paths]


def _take_apart(uri: str) -> tuple[str, str, str]:
    """What stands before the path of a remote URI, the path there, and the chain behind it."""
    links = uri.split(CHAIN)
    place = next((number for number, link in enumerate(links) if "://" in link), None)
    if place is None:
        raise CannotOpen(f"cannot open {uri}: it is no URI")
    link, chain = links[place], links[place + 1 :]
    kind = _filesystem_class(link)
    path = kind._strip_protocol(link)
    name = kind.protocol if isinstance(kind.protocol, str) else kind.protocol[0]
    before = f"{name}://"
    if kind._get_kwargs_from_urls(link) and link.endswith(path):
        before = link.removesuffix(path)  # names a host, which is no part of the path
    after = CHAIN + absolute(CHAIN.join(chain)) if chain else ""
    caches = "".join(cache + CHAIN for cache in links[:place])
    return caches + before, path.removeprefix(before), after


def _filesystem_class(link: str) -> type[fsspec.AbstractFileSystem]:
    try:
        return fsspec.get_filesystem_class(link.partition("://")[0])
    except (ValueError, ImportError) as error:
        raise _cannot_open(link, error) from error


def _cannot_open(uri: str, error: Exception) -> ValueError:
    """The error in one line, with what to install where that is what is missing."""
    if isinstance(error, CannotOpen):
        return error
    if not isinstance(error, ImportError):
        return CannotOpen(f"cannot open {uri}: {error}")
    protocol = own_name(uri).partition("://")[0]
    package = getattr(error.__cause__, "name", None) or error.name
    extra = _EXTRAS.get(protocol)
    mend = f"hierprob3d[{extra}]" if extra else package
    return MissingPackage(
        f"cannot open {uri}: {error}" + (f" (pip install {mend})" if mend else "")
    )
