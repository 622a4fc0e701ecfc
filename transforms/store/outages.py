"""What is neither a defect nor the user's mistake: a full disk, a store that does not answer."""

from __future__ import annotations

import errno
import os

from .retries import is_transient

_FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_WORDS = tuple(f"[Errno {number}] {os.strerror(number)}" for number in _FULL_DISK)


def is_outage(error: BaseException) -> bool:
    """Whether the same command may succeed once the disk has room and the store answers.

    Engines hand on errors of workers as text: a full disk is known by the words that it has.
    """
    if getattr(error, "errno", None) in _FULL_DISK or is_transient(error):
        return True
    last_line = str(error).strip().rpartition("\n")[2]
    return any(words in last_line for words in _WORDS)
