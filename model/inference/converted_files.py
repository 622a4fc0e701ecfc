"""Networks converted for other libraries, kept on disk."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import nn

CACHE_VARIABLE = "HIERPROB3D_CACHE"
"""Environment variable with the folder of what can be made again; it may be removed at any time."""

MAX_AGE_S = 90 * 86400.0
"""Networks that nobody used for so long are removed when another one is converted."""

MAX_BYTES = 2 << 30
"""Of all networks kept; the least recently used go first."""

_UNFINISHED = "unfinished-"
_UNFINISHED_S = 86400.0
"""After which the rest of a process that was killed is removed."""


def conversion_key(
    part: str,
    load: Callable[[], nn.Module],
    kind: type[nn.Module],
    weights_sha256: str,
    library: str,
) -> str:
    """What a converted network depends on, as a name: its part, weights, versions and all code.

    How large it is stands in the weights' file, what else it is told where it is loaded.
    """
    sources = [inspect.getsource(told) for told in (load, sys.modules[kind.__module__])]
    sources += [code.read_text() for code in sorted(Path(__file__).parent.glob("*.py"))]
    parts = (part, library, torch.__version__, weights_sha256, kind.__qualname__, *sources)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def kept_folder(name: str) -> Path | None:
    """The folder of this name in the cache, which counts as used now; None where there is none."""
    path = _folder() / name
    try:
        os.utime(path)
    except FileNotFoundError:
        return None
    except OSError:  # of somebody else's cache, which may be read
        return path if path.is_dir() else None
    return path


def keep_folder(name: str, make: Callable[[Path], None]) -> Path:
    """Puts a folder of this name, which `make` fills, into the cache, whole or not at all.

    Where the cache cannot be written to, it lies in a temporary folder of this process. What was
    not used for long goes, and so does the oldest where all take more than `MAX_BYTES`.
    """
    folder = _folder()
    path = folder / name
    with tempfile.TemporaryDirectory(dir=folder, prefix=_UNFINISHED) as around:
        unfinished = Path(around, name)
        unfinished.mkdir()
        make(unfinished)
        try:
            unfinished.rename(path)
        except OSError:
            if not path.is_dir():  # else another process was faster: its is as good
                raise
    _prune(folder, keep=path)
    return path


def _prune(folder: Path, keep: Path) -> None:
    """Removes what is too old or too much; another process may be doing the same."""
    entries = [(_used_at(entry), entry) for entry in folder.iterdir() if entry != keep]
    now, left = time.time(), MAX_BYTES - _num_bytes(keep)
    for used_at, entry in sorted(entries, reverse=True):
        max_age_s = _UNFINISHED_S if entry.name.startswith(_UNFINISHED) else MAX_AGE_S
        left -= _num_bytes(entry)
        if now - used_at > max_age_s or left < 0:
            shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else _forget(entry)


def _used_at(entry: Path) -> float:
    try:
        return entry.stat().st_mtime
    except OSError:
        return 0.0


def _num_bytes(entry: Path) -> int:
    try:
        files = entry.iterdir() if entry.is_dir() else [entry]
        return sum(file.stat().st_size for file in files)
    except OSError:
        return 0


def _forget(entry: Path) -> None:
    with contextlib.suppress(OSError):
        entry.unlink()


def cache_folder() -> Path:
    """Where converted networks are kept, by the environment."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "hierprob3d")


def _folder() -> Path:
    folder = cache_folder() / "networks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return Path(_own_folder().name)


@cache
def _own_folder() -> tempfile.TemporaryDirectory[str]:
    """Removed when this process ends."""
    return tempfile.TemporaryDirectory(prefix="hierprob3d-networks-")
