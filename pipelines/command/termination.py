"""SIGTERM, by which schedulers and systems ask a process to stop, as an exception."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


class Terminated(KeyboardInterrupt):
    """This process was told to stop by SIGTERM."""


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """Within it, SIGTERM raises `Terminated` where Ctrl-C would raise KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated
