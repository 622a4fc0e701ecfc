"""A part of a file from which no more can be read than there is."""

from __future__ import annotations

import io
from typing import IO, Any

_CHUNK = 1 << 20


class BoundedFile:
    """Refuses to read more than is left, before any memory is taken for it.

    Args:
        file: at the beginning of the part.
        num_bytes: of the part.
    """

    def __init__(self, file: IO[bytes], num_bytes: int) -> None:
        self._file, self.num_left = file, num_bytes

    def read(self, num_bytes: int = -1) -> bytes:
        """The next bytes; ValueError if there are not so many."""
        num_bytes = self.num_left if num_bytes < 0 else num_bytes
        if num_bytes > self.num_left:
            raise ValueError("it is truncated, or declares more than it holds")
        data = self._file.read(num_bytes)
        self.num_left -= len(data)
        return data

    def readline(self) -> bytes:
        """The next bytes up to a line's end, or the part's."""
        line = self._file.readline(self.num_left)
        self.num_left -= len(line)
        return line

    def readinto(self, buffer: Any) -> int:
        """Fills the whole buffer, by pieces; ValueError if there is not so much."""
        view = memoryview(buffer).cast("B")
        for start in range(0, len(view), _CHUNK):
            piece = view[start : start + _CHUNK]
            data = self.read(len(piece))
            if len(data) < len(piece):
                raise ValueError("it is truncated")
            piece[:] = data
        return len(view)


def num_bytes_left(file: IO[bytes]) -> int:
    """Bytes from where a seekable file is to its end."""
    here = file.tell()
    end = file.seek(0, io.SEEK_END)
    file.seek(here)
    return end - here
