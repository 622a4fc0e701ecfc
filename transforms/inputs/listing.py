"""Inputs of a run: from files, folders, globs and lists to the URIs of pictures and videos."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from .input_lists import LIST_SUFFIXES, names_in_list
from .media_kinds import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from .uris import (
    absolute,
    beside,
    filesystem,
    is_remote,
    is_special,
    open_uri,
    printable,
    suffix,
    uris_like,
)

RESULT_FOLDERS = ("people", "errors", "frames", "runs", "pictures")
"""Sub-folders of an output folder; nothing in them is an input."""

_GLOB_CHARACTERS = frozenset("*?[")


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
            found = beside(uri, name)
            if not is_remote(found) and os.path.isdir(found):
                yield from self._media_files(found)
            else:
                yield found

    def _media_files(self, folder: str) -> list[str]:
        """Pictures and videos below a folder, sorted."""
        if is_remote(folder):
            fs, path = filesystem(folder)
            files = _shown(fs.find(path), path)
            return self._only_media(uris_like(folder, files))
        return self._only_media(_local_files(folder))

    def _glob(self, uri: str, name: str) -> list[str]:
        if is_remote(uri):
            fs, path = filesystem(uri)
            files = uris_like(uri, fs.glob(path))
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
            and (is_remote(file) or not is_special(file))
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
