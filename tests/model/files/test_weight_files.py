"""Files of tensors: whole or an error, never half, and no code run."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import torch

from hierprob3d.model.files.weight_files import (
    WeightsError,
    read_parts,
    read_tensors,
    read_torch_checkpoint,
    sha256_of,
    write_parts,
    write_tensors,
    write_torch_checkpoint,
)

NearlyFullDisk = Callable[[int], AbstractContextManager[None]]
TENSORS = {
    "a.weight": torch.arange(12.0).view(3, 4),
    "b.weight": torch.arange(6.0).view(2, 3).half(),
    "c.count": torch.tensor(7),
}


def assert_same(actual: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, atol=0, rtol=0)


def test_one_file_returns_tensors_and_notes(tmp_path: Path) -> None:
    write_tensors(tmp_path / "new" / "w.safetensors", TENSORS, {"origin": "Zürich", "step": 3})
    tensors, notes = read_tensors(tmp_path / "new" / "w.safetensors")
    assert_same(tensors, TENSORS)
    assert notes == {"origin": "Zürich", "step": 3}
    assert [f.name for f in (tmp_path / "new").iterdir()] == ["w.safetensors"]


def test_files_have_ordinary_permissions(tmp_path: Path) -> None:
    write_parts(tmp_path, TENSORS, {})
    (tmp_path / "ordinary").touch()
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1


def test_channels_last_tensors_are_stored_in_plain_order(tmp_path: Path) -> None:
    filters = torch.randn(4, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    write_tensors(tmp_path / "w.safetensors", {"f": filters}, {})
    assert_same(read_tensors(tmp_path / "w.safetensors")[0], {"f": filters})


def test_parts_return_tensors_and_notes(tmp_path: Path) -> None:
    write_parts(tmp_path, TENSORS, {"step": 3}, max_bytes=50)  # 48 bytes, then 12 + 8
    index = json.loads((tmp_path / "index.json").read_text())
    assert list(index["parts"]) == ["part-1-of-2.safetensors", "part-2-of-2.safetensors"]
    tensors, notes = read_parts(tmp_path)
    assert_same(tensors, TENSORS)
    assert notes == {"step": 3}


def test_writing_again_leaves_no_stale_parts(tmp_path: Path) -> None:
    write_parts(tmp_path, TENSORS, {}, max_bytes=10)
    write_parts(tmp_path, TENSORS, {}, max_bytes=1000)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["index.json", "part-1-of-1.safetensors"]


def test_a_full_disk_keeps_the_parts_that_were_there(
    tmp_path: Path, nearly_full_disk: NearlyFullDisk
) -> None:
    write_parts(tmp_path, TENSORS, {"step": 3}, max_bytes=50)
    large = {**TENSORS, "b.weight": torch.zeros(100, 100)}
    with nearly_full_disk(20_000), pytest.raises(OSError, match="before is kept"):
        write_parts(tmp_path, large, {"step": 4}, max_bytes=50)
    tensors, notes = read_parts(tmp_path)
    assert_same(tensors, TENSORS)
    assert notes == {"step": 3}
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("size", [1, 5_000, 50_000])
def test_a_full_disk_keeps_the_checkpoint_that_was_there(
    tmp_path: Path, size: int, nearly_full_disk: NearlyFullDisk
) -> None:
    path = tmp_path / "new" / "c.tar"
    write_torch_checkpoint(path, TENSORS)
    with nearly_full_disk(200), pytest.raises(OSError, match="cannot save .*c.tar: .*is kept"):
        write_torch_checkpoint(path, {"large": torch.zeros(size)})
    assert_same(read_torch_checkpoint(path), TENSORS)
    assert [file.name for file in path.parent.iterdir()] == ["c.tar"]


def test_folder_hash_changes_with_any_part(tmp_path: Path) -> None:
    write_parts(tmp_path / "one", TENSORS, {})
    write_parts(tmp_path / "two", {**TENSORS, "c.count": torch.tensor(8)}, {})
    assert sha256_of(tmp_path / "one") != sha256_of(tmp_path / "two")


def test_damaged_part_is_named(tmp_path: Path) -> None:
    write_parts(tmp_path, TENSORS, {}, max_bytes=50)
    part = tmp_path / "part-2-of-2.safetensors"
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsError, match="part-2-of-2.safetensors is damaged"):
        read_parts(tmp_path)


def test_missing_part_is_named(tmp_path: Path) -> None:
    write_parts(tmp_path, TENSORS, {}, max_bytes=50)
    (tmp_path / "part-1-of-2.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="part-1-of-2.safetensors"):
        read_parts(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"parts": 3, "notes": {}}', "not json"])
def test_foreign_index_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(WeightsError, match="index.json is not an index of weights"):
        read_parts(tmp_path)


@pytest.mark.parametrize("num_bytes", [0, 5, 100, 200])
def test_truncated_safetensors_are_refused(tmp_path: Path, num_bytes: int) -> None:
    path = tmp_path / "w.safetensors"
    write_tensors(path, TENSORS, {})
    path.write_bytes(path.read_bytes()[:num_bytes])
    with pytest.raises(WeightsError, match="w.safetensors is not a whole safetensors file"):
        read_tensors(path)


def test_checkpoint_may_hold_numpy_scalars(tmp_path: Path) -> None:
    content = {"metrics": {"a": np.float64(0.25), "b": np.float32(2), "c": np.int64(3)}}
    torch.save(content, tmp_path / "c.tar")
    assert read_torch_checkpoint(tmp_path / "c.tar") == content


def test_checkpoint_may_come_from_numpy_1(tmp_path: Path) -> None:
    # numpy 1 pickles its scalars as numpy.core..., numpy 2 as numpy._core...
    torch.save({"a": np.float64(0.25)}, tmp_path / "new.tar")
    with (
        zipfile.ZipFile(tmp_path / "new.tar") as new,
        zipfile.ZipFile(tmp_path / "c.tar", "w") as old,
    ):
        for name in new.namelist():
            old.writestr(name, new.read(name).replace(b"numpy._core", b"numpy.core"))
    assert b"numpy.core.multiarray" in (tmp_path / "c.tar").read_bytes()
    assert read_torch_checkpoint(tmp_path / "c.tar") == {"a": 0.25}


class _Trap:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.victim,)


def test_checkpoint_runs_no_code(tmp_path: Path) -> None:
    torch.save({"a": _Trap(tmp_path / "touched")}, tmp_path / "c.tar")
    with pytest.raises(WeightsError, match="c.tar is not a checkpoint, or holds more than tensors"):
        read_torch_checkpoint(tmp_path / "c.tar")
    assert not (tmp_path / "touched").exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_damaged_checkpoints_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.tar"
    torch.save({"a": torch.arange(1000.0)}, path)
    whole = path.read_bytes()
    generator = np.random.RandomState(0)
    noise = [generator.bytes(size) for size in (1, 2, 10, 1000) for _ in range(25)]
    cut = [whole[:size] for size in (0, 1, 100, 1000, len(whole) - 1)]
    for content in (
        *noise,
        *cut,
        b"hello, this is text\n",
        b"\x80\x02}q\x00.",
        b"\x89PNG\r\n\x1a\n",
    ):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="c.tar"):
            read_torch_checkpoint(path)


def test_checkpoint_must_be_a_dictionary(tmp_path: Path) -> None:
    torch.save(torch.zeros(3), tmp_path / "c.tar")
    with pytest.raises(WeightsError, match="holds a Tensor, not a checkpoint"):
        read_torch_checkpoint(tmp_path / "c.tar")
