"""Files of `torch.save`, zipped or of the years before, read within a budget.

Torch's own reader runs no code either (`weights_only`), but believes the sizes that a file
declares. Here nothing is allocated that the file does not hold.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from typing import IO, Any

import torch
from torch import Tensor

from .array_standins import Convert
from .bounded_file import BoundedFile, num_bytes_left
from .bounded_unpickler import Budget, PickleError, Standin, UnsafePickleError, is_standin
from .safe_pickle import SafeUnpickler, to_plain
from .zip_files import check_members, open_zip

_ZIP_MAGIC = b"PK\x03\x04"
_PICKLE = "data.pkl"
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_COUNT_BYTES = 8

_STORAGE_DTYPES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool, "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128, "UntypedStorage": torch.uint8,
}  # fmt: skip


def read_torch_file(file: IO[bytes]) -> Any:
    """What was saved, on the CPU: tensors, arrays, numbers, texts and containers of them.

    Args:
        file: seekable, at the beginning.

    Raises:
        UnsafePickleError: it names anything else; nothing of it was executed.
        Exception: of many kinds where the file is damaged; see `file_errors.one_line_errors`.
    """
    is_zip = file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
    file.seek(0)
    return _read_zip(file) if is_zip else _read_legacy(file)


def _read_zip(file: IO[bytes]) -> Any:
    num_bytes = num_bytes_left(file)
    with open_zip(file) as archive:
        members = archive.NameToInfo
        check_members(members.values(), num_bytes)
        pickled = next((name for name in members if name.split("/")[1:] == [_PICKLE]), "")
        if not pickled:
            raise ValueError("it is an archive of something else")
        root = pickled.removesuffix(_PICKLE)
        if f"{root}byteorder" in members and archive.read(f"{root}byteorder") != b"little":
            raise ValueError("its numbers have another order of bytes")
        storages = _Storages(lambda key: _member(archive, f"{root}data/{key}"))
        budget = Budget(sum(member.file_size for member in members.values()))
        with archive.open(pickled) as stream:
            size = members[pickled].file_size
            value = _TorchUnpickler(stream, size, budget, storages).load()
        return to_plain(value, budget)


def _member(archive: zipfile.ZipFile, name: str) -> Tensor:
    """(bytes,) uint8 content of a member."""
    member = archive.getinfo(name)
    with archive.open(member) as stream:
        return _bytes_of(BoundedFile(stream, member.file_size), member.file_size)


def _read_legacy(file: IO[bytes]) -> Any:
    """Of several pickles the fourth is what was saved; the numbers of the storages follow them."""
    num_bytes = num_bytes_left(file)
    budget, contents = Budget(num_bytes), dict[str, Tensor]()
    storages = _Storages(contents.__getitem__)

    def load() -> Any:
        return _TorchUnpickler(file, num_bytes_left(file), budget, storages).load()

    if load() != _LEGACY_MAGIC or load() != _LEGACY_PROTOCOL:
        raise ValueError("it does not begin as a file of torch.save")
    if load().get("little_endian") is not True:
        raise ValueError("its numbers have another order of bytes")
    value, keys = load(), load()
    rest = BoundedFile(file, num_bytes_left(file))
    for key in keys:
        count = int.from_bytes(rest.read(_COUNT_BYTES), "little")
        storage = storages.by_key[key]
        if count * storage.itemsize != storage.num_bytes:
            raise ValueError(f"the storage {key} has two sizes")
        contents[key] = _bytes_of(rest, storage.num_bytes)
    return to_plain(value, budget)


def _bytes_of(file: BoundedFile, num_bytes: int) -> Tensor:
    if num_bytes > file.num_left:
        raise ValueError("a storage is truncated")
    content = torch.empty(num_bytes, dtype=torch.uint8)
    file.readinto(content.numpy())
    return content


class _Storages:
    """The storages that a file's tensors lie in.

    Args:
        read: gives the (bytes,) uint8 content of a key.
    """

    def __init__(self, read: Callable[[str], Tensor]) -> None:
        self.by_key: dict[str, _Storage] = {}
        self._read = read

    def view(self, dtype: torch.dtype, key: Any, count: Any, part: Any = None) -> _StorageView:
        """A storage, or a part of it, as numbers of a type; every key is one storage."""
        if not isinstance(count, int):
            raise PickleError("a storage has no size")
        storage = self.by_key.setdefault(key, _Storage(self._read, key, count, dtype.itemsize))
        if count * dtype.itemsize != storage.num_bytes:
            raise PickleError(f"the storage {key} has two sizes")
        start, num = (0, count) if part is None else (part[1], part[2])
        if not 0 <= start <= start + num <= count:
            raise PickleError(f"a part of the storage {key} lies outside it")
        return _StorageView(storage, dtype, start, num)


class _Storage(Standin):
    def __init__(self, read: Callable[[str], Tensor], key: str, count: int, itemsize: int) -> None:
        self._read, self._key = read, key
        self.itemsize, self.num_bytes = itemsize, count * itemsize

    def plain(self, convert: Convert, budget: Budget) -> Tensor:
        """(bytes,) uint8."""
        with budget.untimed():  # its size is known to be that of a part of the file
            content = self._read(self._key)
        if len(content) != self.num_bytes:
            raise PickleError(f"the storage {self._key} is truncated")
        return content


class _StorageView(Standin):
    def __init__(self, storage: _Storage, dtype: torch.dtype, start: int, num: int) -> None:
        self._storage, self._dtype = storage, dtype
        self._start, self._num = start, num

    def plain(self, convert: Convert, budget: Budget) -> Tensor:
        """(num,) numbers."""
        content: Tensor = convert(self._storage)
        return content.view(self._dtype)[self._start : self._start + self._num]


class _Named(Standin):
    """A name that is only ever an argument: a class or a type of numbers."""

    def __init__(self, value: Any = None) -> None:
        self.value = value

    def __setstate__(self, state: Any) -> None:
        raise PickleError("it gives a state to a name")

    def plain(self, convert: Convert, budget: Budget) -> Any:
        """What it names."""
        return self.value


class _Tensor(Standin):
    """`torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ...)` and its elder."""

    def __init__(self, storage: Any, offset: int, size: Any, stride: Any, *ignored: Any) -> None:
        self._storage, self._offset = storage, offset
        self._size, self._stride = size, stride

    def plain(self, convert: Convert, budget: Budget) -> Tensor:
        """The tensor, a part of its storage."""
        flat: Tensor = convert(self._storage)
        return self._part_of(flat, tuple(convert(self._size)), tuple(convert(self._stride)), budget)

    def _part_of(
        self, flat: Tensor, size: tuple[int, ...], stride: tuple[int, ...], budget: Budget
    ) -> Tensor:
        if len(size) != len(stride) or any(number < 0 for number in (*size, *stride)):
            raise PickleError("a tensor has an impossible shape")
        steps = [(num - 1) * step for num, step in zip(size, stride, strict=True)]
        if self._offset < 0 or (0 not in size and self._offset + sum(steps) >= len(flat)):
            raise PickleError("a tensor lies outside its storage")
        num = 1
        for extent in size:
            num *= extent
        budget.spend(num * flat.element_size())
        return flat.as_strided(size, stride, flat.storage_offset() + self._offset)


class _TypedTensor(_Tensor):
    """`_rebuild_tensor_v3`: the storage is of bytes, and the type of numbers stands beside."""

    def __init__(self, storage: Any, offset: int, size: Any, stride: Any, *more: Any) -> None:
        super().__init__(storage, offset, size, stride)
        self._dtype = more[2]

    def plain(self, convert: Convert, budget: Budget) -> Tensor:
        """The tensor."""
        flat: Tensor = convert(self._storage).view(convert(self._dtype))
        return self._part_of(flat, tuple(convert(self._size)), tuple(convert(self._stride)), budget)


class _Parameter(Standin):
    """`torch._utils._rebuild_parameter(tensor, requires_grad, hooks)`: the tensor alone."""

    def __init__(self, tensor: Any, *ignored: Any) -> None:
        self._tensor = tensor

    def plain(self, convert: Convert, budget: Budget) -> Any:
        """The tensor."""
        return convert(self._tensor)


class _WithAttributes(Standin):
    """`torch._tensor._rebuild_from_type_v2(function, type, args, state)`: without the state."""

    def __new__(cls, function: Any, kind: Any, args: tuple[Any, ...], *ignored: Any) -> Any:
        if not is_standin(function):
            raise UnsafePickleError(f"it calls a {type(function).__name__}")
        return function(*args)


class _Size(Standin):
    def __init__(self, size: Any = ()) -> None:
        self._size = size

    def plain(self, convert: Convert, budget: Budget) -> torch.Size:
        """The shape."""
        return torch.Size(convert(self._size))


class _Device(Standin):
    def __init__(self, *words: Any) -> None:
        self._words = words

    def plain(self, convert: Convert, budget: Budget) -> str:
        """Its name, as it may not be there."""
        return ":".join(str(word) for word in convert(self._words))


_ADMITTED: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor"): _Tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _TypedTensor,
    ("torch._utils", "_rebuild_parameter"): _Parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _Parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): _WithAttributes,
    ("torch", "Tensor"): _Named(),
    ("torch.nn.parameter", "Parameter"): _Named(),
    ("torch", "Size"): _Size,
    ("torch", "device"): _Device,
}
for _name, _value in vars(torch).items():
    if isinstance(_value, torch.dtype):
        _ADMITTED["torch", _name] = _Named(_value)
for _name, _dtype in _STORAGE_DTYPES.items():
    for _module in ("torch", "torch.cuda", "torch.storage"):
        _ADMITTED[_module, _name] = _Named(_dtype)


class _TorchUnpickler(SafeUnpickler):
    """Knows tensors and their storages besides arrays."""

    admits = "tensors, arrays and numbers"

    def __init__(
        self, file: IO[bytes], num_bytes: int, budget: Budget, storages: _Storages
    ) -> None:
        super().__init__(file, num_bytes, budget)
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of an admitted name."""
        if (module, name) in _ADMITTED:
            return _ADMITTED[module, name]
        return super().find_class(module, name)

    def persistent_load(self, saved: Any) -> _StorageView:
        """The storage that ("storage", type, key, place, number of numbers, part) means."""
        _, kind, key, _, count, *part = saved
        if not isinstance(kind, _Named) or not isinstance(key, str):
            raise PickleError("a storage is none")
        return self._storages.view(kind.value, key, count, *part)
