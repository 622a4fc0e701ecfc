"""Memory that libraries' files take up although only the start of a process has read them.

PyTorch's wheel with CUDA brings 200 MB of them. The system would take them back where memory is
scarce, but they count for a process wherever its resident memory is limited, as by Slurm, and in
each process once more.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from pathlib import Path

_SMAPS = Path("/proc/self/smaps")
_LIBRARY = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) r-[-x]p \S+ \S+ \S+ +/.*\.so(\.[\w.-]+)?$")
"""No other files: those a thread may close meanwhile, and its memory be put in their place."""

_PLACE = re.compile(r"^[0-9a-f]+-[0-9a-f]+ ")
_DONTNEED = 4
"""MADV_DONTNEED of Linux: pages that are as in the file are read anew when they are next needed."""


def release_library_pages() -> int:
    """Gives back what nobody can write to or has changed of libraries; how many bytes.

    What is still needed comes back from the system's cache, without a disk. Nothing where the
    system is not Linux or does not tell.
    """
    try:
        text = _SMAPS.read_text()
    except OSError:
        return 0
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    places = _unchanged(text)
    return sum(size for start, end, size in places if advise(start, end - start, _DONTNEED) == 0)


def _unchanged(smaps: str) -> Iterator[tuple[int, int, int]]:
    """Start and end of mapped read-only parts of libraries, and bytes of them in memory.

    Only of those without a page of the process's own, in memory or swapped out, as linking leaves
    behind: that would be lost.
    """
    place, resident, own = None, 0, 0
    for line in smaps.splitlines():
        name, _, value = line.partition(":")
        if name == "Rss":
            resident = _bytes(value)
        elif name == "Anonymous":
            own = _bytes(value)
        elif name == "Swap":
            if place and resident and not own + _bytes(value):
                yield int(place[1], 16), int(place[2], 16), resident
        elif _PLACE.match(line):
            place = _LIBRARY.match(line)


def _bytes(value: str) -> int:
    return int(value.split()[0]) << 10
