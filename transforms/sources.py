"""Inputs of a run: from files, folders, globs and lists to the URIs of pictures and videos.

A path is anything fsspec understands; local paths become absolute, so that an item keeps its
identity wherever the command is started.
"""

from __future__ import annotations

import csv
import glob
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import BinaryIO

import fsspec
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".wmv",
)  # fmt: skip
LIST_SUFFIXES = (".txt", ".csv", ".parquet")
URI_COLUMN = "uri"
_GLOB_CHARACTERS = frozenset("*?[")


@dataclass
class Listing:
    """URIs found, each once, in a fixed order."""

    uris: list[str] = field(default_factory=list)
    num_skipped: int = 0
    """Files of folders and globs whose extension is neither a picture's nor a video's."""

    def names(self) -> set[str]:
        """The URIs as the tables write them, see `printable`."""
        return {printable(uri) for uri in self.uris}


def list_inputs(inputs: Sequence[str], leave_out: str | None = None) -> Listing:
    """URIs of all pictures and videos that the inputs name.

    Args:
        inputs: Files (any extension), folders (searched whole, hidden files left out), globs, and
            lists: .txt with one path a line, .csv and .parquet with a column `uri`. Relative
            paths of a list count from the list's folder.
        leave_out: Folder whose files are never inputs: that of the results.

    Raises:
        FileNotFoundError: An input does not exist or a glob matches nothing.
        ValueError: A list without the column `uri`, or a path of an unknown protocol.
    """
    listing = Listing()
    excluded = None if leave_out is None else absolute(leave_out).rstrip("/") + "/"
    found = (uri for name in inputs for uri in _expand(name, listing))
    kept = (uri for uri in found if excluded is None or not uri.startswith(excluded))
    listing.uris = list(dict.fromkeys(kept))
    return listing


def absolute(uri: str) -> str:
    """The URI with local paths made absolute and without `file://`."""
    local = uri.removeprefix("file://")
    return local if is_remote(local) else os.path.abspath(os.path.expanduser(local))


def printable(uri: str) -> str:
    """The URI as text that any file format can hold, whatever bytes a file name has."""
    return os.fsencode(uri).decode("utf-8", errors="replace")


def is_remote(uri: str) -> bool:
    """Whether the URI names a protocol other than the local file system."""
    return "://" in uri and not uri.startswith("file://")


def open_uri(uri: str) -> BinaryIO:
    """The file opened for reading; local names are taken literally, whatever they contain."""
    return fsspec.open(uri, "rb").open() if is_remote(uri) else open(uri, "rb")


def is_video(uri: str) -> bool:
    """Whether the extension is a video's, in any case."""
    return suffix(uri) in VIDEO_SUFFIXES


def suffix(uri: str) -> str:
    """Extension in small letters, with its dot."""
    return PurePosixPath(uri).suffix.lower()


def _expand(name: str, listing: Listing) -> Iterable[str]:
    """Absolute URIs behind one input."""
    uri = absolute(name)
    fs, path = _filesystem(uri)
    if fs.isdir(path):
        return _media_files(uri, listing)
    if fs.exists(path):
        return _read_list(uri) if suffix(uri) in LIST_SUFFIXES else [uri]
    if _GLOB_CHARACTERS & set(name):
        return _glob(uri, name, listing)
    raise FileNotFoundError(f"input not found: {name}")


def _filesystem(uri: str) -> tuple[fsspec.AbstractFileSystem, str]:
    if not is_remote(uri):
        return LocalFileSystem(), uri
    try:
        return fsspec.core.url_to_fs(uri)
    except (ValueError, ImportError) as error:
        raise ValueError(f"cannot open {uri}: {error}") from error


def _media_files(folder: str, listing: Listing) -> list[str]:
    """Pictures and videos below a folder, sorted."""
    if is_remote(folder):
        fs, path = _filesystem(folder)
        files = [fs.unstrip_protocol(file) for file in fs.find(path)]
    else:
        files = [os.path.join(top, f) for top, _, names in os.walk(folder) for f in names]
    below = len(folder.rstrip("/"))
    shown = [f for f in files if not any(part.startswith(".") for part in f[below:].split("/"))]
    return _only_media(sorted(shown), listing)


def _glob(uri: str, name: str, listing: Listing) -> list[str]:
    if is_remote(uri):
        fs, path = _filesystem(uri)
        files = [fs.unstrip_protocol(file) for file in fs.glob(path)]
    else:
        files = [file for file in glob.glob(uri, recursive=True) if os.path.isfile(file)]
    if not files:
        raise FileNotFoundError(f"no file matches {name}")
    return _only_media(sorted(files), listing)


def _only_media(files: list[str], listing: Listing) -> list[str]:
    """Files with an extension of a picture or video."""
    media = [file for file in files if suffix(file) in PICTURE_SUFFIXES + VIDEO_SUFFIXES]
    listing.num_skipped += len(files) - len(media)
    return media


def _read_list(uri: str) -> list[str]:
    """Absolute URIs that a list file names."""
    with open_uri(uri) as file:
        data = file.read()
    names = {".txt": _lines, ".csv": _csv_column, ".parquet": _parquet_column}[suffix(uri)](
        data, uri
    )
    folder = uri.rsplit("/", 1)[0]
    return [_below(folder, name) for name in names]


def _below(folder: str, name: str) -> str:
    if is_remote(name) or name.startswith(("file://", "~")) or os.path.isabs(name):
        return absolute(name)
    return absolute(f"{folder}/{name}")


def _lines(data: bytes, uri: str) -> list[str]:
    lines = [line.strip() for line in _text(data, uri).splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _csv_column(data: bytes, uri: str) -> list[str]:
    reader = csv.DictReader(io.StringIO(_text(data, uri)))
    _require_column(reader.fieldnames or [], uri)
    return [row[URI_COLUMN] for row in reader if row[URI_COLUMN]]


def _parquet_column(data: bytes, uri: str) -> list[str]:
    file = pq.ParquetFile(io.BytesIO(data))
    _require_column(file.schema_arrow.names, uri)
    return [u for u in file.read(columns=[URI_COLUMN]).column(URI_COLUMN).to_pylist() if u]


def _text(data: bytes, uri: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"the list {uri} is not UTF-8 text: {error}") from error


def _require_column(columns: Sequence[str], uri: str) -> None:
    if URI_COLUMN not in columns:
        raise ValueError(f"the list {uri} has no column '{URI_COLUMN}', only {list(columns)}")
