"""Files of stores that fail now and then are listed, read and written as others."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import fsspec
import pytest
from flaky_store import FlakyFileSystem, failed_calls, register

from hierprob3d.transforms.inputs.listing import list_inputs
from hierprob3d.transforms.inputs.uris import filesystem, open_uri
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.store.retries import PAUSE_VARIABLE
from hierprob3d.transforms.store.retrying_files import RetryingFileSystem


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PAUSE_VARIABLE, "0.001")
    register()


@pytest.fixture
def fs() -> RetryingFileSystem:
    return RetryingFileSystem(FlakyFileSystem())


def test_every_call_is_answered_right(
    fs: RetryingFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("FLAKY_STORE_LOG", str(log))
    root = f"{tmp_path}/store"
    fs.makedirs(f"{root}/empty", exist_ok=True)
    names = [f"{root}/{folder}/{number}.txt" for folder in "ab" for number in range(6)]
    for name in names:
        fs.pipe_file(name, name.encode())
    for _ in range(5):
        assert fs.exists(names[0]) and not fs.exists(f"{root}/none")
        assert fs.isdir(f"{root}/a") and not fs.isdir(names[0]) and not fs.isdir(f"{root}/none")
        assert fs.isfile(names[0]) and not fs.isfile(f"{root}/a")
        assert fs.info(names[0])["size"] == len(names[0])
        assert sorted(fs.ls(f"{root}/a", detail=False)) == names[:6]
        assert sorted(fs.find(root)) == names
        assert sorted(fs.glob(f"{root}/*/[0-2].txt")) == names[:3] + names[6:9]
        with pytest.raises(FileNotFoundError):
            fs.cat_file(f"{root}/none")
    assert all(fs.cat_file(name) == name.encode() for name in names)
    (tmp_path / "local").write_bytes(b"large")
    for number in range(9):
        fs.put_file(f"{tmp_path}/local", f"{root}/put{number}")
        assert fs.cat_file(f"{root}/put{number}") == b"large"
    for name in names[:6]:
        fs.rm_file(name)
        assert not fs.exists(name)
    assert {
        "ls",
        "info",
        "exists",
        "isdir",
        "cat_file",
        "pipe_file",
        "put_file",
        "rm_file",
        "makedirs",
    } <= set(failed_calls(log))


def test_a_file_is_read_on_where_it_broke(fs: RetryingFileSystem, tmp_path: Path) -> None:
    data = os.urandom(200_000)
    (tmp_path / "data").write_bytes(data)
    path = f"{tmp_path}/data"
    with fs.open(path) as file:
        assert b"".join(iter(lambda: file.read(7001), b"")) == data
    with fs.open(path) as file:
        assert file.read() == data
        assert file.seek(-10, io.SEEK_END) == len(data) - 10 and file.read() == data[-10:]
        assert file.seek(1000) == 1000 and file.read(5) == data[1000:1005]
        assert file.tell() == 1005
    with pytest.raises(FileNotFoundError):
        fs.open(f"{tmp_path}/none")
    with pytest.raises(ValueError, match="opened for 'wb'"):
        fs.open(path, "wb")


def test_inputs_and_results_are_asked_for_again(tmp_path: Path) -> None:
    for number in range(10):
        path = tmp_path / "in" / f"{number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"picture")
    uris = list_inputs([f"flaky://{tmp_path}/in"]).uris
    assert len(uris) == 10
    for uri in uris:
        with open_uri(uri) as file:
            assert file.read() == b"picture"
    store = OutputFolder(f"flaky://{tmp_path}/out")
    for number in range(10):
        store.write(f"runs/{number}.json", b"{}")
    assert store.names("runs") == [f"{number}.json" for number in range(10)]


def test_a_folder_that_cannot_be_listed_is_no_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsspec's own search passes over folders whose listing fails."""
    (tmp_path / "a").mkdir()
    fs, path = filesystem(f"flaky://{tmp_path}")

    def refuse(self: FlakyFileSystem, path: str, **kwargs: object) -> None:
        raise PermissionError(errno.EACCES, "no", path)

    monkeypatch.setattr(FlakyFileSystem, "ls", refuse)
    with pytest.raises(PermissionError):
        fs.find(path)


def test_files_inside_archives(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("one.png", b"picture")
    with open_uri(f"zip://one.png::file://{tmp_path}/a.zip") as file:
        assert file.read() == b"picture"
    assert fsspec.core.url_to_fs("memory://x")[1] == "/x"
