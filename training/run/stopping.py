"""When a training is to end early: after a signal, or when its time is over."""

from __future__ import annotations

import logging
import signal
import time
from types import FrameType

_EXIT_CODES = {signal.SIGTERM: 75, signal.SIGINT: 130}
_logger = logging.getLogger(__name__)


class StopRequest:
    """Notes SIGTERM and SIGINT while entered, and the end of the time allowed.

    The training asks for `reason` between two steps, saves, and ends. A second signal of the same
    kind acts as if this were not there.

    Args:
        max_minutes: time allowed from now on; None for any.
    """

    def __init__(self, max_minutes: float | None = None) -> None:
        self.max_minutes = max_minutes
        self.signal: signal.Signals | None = None
        self._started = time.monotonic()

    @property
    def reason(self) -> str | None:
        """Why to end, None to go on."""
        if self.signal is not None:
            return self.signal.name
        if self.max_minutes is None or time.monotonic() - self._started < 60 * self.max_minutes:
            return None
        return f"max_minutes={self.max_minutes:g}"

    @property
    def exit_code(self) -> int:
        """0, or after a signal what all commands end with: 75 (go on later), after Ctrl-C 130."""
        return 0 if self.signal is None else _EXIT_CODES[self.signal]

    def __enter__(self) -> StopRequest:
        self._former = {number: signal.signal(number, self._note) for number in _EXIT_CODES}
        return self

    def __exit__(self, *raised: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        signal.signal(number, self._former[self.signal])
        _logger.info("%s: saving after this step; again to end at once", self.signal.name)
