"""What is printed while somebody reads it, and nowhere once nobody does."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO


@contextmanager
def unbroken_output() -> Iterator[None]:
    """Within it, no closed pipe (`| head -1`) or stream (`>&-`) ends a print or the command.

    A run that has annotated for hours and prints its summary to nobody has done its work, and its
    exit code says so.
    """
    streams = sys.stdout, sys.stderr
    with open(os.devnull, "w") as nowhere:
        wrapped = [_Unbroken(stream or nowhere) for stream in streams]  # None where it was closed
        sys.stdout, sys.stderr = wrapped
        try:
            yield
        finally:
            for stream in wrapped:
                stream.flush()
            sys.stdout, sys.stderr = streams


@contextmanager
def said_if_slow(text: str, seconds: float = 1.0) -> Iterator[None]:
    """Says on a terminal what the block does, if it takes longer than that; nothing in logs."""
    stream = sys.stderr
    timer = threading.Timer(seconds, lambda: print(text, file=stream, flush=True))
    if stream.isatty():
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


class _Unbroken:
    """A text stream whose reader may go away."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._discard()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._discard()

    def _discard(self) -> None:
        """Sends to nowhere what is printed from now on, and what waits to be."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
