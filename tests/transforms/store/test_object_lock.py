"""Locks in object stores: one holder, signs of life, and what is left over taken over."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import fsspec
import pytest
from flaky_store import FlakyFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from hierprob3d.transforms.store.locking import FolderInUse, this_holder
from hierprob3d.transforms.store.object_lock import LockTiming, ObjectLock, holds_lock
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.store.retries import PAUSE_VARIABLE
from hierprob3d.transforms.store.retrying_files import RetryingFileSystem, create_file

FAST = LockTiming(beat=0.05, expiry=0.4, poll=0.02, settle=0.1)
PATIENT = replace(FAST, beat=100.0)
"""A holder that gives one sign of life and no more."""


class UnconditionalFileSystem(FlakyFileSystem):
    """A back-end that only writes."""

    def pipe_file(self, path: str, value: bytes, **kwargs: Any) -> None:
        assert not kwargs
        super().pipe_file(path, value)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PAUSE_VARIABLE, "0.001")


@pytest.fixture(params=["memory", "flaky", "unconditional"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[RetryingFileSystem, str]]:
    if request.param == "memory":
        fs = fsspec.filesystem("memory")
        yield RetryingFileSystem(fs), "/locked/runs"
        if fs.exists("/locked"):
            fs.rm("/locked", recursive=True)
    elif request.param == "flaky":
        yield RetryingFileSystem(FlakyFileSystem()), f"{tmp_path}/locked/runs"
    else:
        yield RetryingFileSystem(UnconditionalFileSystem()), f"{tmp_path}/locked/runs"


def left(fs: RetryingFileSystem, folder: str) -> list[str]:
    try:
        return sorted(path.rpartition("/")[2] for path in fs.ls(folder, detail=False))
    except FileNotFoundError:
        return []


def test_the_second_is_refused_with_the_names_of_the_first(
    place: tuple[RetryingFileSystem, str], capsys: pytest.CaptureFixture[str]
) -> None:
    fs, folder = place
    with ObjectLock(fs, folder, "run-1", FAST) as first:
        with pytest.raises(FolderInUse, match=r"another run is writing to .*locked \(run run-1, "):
            ObjectLock(fs, folder, "run-2", FAST)
        assert "if there is none for 0 s, its run was killed" in capsys.readouterr().err
        assert holds_lock(fs, folder, "run-1") and not holds_lock(fs, folder, "run-2")
        assert not first.lost
    assert left(fs, folder) == []
    assert not holds_lock(fs, folder, "run-1")
    ObjectLock(fs, folder, "run-2", FAST).release()


def test_a_silent_lock_expires_and_its_holder_finds_out(
    place: tuple[RetryingFileSystem, str],
) -> None:
    fs, folder = place
    asleep = ObjectLock(fs, folder, "run-1", replace(PATIENT, beat=1.0))
    start = time.monotonic()
    with ObjectLock(fs, folder, "run-2", FAST) as second:
        assert time.monotonic() - start >= FAST.expiry
        assert holds_lock(fs, folder, "run-2") and not holds_lock(fs, folder, "run-1")
        asleep._thread.join(100)
        assert asleep.lost and not second.lost
        asleep.release()  # takes nothing from the second
        assert holds_lock(fs, folder, "run-2")
        with pytest.raises(FolderInUse):
            ObjectLock(fs, folder, "run-3", FAST)
    assert [name for name in left(fs, folder) if name.startswith(".lock")] == []


def test_of_many_that_find_a_silent_lock_one_takes_over(
    place: tuple[RetryingFileSystem, str],
) -> None:
    fs, folder = place
    ObjectLock(fs, folder, "run-0", PATIENT)._stop.set()
    held: list[ObjectLock] = []
    refused: list[FolderInUse] = []

    def try_it(number: int) -> None:
        own = RetryingFileSystem(type(fs.fs)())
        try:
            held.append(ObjectLock(own, folder, f"run-{number}", FAST))
        except FolderInUse as error:
            refused.append(error)

    threads = [threading.Thread(target=try_it, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert len(held) == 1 and len(refused) == 3
    held[0].release()


def test_a_process_that_ended_on_this_machine_is_not_waited_for(
    place: tuple[RetryingFileSystem, str],
) -> None:
    fs, folder = place
    gone = replace(this_holder("run-1"), process=2**22 + 1)  # larger than any process number
    if not gone.machine:
        pytest.skip("this system has no name for its process numbers")
    fs.pipe_file(f"{folder}/.lock-000007.json", json.dumps(asdict(gone)).encode())
    start = time.monotonic()
    with ObjectLock(fs, folder, "run-2", replace(FAST, expiry=250.0)):
        assert time.monotonic() - start < 200
        assert holds_lock(fs, folder, "run-2")
        assert ".lock-000007.json" not in left(fs, folder)


def test_a_damaged_lock_expires(place: tuple[RetryingFileSystem, str]) -> None:
    fs, folder = place
    fs.pipe_file(f"{folder}/.lock-000001.json", b"")
    with ObjectLock(fs, folder, "run-2", FAST):
        assert holds_lock(fs, folder, "run-2")


def test_creating_is_certain_where_the_store_offers_it(tmp_path: Path) -> None:
    path = f"{tmp_path}/x"
    flaky, plain = (RetryingFileSystem(kind()) for kind in (FlakyFileSystem, MemoryFileSystem))
    for number in range(6):  # also where the answer to the first attempt gets lost
        assert create_file(flaky, f"{path}{number}", b"mine") == (True, True)
        assert create_file(flaky, f"{path}{number}", b"other") == (False, True)
        assert flaky.cat_file(f"{path}{number}") == b"mine"
    assert create_file(plain, "/locks/x", b"mine") == (True, True)
    assert create_file(plain, "/locks/x", b"other") == (False, True)
    plain.rm_file("/locks/x")
    uncertain = RetryingFileSystem(UnconditionalFileSystem())
    assert create_file(uncertain, f"{path}y", b"mine") == (True, False)
    assert create_file(uncertain, f"{path}y", b"other") == (False, False)


def test_both_kinds_of_folders_know_their_run(tmp_path: Path) -> None:
    for root in (str(tmp_path), "memory://locked-folder"):
        store = OutputFolder(root)
        store.create()
        assert not store.is_current_run("a")
        lock = store.lock_for_run("a")
        assert store.is_current_run("a") and not store.is_current_run("b") and not lock.lost
        lock.release()
        lock.release()
        assert not store.is_current_run("a")
        store.lock_for_run("b").release()
    fsspec.filesystem("memory").rm("/locked-folder", recursive=True)


def test_a_folder_under_another_name_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    store = OutputFolder(f"{tmp_path}/a/")
    store.create()
    lock = store.lock_for_run("run-1")
    with pytest.raises(FolderInUse, match=r"link \(run run-1, process \d+ of host"):
        OutputFolder(f"file://{tmp_path}/link").lock_for_run("run-2")
    lock.release()
