"""Pages of libraries are given back, and the libraries go on."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from hierprob3d.transforms.batch.library_pages import _unchanged, release_library_pages

SMAPS = """\
5500a000-5500c000 r--p 00000000 08:01 17                         /usr/lib/libread.so
Rss:                   8 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd mr mw me
5500c000-5500d000 r-xp 00002000 08:01 17                         /usr/lib/libread.so.6
Rss:                   4 kB
Anonymous:             0 kB
Swap:                  0 kB
5500d000-5500e000 r--p 00003000 08:01 17                         /usr/lib/liblinked.so
Rss:                   4 kB
Anonymous:             4 kB
Swap:                  0 kB
5500e000-5500f000 rw-p 00004000 08:01 17                         /usr/lib/libwritten.so
Rss:                   4 kB
Anonymous:             0 kB
Swap:                  0 kB
5500f000-55010000 r--p 00005000 08:01 17                         /usr/lib/libunread.so
Rss:                   0 kB
Anonymous:             0 kB
Swap:                  0 kB
55010000-55011000 r--s 00000000 08:01 18                         /tmp/shared
Rss:                   4 kB
Anonymous:             0 kB
Swap:                  0 kB
55011000-55012000 r--p 00005000 08:01 17                         /usr/lib/libswapped.so.1.2
Rss:                   4 kB
Anonymous:             0 kB
Swap:                  4 kB
55012000-55013000 r--p 00000000 08:01 19                         /tmp/people.npy
Rss:                   4 kB
Anonymous:             0 kB
Swap:                  0 kB
55013000-55014000 r--p 00000000 00:00 0
Rss:                   4 kB
Anonymous:             0 kB
Swap:                  0 kB
"""


def test_only_unchanged_pages_of_libraries_are_meant() -> None:
    assert list(_unchanged(SMAPS)) == [
        (0x5500A000, 0x5500C000, 8192),
        (0x5500C000, 0x5500D000, 4096),
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells what a process has mapped")
def test_libraries_go_on_without_their_pages() -> None:
    released = release_library_pages()
    assert released > 10 << 20
    assert release_library_pages() < released
    picture = cv2.resize(np.full((8, 8, 3), 7, np.uint8), (4, 4))
    assert (picture == 7).all()
