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
from .given_people import given_people, given_text
from .input_lists import LIST_SUFFIXES, ListedInput, inputs_in_list
from .media_kinds import HEIC_SUFFIXES, VIDEO_SUFFIXES, read_suffixes
from .picture_formats import HEIC_MEND
from .sources import Source, SourceList, UniqueSources, in_groups, in_order
from .tar_archives import TAR_SUFFIX
from .uris import (
    MissingPackage,
    absolute,
    archive_of,
    beside,
    filesystem,
    is_remote,
    local_path,
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
_ASKED_AT_ONCE = 4096

_Candidate: TypeAlias = "tuple[str, Mapping[str, Any] | None]"
"""A file, and what its store says of it; None for local ones."""


@dataclass
class Listing:
    """What was found, each URI once, in a fixed order."""

    sources: SourceList = field(default_factory=SourceList)
    """URIs that lists name have no version, unless they are local or `check_sources` was set."""

    skipped: Counter[str] = field(default_factory=Counter)
    """What folders and globs hold that is not read, by extension or by name: no pictures or
    videos, folders that may not be read, thumbnails of storage boxes."""

    genders: frozenset[str] = frozenset()
    """Genders that lists give to people."""

    @property
    def uris(self) -> list[str]:
        """All URIs unpacked."""
        return [source.uri for source in self.sources]

    @property
    def num_skipped(self) -> int:
        """All that is not read."""
        return self.skipped.total()

    def skipped_text(self) -> str:
        """What is not read and how many of each, in one line; empty without any."""
        kinds = sorted(self.skipped.items(), key=lambda pair: (-pair[1], pair[0]))[:_NAMED_KINDS]
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
    for name in inputs:
        for source in search.expand(name):
            search.found.add(source)
    sources = search.found.sources()
    if check_sources:
        sources = SourceList(_with_versions(sources))
    if search.has_given:
        sources = SourceList(map(_with_noted_people, sources))
    return Listing(sources, search.skipped, frozenset(search.genders))


def check_local_inputs(inputs: Iterable[str]) -> None:
    """Raise FileNotFoundError, as `list_inputs` does, for a local input that is not there.

    Nothing is listed, and stores are not asked.
    """
    for name in inputs:
        uri = absolute(name)
        archive = archive_of(uri)
        file = archive or uri
        if is_remote(file) or os.path.exists(file):
            continue
        if archive or not _GLOB_CHARACTERS & set(name):
            raise FileNotFoundError(f"input not found: {name}")
        if next(glob.iglob(_local_pattern(name), recursive=True), None) is None:
            raise FileNotFoundError(f"no file matches {name}")


class _Search:
    """Expands inputs one by one.

    Args:
        output: Output folder, see `list_inputs`.
    """

    def __init__(self, output: str | None) -> None:
        self.found = UniqueSources(_merged)
        self.skipped: Counter[str] = Counter()
        self.genders = set[str]()
        self.has_given = False
        self._kinds = read_suffixes() | {TAR_SUFFIX}
        self._containers = frozenset(VIDEO_SUFFIXES) | {TAR_SUFFIX}
        self._real_folders: dict[str, str] = {}
        self._num_candidates = 0
        """Files that globs matched."""
        root = "" if output is None else absolute(output).rstrip("/")
        names = () if output is None else RESULT_FOLDERS
        self._results = tuple(self._real(f"{root}/{name}") + "/" for name in names)

    def expand(self, name: str) -> Iterable[Source]:
        """What is behind one input."""
        uri = absolute(name)
        fs, path = filesystem(uri)
        if fs.isdir(path):
            return self._below(uri)
        if fs.exists(path):
            if suffix(uri) in LIST_SUFFIXES:
                return self._of_list(uri)
            return [Source(uri, _version_of(uri))]
        if _GLOB_CHARACTERS & set(name):
            return self._glob(uri, name)
        raise FileNotFoundError(f"input not found: {name}")

    def _of_list(self, uri: str) -> Iterator[Source]:
        """What a list file names; local folders among that are searched."""
        with inputs_in_list(uri) as listed:
            for line in listed:
                found = self._of_line(uri, line.name)
                yield from found if line.person is None else self._giving(found, line, uri)

    def _giving(self, found: Iterable[Source], line: ListedInput, uri: str) -> Iterator[Source]:
        """What a line names that says something of the people there."""
        assert line.person is not None
        self.has_given = True
        if line.person.gender is not None:
            self.genders.add(line.person.gender)
        for source in found:
            if line.person.is_placed and suffix(source.uri) in self._containers:
                raise ValueError(
                    f"the list {uri} gives bbox or keypoints of {line.name}, which is no picture"
                )
            yield source._replace(given=given_text([line.person]))

    def _of_line(self, uri: str, name: str) -> Iterable[Source]:
        """What one line of a list names. What cannot be opened becomes an error row of its own."""
        try:
            found = beside(uri, name)
        except MissingPackage:
            raise
        except (
            Exception
        ):  # what file systems make of odd names; who opens it will say what is wrong
            return [Source(name)]
        if is_remote(found):
            archive = archive_of(found)
            is_here = archive is not None and not is_remote(archive)
            return [Source(found, _version_of(found) if is_here else None)]
        status = _status(found)
        if status is not None and stat.S_ISDIR(status.st_mode):
            return self._below(found, named=False)
        return [Source(found, None if status is None else version_of_stat(status))]

    def _below(self, folder: str, named: bool = True) -> Iterable[Source]:
        """Inputs below a folder, sorted; only a named one must be readable."""
        if is_remote(folder):
            fs, path = filesystem(folder)
            start = len(path.rstrip("/"))
            found = ((f, i) for f, i in fs.files_below(path) if not is_hidden(f[start:]))
            return in_order(self._media(self._remote(folder, found, path)))
        try:
            return in_order(self._media((path, None) for path in local_files(folder, self.skipped)))
        except OSError as error:
            if named:
                raise ValueError(
                    f"the folder {folder} cannot be read ({error.strerror}): make it readable"
                ) from error
            self.skipped[f"the folder {folder}: {error.strerror}"] += 1
            return []

    def _glob(self, uri: str, name: str) -> Iterable[Source]:
        """Inputs that a pattern matches, sorted."""
        if is_remote(uri):
            fs, path = filesystem(uri)
            found = fs.glob(path, detail=True).items()
            files = ((f, info) for f, info in found if info.get("type") != "directory")
            candidates = self._remote(uri, files, path)
        else:
            pattern = _local_pattern(name)
            matches = (absolute(file) for file in glob.iglob(pattern, recursive=True))
            paths = ((file, None) for file in matches if not os.path.isdir(file))
            candidates = self._without_foreign(paths, pattern)
        num_before = self._num_candidates
        media = in_order(self._media(candidates))
        if self._num_candidates == num_before:
            raise FileNotFoundError(f"no file matches {name}")
        return media

    def _remote(self, uri: str, files: Iterable[_Candidate], pattern: str) -> Iterator[_Candidate]:
        """Files of the file system of a URI, as URIs."""
        for path, info in self._without_foreign(files, pattern):
            yield uris_like(uri, [path])[0], info

    def _without_foreign(self, files: Iterable[_Candidate], pattern: str) -> Iterator[_Candidate]:
        """The files without what others than people put there, unless the pattern asks for it."""
        asked_for = set(pattern.split("/"))
        for path, info in files:
            self._num_candidates += 1
            foreign = foreign_part(path)
            if foreign is None or foreign in asked_for:
                yield path, info
            else:
                self.skipped[foreign] += 1

    def _media(self, candidates: Iterable[_Candidate]) -> Iterator[Source]:
        """The inputs among files that were found."""
        for uri, info in candidates:
            kind = suffix(uri)
            if self._is_own_result(uri, is_media=kind in self._kinds):
                continue
            if kind not in self._kinds:
                self.skipped[kind or _NO_EXTENSION] += 1
            elif info is not None:
                yield Source(uri, version_of_info(info))
            else:
                yield from self._local(uri)

    def _local(self, path: str) -> Iterator[Source]:
        """A local file, if it is no pipe, socket or device."""
        status = _status(path)
        if status is None:  # who reads it will say what is wrong
            yield Source(path)
        elif stat.S_ISREG(status.st_mode):
            yield Source(path, version_of_stat(status))
        else:
            self.skipped[_SPECIAL] += 1

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
    """Of a single file, of a member of an archive that of the archive; None where it is unknown."""
    uri = archive_of(uri) or uri
    if not is_remote(uri):
        status = _status(uri)
        return None if status is None else version_of_stat(status)
    try:
        fs, path = filesystem(uri)
        return version_of_info(fs.info(path))
    except Exception:  # any store: who reads the file will say what is wrong
        return None


def _with_versions(sources: Iterable[Source]) -> Iterator[Source]:
    """The same; of remote files whose version is not known it is asked for."""
    with ThreadPoolExecutor(_REQUEST_THREADS) as pool:
        for some in in_groups(sources, _ASKED_AT_ONCE):
            unknown = [s.uri for s in some if s.version is None and is_remote(s.uri)]
            answers = dict(zip(unknown, pool.map(_version_of, unknown), strict=True))
            yield from (s._replace(version=answers.get(s.uri, s.version)) for s in some)


def _merged(sources: list[Source]) -> Source:
    """One for several rows of lists, which may be about several people."""
    uri = sources[0].uri
    version = next((s.version for s in sources if s.version is not None), None)
    people = [person for s in sources for person in given_people(s.given)]
    if not people:
        return Source(uri, version)
    try:
        return Source(uri, version, given_text(people))
    except ValueError as error:
        raise ValueError(f"lists say of {uri}: {error}") from error


def _with_noted_people(source: Source) -> Source:
    """What lists say of people is part of the version, as rows depend on it."""
    if source.given is None:
        return source
    digest = hashlib.sha1(source.given.encode(), usedforsecurity=False).hexdigest()[:12]
    return source._replace(version=f"{source.version or ''}+{digest}")


def _mend_of(kind: str) -> str:
    return f" ({HEIC_MEND})" if kind in HEIC_SUFFIXES else ""
