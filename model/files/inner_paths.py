"""Names that a file holds become paths below a folder, or are refused."""

from __future__ import annotations

import unicodedata
from typing import Any

MAX_NAME_BYTES = 255
"""Of one part of a path, on every common file system."""

_NO_PART = ("", ".", "..")
_FOREIGN = ("\\", "://", "::")
"""Windows' separator, and what fsspec takes for a protocol or for a chain of them."""


class UnsafeName(ValueError):
    """A name in a file that is no plain path below its folder; the message says why."""


def path_below(root: str, name: Any, max_bytes: int = MAX_NAME_BYTES) -> str:
    """The path of a file that another file names, `root/name`.

    Whatever the name holds, the path lies below the root: it is relative, climbs nowhere and
    opens no other protocol. Symbolic links below the root are followed, since a name cannot make
    one: links are how their owner spread a data set over his disks.

    Args:
        root: folder, a local path or fsspec URI.
        name: as the file has it; bytes are taken as UTF-8.
        max_bytes: of each part of the name.

    Raises:
        UnsafeName: the name is empty, absolute or too long, or holds `..`, backslashes, control
            characters or a protocol.
    """
    return f"{root}/{relative_path(name, max_bytes)}"


def relative_path(name: Any, max_bytes: int = MAX_NAME_BYTES) -> str:
    """The name as text, see `path_below`."""
    try:
        text = bytes(name).decode() if isinstance(name, bytes) else name
        encoded = [part.encode() for part in text.split("/")]
    except (UnicodeError, AttributeError, TypeError):
        raise UnsafeName(f"{_shown(name)} is no name of a file: it is no text") from None
    parts = text.split("/")
    reason = next(
        (
            reason
            for reason, holds in (
                ("it has an empty part, '.' or '..'", any(part in _NO_PART for part in parts)),
                ("it has a control character", any(_is_control(letter) for letter in text)),
                ("it has a backslash, '://' or '::'", any(word in text for word in _FOREIGN)),
                (f"a part is longer than {max_bytes} bytes", max(map(len, encoded)) > max_bytes),
            )
            if holds
        ),
        None,
    )
    if reason is not None:
        raise UnsafeName(f"{_shown(name)} is no name of a file below a folder: {reason}")
    return str(text)


def file_name(name: Any, max_bytes: int = MAX_NAME_BYTES) -> str:
    """The name as text, one without folders; errors as `path_below`."""
    text = relative_path(name, max_bytes)
    if "/" in text:
        raise UnsafeName(f"{_shown(name)} is no name of a file: it has a folder")
    return text


def same_file_key(name: str) -> str:
    """Equal for names that some file system takes for one: they differ in case or composition."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _is_control(letter: str) -> bool:
    return unicodedata.category(letter) == "Cc"


def _shown(name: Any) -> str:
    text = ascii(name)
    return text if len(text) <= 60 else f"{text[:60]}..."
