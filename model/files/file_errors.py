"""Whatever a damaged file raises becomes one error of its kind, in one line."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

_MAX_LETTERS = 200
_OF_CONTENTS = (None, errno.EINVAL, errno.EOVERFLOW)
"""Readers raise OSError without a number, and seek to where a damaged file sends them."""


@contextmanager
def one_line_errors(
    kind: type[ValueError], name: object, is_what: str, mend: str = ""
) -> Iterator[None]:
    """Turns errors into `kind`, as "NAME IS_WHAT (reason)MEND.".

    Foreign bytes are a random program to whoever reads them, so any error may come of them. Errors
    of `kind` itself must be complete, and pass; so do errors of the disk or the network, which say
    nothing about the contents.

    Args:
        kind: what is raised.
        name: of the file.
        is_what: such as "is no whole npz file".
        mend: such as "; fetch it again".
    """
    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError(f"{name} does not exist.") from None
    except kind:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in _OF_CONTENTS:
            raise
        raise kind(f"{name} {is_what} ({reason_of(error)}){mend}.") from error


def reason_of(error: BaseException) -> str:
    """The first line of what an error says, of a bearable length."""
    if isinstance(error, MemoryError) and not str(error):
        return "there is not enough memory"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = (lines[0] if lines else type(error).__name__).rstrip(".")
    return text if len(text) <= _MAX_LETTERS else f"{text[:_MAX_LETTERS]}..."
