"""Files below a folder: all but hidden ones and what others than people put there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

FOREIGN_NAMES = frozenset({
    "@eaDir", "@SynoResource", "@Recycle", "@Recently-Snapshot", "@__thumb", "#recycle",
    "#snapshot", "$RECYCLE.BIN", "System Volume Information", "__MACOSX", "lost+found",
    "Thumbs.db", "ehthumbs.db", "desktop.ini",
})  # fmt: skip
"""Folders and files that storage boxes and operating systems put among people's: thumbnails, bins.
Those that begin with a dot (.thumbnails, .DS_Store) are hidden, as all such names."""

_VERSION_OF_CONTENT = ("etag", "ETag", "md5Hash", "content_md5", "crc32c", "CRC")
_VERSION_OF_TIME = (
    "mtime", "LastModified", "last_modified", "updated", "modified", "created", "date_time",
)  # fmt: skip


def version_of_stat(status: os.stat_result) -> str:
    """Size and time of a local file as one text."""
    return f"{status.st_size}-{status.st_mtime_ns}"


def version_of_info(info: Mapping[str, Any]) -> str | None:
    """What a store says of a file as one text: its checksum, else size and time; None without."""
    for key in _VERSION_OF_CONTENT:
        if info.get(key):
            return str(info[key]).strip('"')
    time = _time_in(info)
    return None if time is None else f"{info.get('size')}-{time}"


def time_of_info(info: Mapping[str, Any]) -> float | None:
    """When a file was written, in seconds since 1970 by its store's clock; None without."""
    time = _time_in(info)
    try:
        return datetime.fromisoformat(time).timestamp() if isinstance(time, str) else time
    except ValueError:
        return None


def _time_in(info: Mapping[str, Any]) -> float | str | None:
    times = (info.get(key) for key in _VERSION_OF_TIME)
    time = next((time for time in times if time), None)
    # Some stores say one in one answer, and seconds in another.
    return time.timestamp() if isinstance(time, datetime) else time


def local_files(folder: str, skipped: Counter[str]) -> Iterator[str]:
    """Paths of all files below a local folder; symbolic links to folders are followed.

    Each real folder is entered once, links after the folders themselves: so a link changes the
    name of no file that is found without it, and links in a circle come to an end. Files come in
    the order of their folders, and in each as the disk has them.

    Args:
        folder: Absolute path.
        skipped: Counts foreign names, and folders that may not be read, by their names.

    Raises:
        OSError: The folder itself may not be read.
    """
    entered: set[str] = set()
    waiting = [folder]
    while waiting:
        links: list[str] = []
        while waiting:
            top = waiting.pop()
            real = os.path.realpath(top)
            if real in entered:
                continue
            entered.add(real)
            folders: list[os.DirEntry[str]] = []
            try:
                for entry in _shown_entries(top, skipped):
                    if _is_folder(entry):
                        folders.append(entry)
                    else:
                        yield entry.path
            except OSError as error:
                if top == folder:
                    raise
                skipped[f"the folder {top}: {error.strerror}"] += 1
            folders.sort(key=lambda entry: entry.name)
            links += [entry.path for entry in folders if entry.is_symlink()]
            waiting += [entry.path for entry in reversed(folders) if not entry.is_symlink()]
        waiting = links[::-1]


def is_hidden(path: str) -> bool:
    """Whether any part of a path begins with a dot."""
    return any(part.startswith(".") for part in path.split("/"))


def foreign_part(path: str) -> str | None:
    """The first of a path's parts that is none of people's, see FOREIGN_NAMES."""
    return next((part for part in path.split("/") if part in FOREIGN_NAMES), None)


def _shown_entries(folder: str, skipped: Counter[str]) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name in FOREIGN_NAMES:
                skipped[entry.name] += 1
            elif not entry.name.startswith("."):
                yield entry


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle, or into what may not be read
        return False
