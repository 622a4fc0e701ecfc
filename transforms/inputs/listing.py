"""Inputs of a run: from files, folders, globs and lists to URIs of pictures, videos, archives."""

from __future__ import annotations

import glob
import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from hierprob3d.transforms.store.file_names import is_drawn_picture

from .folder_search import (
    foreign_part,
    is_hidden,
    local_files,
    version_of_info,
    version_of_stat,
)
from .given_people import GivenPerson, given_people, given_text
from .input_lists import LIST_SUFFIXES, ListedInput, inputs_in_list
from .media_kinds import HEIC_SUFFIXES, VIDEO_SUFFIXES, read_suffixes
from .picture_formats import HEIC_MEND
from .tar_archives import TAR_SUFFIX
from .uris import (
    MissingPackage,
    absolute,
    beside,
    filesystem,
    is_remote,
    local_path,
    open_uri,
    printable,
    suffix,
    uris_like,
)

RESULT_FOLDERS = ("people", "errors", "frames", "runs", "pictures")
"""Sub-folders of an output folder. Pictures there are inputs, unless their names are ours."""

_GLOB_CHARACTERS = frozenset("*?[")
_SPECIAL = "pipes, sockets and devices"
_NO_EXTENSION = "without an extension"
_NAMED_KINDS = 8
_REQUEST_THREADS = 32

_Candidate: TypeAlias = "tuple[str, Mapping[str, Any] | None]"
"""A file, and what its store says of it; None for local ones."""


@dataclass
class Listing:
    """URIs found, each once, in a fixed order."""

    uris: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    """By URI, a text that changes when the file does: a checksum, or size and time. URIs that
    lists name have none, unless they are local or `check_sources` was set."""

    given: dict[str, str] = field(default_factory=dict)
    """By URI, what lists say of the people there, see `given_people`."""

    skipped: Counter[str] = field(default_factory=Counter)
    """What folders and globs hold that is not read, by extension or by name: no pictures or
    videos, folders that may not be read, thumbnails of storage boxes."""

    @property
    def num_skipped(self) -> int:
        """All that is not read."""
        return self.skipped.total()

    def genders(self) -> set[str]:
        """Genders that lists give to people."""
        people = (person for text in set(self.given.values()) for person in given_people(text))
        return {person.gender for person in people if person.gender is not None}

    def names(self) -> set[str]:
        """The URIs as the tables write them, see `printable`."""
        return {printable(uri) for uri in self.uris}

    def skipped_text(self) -> str:
        """What is not read and how many of each, in one line; empty without any."""
        kinds = self.skipped.most_common(_NAMED_KINDS)
        texts = [f"{number} {printable(kind)}{_mend_of(kind)}" for kind, number in kinds]
        rest = self.num_skipped - sum(number for _, number in kinds)
        return ", ".join([*texts, *([f"{rest} others"] if rest else [])])


def list_inputs(
    inputs: Sequence[str], leave_out: str | None = None, check_sources: bool = False
) -> Listing:
    """URIs of all pictures, videos and tar archives that the inputs name.

    Args:
        inputs: Files (any extension), folders (searched whole, hidden files left out), globs, and
            lists: .txt with one path a line, .csv and .parquet with a column `uri`, and perhaps
            columns of `given_people`. Relative paths of a list count from the list's folder.
        leave_out: Output folder; what runs wrote there, reached by whatever way through folders and
            globs, is no input.
        check_sources: Ask for the version of remote files that lists name: one request each.

    Raises:
        FileNotFoundError: An input does not exist or a glob matches nothing.
        ValueError: A list that cannot be read, a named folder that may not be read, a named path of
            an unknown protocol, or any path whose protocol needs a package that is not installed.
    """
    search = _Search(leave_out)
    found = dict.fromkeys(uri for name in inputs for uri in search.expand(name))
    if check_sources:
        unknown = [uri for uri in found if uri not in search.versions and is_remote(uri)]
        search.versions |= _requested_versions(unknown)
    given = search.given_texts()
    return Listing(list(found), search.versions, given, search.skipped)


class _Search:
    """Expands inputs one by one.

    Args:
        output: Output folder, see `list_inputs`.
    """

    def __init__(self, output: str | None) -> None:
        self.skipped: Counter[str] = Counter()
        self.versions: dict[str, str] = {}
        self._given: dict[str, list[GivenPerson]] = {}
        self._kinds = read_suffixes() | {TAR_SUFFIX}
        self._containers = frozenset(VIDEO_SUFFIXES) | {TAR_SUFFIX}
        self._real_folders: dict[str, str] = {}
        root = "" if output is None else absolute(output).rstrip("/")
        names = () if output is None else RESULT_FOLDERS
        self._results = tuple(self._real(f"{root}/{name}") + "/" for name in names)

    def expand(self, name: str) -> Iterable[str]:
        """Absolute URIs behind one input."""
        uri = absolute(name)
        fs, path = filesystem(uri)
        if fs.isdir(path):
            return self._below(uri)
        if fs.exists(path):
            if suffix(uri) in LIST_SUFFIXES:
                return self._of_list(uri)
            self._note_version(uri, _version_of(uri))
            return [uri]
        if _GLOB_CHARACTERS & set(name):
            return self._glob(uri, name)
        raise FileNotFoundError(f"input not found: {name}")

    def _of_list(self, uri: str) -> Iterator[str]:
        """Absolute URIs that a list file names; local folders among them are searched."""
        with open_uri(uri) as file:
            listed = inputs_in_list(file.read(), suffix(uri), uri)
        for line in listed:
            found = self._of_line(uri, line.name)
            yield from found if line.person is None else self._giving(found, line, uri)

    def _giving(self, found: Iterable[str], line: ListedInput, uri: str) -> Iterator[str]:
        """The URIs of a line that says something of their people, which is kept."""
        assert line.person is not None
        for name in found:
            if line.person.is_placed and suffix(name) in self._containers:
                raise ValueError(
                    f"the list {uri} gives bbox or keypoints of {line.name}, which is no picture"
                )
            self._given.setdefault(name, []).append(line.person)
            yield name

    def given_texts(self) -> dict[str, str]:
        """What lists say of people, by URI; also noted in the versions, as rows depend on it."""
        texts = {}
        for uri, people in self._given.items():
            try:
                texts[uri] = given_text(people)
            except ValueError as error:
                raise ValueError(f"lists say of {uri}: {error}") from error
            digest = hashlib.sha1(texts[uri].encode(), usedforsecurity=False).hexdigest()[:12]
            self.versions[uri] = f"{self.versions.get(uri, '')}+{digest}"
        return texts

    def _of_line(self, uri: str, name: str) -> Iterable[str]:
        """What one line of a list names. What cannot be opened becomes an error row of its own."""
        try:
            found = beside(uri, name)
        except MissingPackage:
            raise
        except (
            Exception
        ):  # what file systems make of odd names; who opens it will say what is wrong
            return [name]
        if is_remote(found):
            return [found]
        status = _status(found)
        if status is not None and stat.S_ISDIR(status.st_mode):
            return self._below(found, named=False)
        self._note_version(found, None if status is None else version_of_stat(status))
        return [found]

    def _below(self, folder: str, named: bool = True) -> list[str]:
        """Inputs below a folder, sorted; only a named one must be readable."""
        if is_remote(folder):
            fs, path = filesystem(folder)
            start = len(path.rstrip("/"))
            found = {
                f: i for f, i in fs.find(path, detail=True).items() if not is_hidden(f[start:])
            }
            return self._media(self._remote(folder, found, path))
        try:
            return self._media((entry.path, None) for entry in local_files(folder, self.skipped))
        except OSError as error:
            if named:
                raise ValueError(
                    f"the folder {folder} cannot be read ({error.strerror}): make it readable"
                ) from error
            self.skipped[f"the folder {folder}: {error.strerror}"] += 1
            return []

    def _glob(self, uri: str, name: str) -> list[str]:
        """Inputs that a pattern matches, sorted."""
        if is_remote(uri):
            fs, path = filesystem(uri)
            found = fs.glob(path, detail=True)
            files = {f: i for f, i in found.items() if i.get("type") != "directory"}
            candidates = list(self._remote(uri, files, path))
        else:
            pattern = _local_pattern(name)
            matches = (absolute(file) for file in glob.iglob(pattern, recursive=True))
            files = {file: None for file in matches if not os.path.isdir(file)}
            candidates = list(self._without_foreign(files.items(), pattern))
        if not files:
            raise FileNotFoundError(f"no file matches {name}")
        return self._media(candidates)

    def _remote(self, uri: str, files: Mapping[str, Any], pattern: str) -> Iterator[_Candidate]:
        """Files of the file system of a URI, as URIs."""
        for path, info in self._without_foreign(files.items(), pattern):
            yield uris_like(uri, [path])[0], info

    def _without_foreign(self, files: Iterable[_Candidate], pattern: str) -> Iterator[_Candidate]:
        """The files without what others than people put there, unless the pattern asks for it."""
        asked_for = set(pattern.split("/"))
        for path, info in files:
            foreign = foreign_part(path)
            if foreign is None or foreign in asked_for:
                yield path, info
            else:
                self.skipped[foreign] += 1

    def _media(self, candidates: Iterable[_Candidate]) -> list[str]:
        """The inputs among files that were found, sorted."""
        media = []
        for uri, info in candidates:
            kind = suffix(uri)
            if self._is_own_result(uri, is_media=kind in self._kinds):
                continue
            if kind not in self._kinds:
                self.skipped[kind or _NO_EXTENSION] += 1
            elif self._is_readable(uri, info):
                media.append(uri)
        return sorted(media)

    def _is_readable(self, uri: str, info: Mapping[str, Any] | None) -> bool:
        """Whether a file is no pipe, socket or device; its version is noted on the way."""
        if info is not None:
            self._note_version(uri, version_of_info(info))
            return True
        status = _status(uri)
        if status is None:  # who reads it will say what is wrong
            return True
        if not stat.S_ISREG(status.st_mode):
            self.skipped[_SPECIAL] += 1
            return False
        self._note_version(uri, version_of_stat(status))
        return True

    def _note_version(self, uri: str, version: str | None) -> None:
        if version is not None:
            self.versions[uri] = version

    def _is_own_result(self, uri: str, is_media: bool) -> bool:
        """Whether a run wrote the file: a part, a manifest, or a picture with a name of ours."""
        if not self._results or not self._real(uri).startswith(self._results):
            return False
        return not is_media or is_drawn_picture(os.path.basename(self._real(uri)))

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


def _local_pattern(name: str) -> str:
    """The glob as an absolute one; characters of the current folder's own name mean themselves."""
    pattern = local_path(name)
    return os.path.join(glob.escape(os.getcwd()), pattern)


def _status(path: str) -> os.stat_result | None:
    """Of a local file or folder; None where there is none, or it may not be asked for."""
    try:
        return os.stat(path)
    except (OSError, ValueError):
        return None


def _version_of(uri: str) -> str | None:
    """Of a single file; None where nothing is known of it."""
    if not is_remote(uri):
        status = _status(uri)
        return None if status is None else version_of_stat(status)
    try:
        fs, path = filesystem(uri)
        return version_of_info(fs.info(path))
    except Exception:  # any store: who reads the file will say what is wrong
        return None


def _requested_versions(uris: Sequence[str]) -> dict[str, str]:
    with ThreadPoolExecutor(_REQUEST_THREADS) as pool:
        versions = zip(uris, pool.map(_version_of, uris), strict=True)
        return {uri: version for uri, version in versions if version is not None}


def _mend_of(kind: str) -> str:
    return f" ({HEIC_MEND})" if kind in HEIC_SUFFIXES else ""
