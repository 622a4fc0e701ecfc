"""Networks converted for other libraries, kept on disk."""

from __future__ import annotations

import hashlib
import inspect
import os
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import nn

CACHE_VARIABLE = "HIERPROB3D_CACHE"
"""Environment variable with the folder of what can be made again; it may be removed at any time."""


def conversion_key(network: nn.Module, weights_sha256: str, library: str) -> str:
    """What a converted network depends on, as a name: weights, code, settings and versions."""
    settings = {name: v for name, v in vars(network).items() if isinstance(v, bool | int | str)}
    source = inspect.getsource(sys.modules[type(network).__module__])
    parts = (library, torch.__version__, weights_sha256, repr(network), str(settings), source)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def kept_file(name: str, make: Callable[[Path], None]) -> Path:
    """The file of this name in the cache; made now, whole or not at all, where it is missing.

    Where the cache cannot be written to, it lies in a temporary folder of this process.
    """
    folder = _folder()
    path = folder / name
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=folder) as unfinished:
            make(Path(unfinished, name))
            os.replace(Path(unfinished, name), path)
    return path


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
