"""Arrays of npz and npy files are read right; what declares more than it holds takes nothing."""

from __future__ import annotations

import io
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from hierprob3d.model.files.npz_files import (
    ArrayFileError,
    arrays_of_npz,
    names_in_npz,
    read_array,
    read_arrays,
)

ARRAYS = {
    "floats": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "big": np.arange(3, dtype=">i4"),
    "empty": np.zeros((0, 3)),
    "single": np.array(2.5),
    "texts": np.array(["left", "é"]),
    "bytes": np.array([b"lbs"]),
    "flags": np.array([True, False]),
    "zeros": np.zeros((200, 300)),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back_equal_and_writable(tmp_path: Path, save: Any) -> None:
    save(tmp_path / "a.npz", **ARRAYS)
    loaded = read_arrays(tmp_path / "a.npz")
    assert list(loaded) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert loaded[name].dtype == array.dtype and loaded[name].flags.writeable
        assert loaded[name].flags.f_contiguous == array.flags.f_contiguous
        np.testing.assert_array_equal(loaded[name], array)
    assert list(read_arrays(tmp_path / "a.npz", ["big", "absent"])) == ["big"]


@pytest.mark.parametrize("name", ARRAYS)
def test_single_arrays_come_back_equal(tmp_path: Path, name: str) -> None:
    np.save(tmp_path / "a.npy", ARRAYS[name])
    np.testing.assert_array_equal(read_array(tmp_path / "a.npy"), ARRAYS[name])


def test_objects_are_read_where_they_are_asked_for(tmp_path: Path) -> None:
    matrix = scipy.sparse.csc_matrix(np.eye(3))
    np.savez(tmp_path / "a.npz", matrix=np.array(matrix, dtype=object), plain=np.ones(2))
    with open(tmp_path / "a.npz", "rb") as file:
        assert names_in_npz(file) == ["matrix", "plain"]
        loaded = arrays_of_npz(file, with_objects=True)
    np.testing.assert_array_equal(loaded["matrix"].toarray(), np.eye(3))
    assert list(read_arrays(tmp_path / "a.npz", ["plain"])) == ["plain"]
    with pytest.raises(ArrayFileError, match=r"a\.npz is no npz of plain arrays .*object"):
        read_arrays(tmp_path / "a.npz", ["matrix"])


def test_missing_files_are_named(tmp_path: Path) -> None:
    for read in (read_array, read_arrays):
        with pytest.raises(FileNotFoundError, match=r"absent\.npz does not exist"):
            read(tmp_path / "absent.npz")


def npy(header: str, content: bytes = b"", version: int = 1) -> bytes:
    kind = "<H" if version == 1 else "<I"
    return (
        b"\x93NUMPY"
        + bytes([version, 0])
        + struct.pack(kind, len(header))
        + header.encode()
        + content
    )


def header(shape: str, descr: str = "<f8") -> str:
    return f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n"


def npz(
    content: bytes, kind: int = zipfile.ZIP_DEFLATED, num: int = 1, change: Any = bytes
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for number in range(num):
            archive.writestr(f"a{number}.npy", content)
    return change(buffer.getvalue())


def first_central_field(offset: int, value: int, kind: str = "<I") -> Any:
    """Overwrites a field of the first member in the list of an archive."""

    def change(data: bytes) -> bytes:
        place = data.index(b"PK\x01\x02") + offset
        packed = struct.pack(kind, value)
        return data[:place] + packed + data[place + len(packed) :]

    return change


ZEROS = npy(header("(20_000_000,)".replace("_", "")), bytes(160_000_000))
SMALL = npy(header("(2,)"), bytes(16))
HOSTILE = {
    "bomb.npz": npz(ZEROS, num=3),
    "declared.npz": npz(npy(header("(1000000000000,)"), bytes(16))),
    "sizes.npz": npz(SMALL, change=first_central_field(24, 2**31)),
    "negative.npz": npz(npy(header("(-5,)"))),
    "texts.npz": npz(npy(header("(1000000000,)", "<U0"))),
    "letters.npz": npz(npy(header("(1,)", "<U1"), b"\xff\xff\xff\x7f")),
    "records.npz": npz(npy(header("(1,)").replace("'<f8'", "[('a', '<f8')]"), bytes(8))),
    "objects.npz": npz(npy(header("(1,)", "|O"), b"Nr\xff\xff\xff\x0f.")),
    "lzma.npz": npz(SMALL, zipfile.ZIP_LZMA),
    "encrypted.npz": npz(SMALL, change=first_central_field(8, 1, "<H")),
    "method.npz": npz(SMALL, change=first_central_field(10, 99, "<H")),
    "many.npz": npz(b"", num=70_000),
    "deep.npz": npz(npy("(" * 9000)),
    "long_header.npz": npz(npy("1" * 70_000, version=2)),
    "nothing.npz": b"",
    "text.npz": b"version https://git-lfs.github.com/spec/v1",
    "declared.npy": npy(header("(1000000000,)"), bytes(16)),
    "header.npy": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"{",
}  # fmt: skip


def test_hostile_files_are_refused_within_a_second_and_300_megabytes(
    tmp_path: Path, costs_of: Any
) -> None:
    for name, content in HOSTILE.items():
        (tmp_path / name).write_bytes(content)
    read = (
        "from hierprob3d.model.files.npz_files import read_array, read_arrays\n"
        "read = lambda path: read_array(path) if path.endswith('npy') else read_arrays(path)"
    )
    paths = [tmp_path / name for name in HOSTILE]
    for path, cost in zip(paths, costs_of(read, paths), strict=True):
        assert re.match(rf"ArrayFileError: \S+{path.name} is no np", cost.error), (path.name, cost)
        assert "\n" not in cost.error and len(cost.error) < 500
        assert cost.seconds < 1 and cost.megabytes < 150, (path.name, cost)


def test_a_mutated_npz_is_arrays_or_one_clear_error(tmp_path: Path) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "a.npz"
    wholes = []
    for save in (np.savez, np.savez_compressed):
        save(path, poses=np.arange(6.0), names=np.array(["a", "b"]), part=np.zeros((2, 3), "u1"))
        wholes.append(path.read_bytes())
    for number in range(200):
        content = bytearray(wholes[number % 2])
        for place in rng.integers(0, len(content), rng.integers(1, 5)):
            content[place] = rng.integers(0, 256)
        path.write_bytes(content[: rng.integers(1, len(content))] if number % 5 == 0 else content)
        try:
            str(read_arrays(path))
        except ArrayFileError as error:
            assert "\n" not in str(error) and len(str(error)) < 500
