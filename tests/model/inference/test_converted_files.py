from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hierprob3d.model.inference import converted_files
from hierprob3d.model.inference.converted_files import (
    CACHE_VARIABLE,
    MAX_AGE_S,
    cache_folder,
    keep_folder,
    kept_folder,
)


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a cache."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "networks"


def of_bytes(number: int) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / "weights").write_bytes(bytes(number))

    return make


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def used_before(entry: Path, seconds: float) -> None:
    os.utime(entry, (time.time() - seconds,) * 2)


def test_what_is_made_is_there_whole_or_not_at_all(networks: Path) -> None:
    assert kept_folder("one") is None
    path = keep_folder("one", of_bytes(3))
    assert kept_folder("one") == path == networks / "one"

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise RuntimeError("on the way")

    with pytest.raises(RuntimeError):
        keep_folder("two", fail)
    assert names(networks) == {"one"} and kept_folder("two") is None
    # Two processes at once: the first one's stays.
    assert keep_folder("one", of_bytes(5)) == path and (path / "weights").stat().st_size == 3


def test_what_nobody_used_for_long_goes(networks: Path) -> None:
    for name in ("old", "used again", "young", "unfinished-killed"):
        keep_folder(name, of_bytes(1))
    (networks / "earlier.onnx").touch()  # one file a network, as earlier versions kept them
    for entry in networks.iterdir():
        used_before(entry, MAX_AGE_S + 100)
    used_before(networks / "young", MAX_AGE_S - 100)
    assert kept_folder("used again")
    keep_folder("new", of_bytes(1))
    assert names(networks) == {"used again", "young", "new"}


def test_the_least_recently_used_go_where_it_is_too_much(
    networks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converted_files, "MAX_BYTES", 100)
    for age, name in enumerate(("d", "c", "b", "a")):
        keep_folder(name, of_bytes(30))
        used_before(networks / name, 1000 - age)
    assert names(networks) == {"a", "b", "c"}
    keep_folder("large", of_bytes(200))  # what is wanted now stays, whatever its size
    assert names(networks) == {"large"}


def test_a_cache_that_cannot_be_written_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    path = keep_folder("name", of_bytes(4))
    assert (path / "weights").stat().st_size == 4 and cache_folder() not in path.parents
    assert kept_folder("name") == path
