"""Files of tensors: whole or an error, never half, and no code run."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

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


def varied_content() -> dict[str, Any]:
    """Everything that checkpoints hold."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    model(torch.randn(4, 3)).sum().backward()
    optimiser.step()
    shared = torch.arange(10.0)
    dtypes = (torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.uint8, torch.int32,
              torch.bool, torch.complex64, torch.int64, torch.int16)  # fmt: skip
    return {
        "model": model.state_dict(), "optimiser": optimiser.state_dict(), "epoch": 3,
        "parameter": model[0].weight, "types": {str(t): torch.ones(2, 3).to(t) for t in dtypes},
        "views": [shared[2:5], shared.view(2, 5).T, shared[::3], torch.ones(1).expand(4)],
        "empty": torch.empty(0, 3), "scalar": torch.tensor(2.5), "size": torch.Size([1, 2]),
        "type": torch.float32, "set": {1, "a"}, "texts": ("é", b"bytes", None, True, 1.5),
        "filters": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
    }  # fmt: skip


def assert_equal(actual: Any, expected: Any) -> None:
    if isinstance(expected, torch.Tensor):
        torch.testing.assert_close(actual, expected.detach(), atol=0, rtol=0)
        assert actual.stride() == expected.stride() and not actual.requires_grad
    elif isinstance(expected, dict):
        assert list(actual) == list(expected)
        for key, value in expected.items():
            assert_equal(actual[key], value)
    elif isinstance(expected, list | tuple):
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected, strict=True):
            assert_equal(one, other)
    else:
        assert actual == expected and type(actual) is type(expected)


@pytest.mark.parametrize("zipped", [True, False])
def test_checkpoints_of_both_formats_are_read_as_torch_reads_them(
    tmp_path: Path, zipped: bool
) -> None:
    path = tmp_path / "c.tar"
    torch.save(varied_content(), path, _use_new_zipfile_serialization=zipped)
    loaded = read_torch_checkpoint(path)
    assert_equal(loaded, torch.load(path, weights_only=True))
    first, second, *_ = loaded["views"]
    assert first.untyped_storage().data_ptr() == second.untyped_storage().data_ptr()


def test_a_deflated_checkpoint_is_read(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "whole.tar")
    content = rezipped(tmp_path / "whole.tar", lambda name, data: data, zipfile.ZIP_DEFLATED)
    (tmp_path / "c.tar").write_bytes(content)
    assert_same(read_torch_checkpoint(tmp_path / "c.tar"), TENSORS)


@pytest.mark.parametrize("zipped", [True, False])
def test_metrics_of_a_checkpoint_may_be_numpy_arrays(tmp_path: Path, zipped: bool) -> None:
    metrics = {"pves": np.array([1.5, 2.5]), "mean": np.float64(0.25), "names": np.array(["a"])}
    torch.save({"metrics": metrics}, tmp_path / "c.tar", _use_new_zipfile_serialization=zipped)
    loaded = read_torch_checkpoint(tmp_path / "c.tar")["metrics"]
    np.testing.assert_array_equal(loaded["pves"], [1.5, 2.5])
    assert loaded["mean"] == 0.25 and loaded["names"].tolist() == ["a"]


def rezipped(path: Path, change: Callable[[str, bytes], bytes], kind: int) -> bytes:
    """The archive with changed members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(buffer, "w", kind) as changed:
        for name in whole.namelist():
            changed.writestr(name, change(name, whole.read(name)))
    return buffer.getvalue()


def hostile_checkpoints(folder: Path) -> dict[str, bytes]:
    """Small files that ask for much."""
    path, old = folder / "whole.tar", folder / "legacy.tar"
    torch.save({"a": torch.arange(300.0)}, path)
    torch.save({"a": torch.arange(300.0)}, old, _use_new_zipfile_serialization=False)
    legacy = old.read_bytes()
    stored, deflated = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
    size, huge = b"M\x2c\x01", b"\x8a\x05\x00\x00\x00\x00\x40"  # 300 and 2**38

    def in_pickle(old: bytes, new: bytes) -> Callable[[str, bytes], bytes]:
        def change(name: str, data: bytes) -> bytes:
            assert old in data or not name.endswith("pkl")
            return data.replace(old, new) if name.endswith("pkl") else data

        return change

    def pickled(content: bytes) -> Callable[[str, bytes], bytes]:
        return lambda name, data: content if name.endswith("pkl") else data

    return {
        "sizes": rezipped(path, in_pickle(size, huge), stored),
        "legacy_sizes": legacy.replace(size, huge),
        "shape": rezipped(path, in_pickle(size + b"\x85", huge + b"\x85"), stored),
        "expanded": rezipped(
            path, in_pickle(size + b"\x85q\x08K\x01", huge + b"\x85q\x08K\x00"), stored
        ),
        "memo": rezipped(path, pickled(b"Nr\xff\xff\xff\x0f."), stored),
        "bomb": rezipped(
            path, lambda name, data: bytes(99_000_000) if "data/0" in name else data, deflated
        ),
        "legacy_memo": b"Nr\xff\xff\xff\x0f.",
        "legacy_bytes": b"\x80\x04\x8e" + (1 << 33).to_bytes(8, "little"),
        "legacy_cut": legacy[:-20],
        "other_zip": rezipped(path, lambda name, data: b"", stored).replace(b"a.pkl", b"a.txt"),
    }


def test_hostile_checkpoints_are_refused_within_a_second_and_300_megabytes(
    tmp_path: Path, costs_of: Any
) -> None:
    contents = hostile_checkpoints(tmp_path)
    paths = [tmp_path / f"{name}.pth" for name in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        path.write_bytes(content)
    read = (
        "from pathlib import Path\n"
        "from hierprob3d.model.files.weight_files import read_torch_checkpoint\n"
        "read = lambda path: read_torch_checkpoint(Path(path))"
    )
    for path, cost in zip(paths, costs_of(read, paths), strict=True):
        assert cost.error.startswith(f"WeightsError: {path} is "), (path.name, cost)
        assert "\n" not in cost.error and len(cost.error) < 500
        assert cost.seconds < 1 and cost.megabytes < 150, (path.name, cost)


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_mutated_weights_are_weights_or_one_clear_error(tmp_path: Path, kind: str) -> None:
    path, rng = tmp_path / "w", np.random.default_rng(0)
    read: Callable[[Path], Any] = read_torch_checkpoint
    if kind == "safetensors":
        write_tensors(path, TENSORS, {"step": 3})
        read = read_tensors
    else:
        content = {"a": torch.arange(6.0), "m": {"x": np.float64(1), "y": np.ones(2)}}
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    whole = path.read_bytes()
    for number in range(200):
        mutated = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 5)):
            mutated[place] = rng.integers(0, 256)
        path.write_bytes(mutated[: rng.integers(1, len(whole))] if number % 5 == 0 else mutated)
        try:
            str(read(path))
        except WeightsError as error:
            assert str(path) in str(error) and "\n" not in str(error) and len(str(error)) < 600


@pytest.mark.parametrize(
    "header",
    [
        b"{" * 100_000, b"[]", b"5", b"",
        b'{"a": {"dtype": "F32", "shape": [1000000000000], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}',
        b'{"__metadata__": {"notes": "' + b"[" * 100_000 + b'"}}',
        b'{"__metadata__": {"notes": "5"}}',
    ],
    ids=lambda header: str(header[:30]),
)  # fmt: skip
def test_hostile_safetensors_are_one_clear_error(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "w.safetensors"
    content = bytes(0 if b"metadata" in header else 4)
    path.write_bytes(len(header).to_bytes(8, "little") + header + content)
    with pytest.raises(WeightsError, match=r"w\.safetensors is not a whole safetensors") as caught:
        read_tensors(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_a_safetensors_header_longer_than_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    for length in (2**63, 10**8, 12):
        path.write_bytes(length.to_bytes(8, "little") + b"{}")
        with pytest.raises(WeightsError, match=r"w\.safetensors is not a whole safetensors"):
            read_tensors(path)


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd", "..", "a\\b"])
def test_parts_outside_their_folder_are_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "weights"
    write_parts(folder, TENSORS, {})
    (folder / "part-1-of-1.safetensors").rename(tmp_path / "outside.safetensors")
    index = json.loads((folder / "index.json").read_text())
    index["parts"] = {name: next(iter(index["parts"].values()))}
    (folder / "index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsError, match=r"index\.json is not an index of weights"):
        read_parts(folder)


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
