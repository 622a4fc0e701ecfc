"""Inputs of a run: from files, folders, globs and lists to the URIs of pictures and videos.

A path is anything fsspec understands. Every file has one URI, however it was named: local paths
become absolute, URIs are written as their file system writes them, chained ones (`zip://a.png::
archive.zip`) keep their chain. So an item keeps its identity from run to run.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import BinaryIO

import fsspec
from fsspec.implementations.local import LocalFileSystem

from .input_lists import LIST_SUFFIXES, names_in_list

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".wmv",
)  # fmt: skip
RESULT_FOLDERS = ("people", "errors", "frames", "runs", "pictures")
"""Sub-folders of an output folder; nothing in them is an input."""

_GLOB_CHARACTERS = frozenset("*?[")
_CHAIN = "::"


@dataclass
class Listing:
    """URIs found, each once, in a fixed order."""

    uris: list[str] = field(default_factory=list)
    num_skipped: int = 0
    """Files of folders and globs that are not read: neither picture nor video by their extension,
    or pipes, sockets and devices."""

    def names(self) -> set[str]:
        """The URIs as the tables write them, see `printable`."""
        return {printable(uri) for uri in self.uris}


def list_inputs(inputs: Sequence[str], leave_out: str | None = None) -> Listing:
    """URIs of all pictures and videos that the inputs name.

    Args:
        inputs: Files (any extension), folders (searched whole, hidden files left out), globs, and
            lists: .txt with one path a line, .csv and .parquet with a column `uri`. Relative
            paths of a list count from the list's folder.
        leave_out: Output folder; files of folders and globs that lie in its `RESULT_FOLDERS`, by
            whatever way they are reached, are no inputs.

    Raises:
        FileNotFoundError: An input does not exist or a glob matches nothing.
        ValueError: A list that cannot be read, a folder that may not be read, or a path of an
            unknown protocol.
    """
    search = _Search(leave_out)
    found = dict.fromkeys(uri for name in inputs for uri in search.expand(name))
    return Listing(list(found), search.num_skipped)


def absolute(uri: str) -> str:
    """The one URI of a file or folder: local paths absolute and without `file://`.

    Raises:
        ValueError: A protocol that is unknown or needs a package that is not installed.
    """
    local = uri.removeprefix("file://")
    if not is_remote(local):
        return os.path.abspath(os.path.expanduser(local))
    return "".join(_take_apart(uri))


def printable(uri: str) -> str:
    """The URI as text that any file format can hold, whatever bytes a file name has."""
    return os.fsencode(uri).decode("utf-8", errors="replace")


def is_remote(uri: str) -> bool:
    """Whether the URI names a protocol other than the local file system."""
    return "://" in uri and not uri.startswith("file://")


@contextmanager
def open_uri(uri: str) -> Iterator[BinaryIO]:
    """The file opened for reading; local names are taken literally, whatever they contain."""
    if not is_remote(uri):
        check_regular(uri)
    # The opener lives as long as the file: an archive around the file is closed with it.
    opener = fsspec.open(uri, "rb") if is_remote(uri) else open(uri, "rb")
    with opener as file:
        yield file


def check_regular(path: str) -> None:
    """Raise OSError if a local path is a pipe, socket or device: reading it may never end."""
    if _is_special(path):
        raise OSError(f"{path} is not a regular file but a pipe, socket or device")


def filesystem(uri: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of an absolute URI, and the path there.

    Raises:
        ValueError: As `absolute`, or a damaged archive.
    """
    if not is_remote(uri):
        return LocalFileSystem(), uri
    try:
        return fsspec.core.url_to_fs(uri)
    except OSError:
        raise
    except Exception as error:  # archives raise what their formats' readers do
        raise _cannot_open(uri, error) from error


def is_video(uri: str) -> bool:
    """Whether the extension is a video's, in any case."""
    return suffix(uri) in VIDEO_SUFFIXES


def suffix(uri: str) -> str:
    """Extension in small letters, with its dot."""
    return PurePosixPath(own_name(uri)).suffix.lower()


def own_name(uri: str) -> str:
    """The URI without the archive or the cache that a chained one goes through."""
    if not is_remote(uri):
        return uri
    return next(link for link in uri.split(_CHAIN) if "://" in link)


class _Search:
    """Expands inputs one by one.

    Args:
        output: Output folder, see `list_inputs`.
    """

    def __init__(self, output: str | None) -> None:
        self.num_skipped = 0
        self._real_folders: dict[str, str] = {}
        root = "" if output is None else absolute(output).rstrip("/")
        names = () if output is None else RESULT_FOLDERS
        self._results = tuple(self._real(f"{root}/{name}") + "/" for name in names)

    def expand(self, name: str) -> Iterable[str]:
        """Absolute URIs behind one input."""
        uri = absolute(name)
        fs, path = filesystem(uri)
        if fs.isdir(path):
            return self._media_files(uri)
        if fs.exists(path):
            return self._of_list(uri) if suffix(uri) in LIST_SUFFIXES else [uri]
        if _GLOB_CHARACTERS & set(name):
            return self._glob(uri, name)
        raise FileNotFoundError(f"input not found: {name}")

    def _of_list(self, uri: str) -> Iterator[str]:
        """Absolute URIs that a list file names; local folders among them are searched."""
        with open_uri(uri) as file:
            names = names_in_list(file.read(), suffix(uri), uri)
        for name in names:
            found = _beside(uri, name)
            if not is_remote(found) and os.path.isdir(found):
                yield from self._media_files(found)
            else:
                yield found

    def _media_files(self, folder: str) -> list[str]:
        """Pictures and videos below a folder, sorted."""
        if is_remote(folder):
            fs, path = filesystem(folder)
            files = _shown(fs.find(path), path)
            return self._only_media(_uris_like(folder, files))
        return self._only_media(_local_files(folder))

    def _glob(self, uri: str, name: str) -> list[str]:
        if is_remote(uri):
            fs, path = filesystem(uri)
            files = _uris_like(uri, fs.glob(path))
        else:
            matches = glob.glob(_local_pattern(name), recursive=True)
            files = [absolute(file) for file in matches if not os.path.isdir(file)]
        if not files:
            raise FileNotFoundError(f"no file matches {name}")
        return self._only_media(files)

    def _only_media(self, files: list[str]) -> list[str]:
        """The inputs among files that were found, sorted."""
        inputs = [file for file in files if not self._is_result(file)]
        media = [
            file
            for file in inputs
            if suffix(file) in PICTURE_SUFFIXES + VIDEO_SUFFIXES
            and (is_remote(file) or not _is_special(file))
        ]
        self.num_skipped += len(inputs) - len(media)
        return sorted(media)

    def _is_result(self, uri: str) -> bool:
        return bool(self._results) and self._real(uri).startswith(self._results)

    def _real(self, uri: str) -> str:
        """The URI with all symbolic links resolved; folders are looked up once."""
        if is_remote(uri):
            return uri
        if os.path.islink(uri):
            return os.path.realpath(uri)
        folder, name = os.path.split(uri)
        if folder not in self._real_folders:
            self._real_folders[folder] = os.path.realpath(folder)
        return os.path.join(self._real_folders[folder], name)


def _local_files(folder: str) -> list[str]:
    """All files below a local folder but hidden ones; symbolic links to folders are followed.

    Each real folder is entered once, links after the folders themselves: so a link changes the
    name of no file that is found without it, and links in a circle come to an end.
    """
    files: list[str] = []
    entered: set[str] = set()
    waiting = [folder]
    while waiting:
        links: list[str] = []
        for top, below, names in (step for start in waiting for step in _walk(start)):
            real = os.path.realpath(top)
            shown = [] if real in entered else sorted(n for n in below if not n.startswith("."))
            linked = {name for name in shown if os.path.islink(os.path.join(top, name))}
            below[:] = [name for name in shown if name not in linked]
            links += [os.path.join(top, name) for name in sorted(linked)]
            if real not in entered:
                files += [os.path.join(top, name) for name in names if not name.startswith(".")]
            entered.add(real)
        waiting = links
    return files


def _walk(folder: str) -> Iterator[tuple[str, list[str], list[str]]]:
    def refuse(error: OSError) -> None:
        raise ValueError(
            f"the folder {error.filename} cannot be read ({error.strerror}): make it readable, or "
            "name the folders beside it one by one"
        ) from error

    return os.walk(folder, onerror=refuse)


def _shown(files: Iterable[str], folder: str) -> list[str]:
    """The files below a folder that are not hidden, nor in a hidden folder."""
    start = len(folder.rstrip("/"))
    return [f for f in files if not any(part.startswith(".") for part in f[start:].split("/"))]


def _local_pattern(name: str) -> str:
    """The glob as an absolute one; characters of the current folder's own name mean themselves."""
    pattern = os.path.expanduser(name.removeprefix("file://"))
    return os.path.join(glob.escape(os.getcwd()), pattern)


def _is_special(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # who reads it will say what is wrong
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _beside(uri: str, name: str) -> str:
    """Absolute URI of a name in a list; relative ones count from the list's folder."""
    if is_remote(name) or name.startswith("file://"):
        return absolute(name)
    if not is_remote(uri):
        return os.path.abspath(os.path.join(os.path.dirname(uri), name))
    if os.path.isabs(name):
        return os.path.abspath(name)
    before, path, after = _take_apart(uri)
    return absolute(f"{before}{path.rpartition('/')[0]}/{name}{after}")


def _uris_like(uri: str, paths: Iterable[str]) -> list[str]:
    """URIs of paths on the file system of a URI."""
    before, _, after = _take_apart(uri)
    return [before + path.removeprefix(before) + after for path in paths]


def _take_apart(uri: str) -> tuple[str, str, str]:
    """What stands before the path of a remote URI, the path there, and the chain behind it."""
    links = uri.split(_CHAIN)
    place = next(number for number, link in enumerate(links) if "://" in link)
    link, chain = links[place], links[place + 1 :]
    kind = _filesystem_class(link)
    path = kind._strip_protocol(link)
    name = kind.protocol if isinstance(kind.protocol, str) else kind.protocol[0]
    before = f"{name}://"
    if kind._get_kwargs_from_urls(link) and link.endswith(path):
        before = link.removesuffix(path)  # names a host, which is no part of the path
    after = _CHAIN + absolute(_CHAIN.join(chain)) if chain else ""
    caches = "".join(cache + _CHAIN for cache in links[:place])
    return caches + before, path.removeprefix(before), after


def _filesystem_class(link: str) -> type[fsspec.AbstractFileSystem]:
    try:
        return fsspec.get_filesystem_class(link.partition("://")[0])
    except (ValueError, ImportError) as error:
        raise _cannot_open(link, error) from error


def _cannot_open(uri: str, error: Exception) -> ValueError:
    """The error in one line, with the package to install where that is what is missing."""
    package = getattr(error.__cause__, "name", None) if isinstance(error, ImportError) else None
    mend = f" (pip install {package})" if package else ""
    return ValueError(f"cannot open {uri}: {error}{mend}")
