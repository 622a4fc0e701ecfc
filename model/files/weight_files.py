"""Tensors and notes in files: safetensors whole or in parts, and torch checkpoints read safely."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from .bounded_file import num_bytes_left
from .bounded_unpickler import UnsafePickleError
from .file_errors import one_line_errors, reason_of
from .inner_paths import file_name
from .torch_files import read_torch_file

INDEX_NAME = "index.json"
MAX_PART_BYTES = 14_900_000
"""Tensor bytes of one part: with its header of a few kB a part stays below 15 MB."""

_NOTES_KEY = "notes"
_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 10_000_000
_NOT_WHOLE, _AGAIN = "is not a whole safetensors file", "; fetch or write it again"


class WeightsError(ValueError):
    """A file of weights that cannot be used; the message names the file and the mend."""


def sha256_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, hexadecimal; of a folder of weights, that of its index.

    The index names the SHA-256 of every part, so it stands for the parts too.
    """
    path = Path(path)
    with open(path / INDEX_NAME if path.is_dir() else path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def whole_files(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Names to write to; once all are written they take the places of `paths`, in this order.

    Raises:
        OSError: writing failed, as on a full disk; what was at `paths` is still there.
    """
    unfinished = [path.with_name(f"{path.name}.{os.getpid()}.tmp") for path in paths]
    try:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        for written, path in zip(unfinished, paths, strict=True):
            os.replace(written, path)
    except OSError as error:
        raise OSError(f"cannot save {paths[-1]}: {error}; what was saved before is kept") from error
    finally:
        for path in unfinished:
            path.unlink(missing_ok=True)


def write_tensors(path: Path, tensors: dict[str, Tensor], notes: dict[str, Any]) -> None:
    """Write one safetensors file, whole or not at all; `notes` is stored in it as JSON."""
    with whole_files([path]) as [unfinished]:
        _write_tensors(unfinished, tensors, notes)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and notes of one safetensors file; notes are empty where it has none."""
    tensors, texts = read_safetensors(path)
    with one_line_errors(WeightsError, path, _NOT_WHOLE, _AGAIN):
        return tensors, dict(json.loads(texts.get(_NOTES_KEY, "{}")))


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and texts of one safetensors file.

    Raises:
        FileNotFoundError: there is no such file.
        WeightsError: it is damaged, or something else.
    """
    with one_line_errors(WeightsError, path, _NOT_WHOLE, _AGAIN):
        _check_header(path)
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}


def _check_header(path: Path) -> None:
    """ValueError where the header is too long to be held in memory many times over."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if length > min(num_bytes_left(file), _MAX_HEADER_BYTES):
            raise ValueError(f"its header would have {length} bytes")


def write_parts(
    folder: Path, tensors: dict[str, Tensor], notes: dict[str, Any], max_bytes: int = MAX_PART_BYTES
) -> None:
    """Write safetensors parts of at most `max_bytes` each and the index that lists them.

    Parts that are there already stay whole until all the new ones are written.
    """
    parts = list(_split(tensors, max_bytes))
    names = [f"part-{i}-of-{len(parts)}.safetensors" for i in range(1, len(parts) + 1)]
    with whole_files([folder / name for name in [*names, INDEX_NAME]]) as [*unfinished, index]:
        for path, part in zip(unfinished, parts, strict=True):
            _write_tensors(path, part, {})
        hashes = dict(zip(names, map(sha256_of, unfinished), strict=True))
        content = json.dumps({"parts": hashes, _NOTES_KEY: notes}, indent=1)
        index.write_text(content + "\n", encoding="utf-8")
    for stale in set(folder.glob("part-*-of-*.safetensors")) - {folder / name for name in names}:
        stale.unlink()


def read_parts(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and notes of a folder with an index; every part's SHA-256 is checked."""
    index_path = folder / INDEX_NAME
    if not index_path.is_file():
        raise FileNotFoundError(f"The folder {folder} holds no weights: it has no {INDEX_NAME}.")
    try:
        index = json.loads(index_path.read_text(encoding="utf-8"))
        parts = {file_name(name): sha256 for name, sha256 in index["parts"].items()}
        notes = dict(index[_NOTES_KEY])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{index_path} is not an index of weights ({error!r}).") from error
    tensors: dict[str, Tensor] = {}
    for name, sha256 in parts.items():
        part = folder / name
        if not part.is_file():
            raise FileNotFoundError(f"{part}, listed in {index_path}, does not exist.")
        if sha256_of(part) != sha256:
            raise WeightsError(f"{part} is damaged: its SHA-256 is not that of {index_path}.")
        tensors |= read_tensors(part)[0]
    return tensors, notes


def write_torch_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a `torch.save` file, whole or not at all."""
    # Through memory: on a full disk `torch.save` raises errors that do not say so.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with whole_files([path]) as [unfinished]:
        unfinished.write_bytes(buffer.getbuffer())


def read_torch_checkpoint(path: Path) -> dict[str, Any]:
    """The dictionary in a `torch.save` file, on the CPU; runs no code that the file names.

    Tensors, plain Python values, numpy scalars and arrays are admitted, nothing else. Dictionaries
    are plain ones and parameters plain tensors.

    Raises:
        FileNotFoundError: there is no such file.
        WeightsError: it is damaged, no checkpoint, or holds anything else.
    """
    with (
        one_line_errors(WeightsError, path, "is damaged or not a checkpoint", "; fetch it again"),
        open(path, "rb") as file,
    ):
        try:
            content = read_torch_file(file)
        except UnsafePickleError as error:
            raise WeightsError(
                f"{path} is not a checkpoint, or holds more than tensors and numbers, "
                f"which is never run ({reason_of(error)})."
            ) from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds a {type(content).__name__}, not a checkpoint.")
    return content


def misfit(expected: Mapping[str, Tensor], found: Mapping[str, Any]) -> str:
    """What keeps the tensors found from being loaded, in words; empty where nothing does."""
    misshapen = [
        f"{key} {_shape(found[key])} instead of {_shape(value)}"
        for key, value in expected.items()
        if key in found and _shape(found[key]) != _shape(value)
    ]
    kinds = {
        "keys missing": [key for key in expected if key not in found],
        "keys unknown": [key for key in found if key not in expected],
        "of another shape": misshapen,
    }
    return ", ".join(
        f"{len(keys)} {what} ({some_of(keys)})" for what, keys in kinds.items() if keys
    )


def some_of(keys: Iterable[object], num_shown: int = 3) -> str:
    """The first few of some names, and dots where there are more."""
    names = list(map(str, keys))
    return ", ".join(names[:num_shown]) + (", ..." if len(names) > num_shown else "")


def _shape(value: Any) -> Any:
    return tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__


def _write_tensors(path: Path, tensors: dict[str, Tensor], notes: dict[str, Any]) -> None:
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # `save_file` would make a file that its owner alone may read.
    path.write_bytes(save(whole, metadata={_NOTES_KEY: json.dumps(notes)}))


def _split(tensors: dict[str, Tensor], max_bytes: int) -> Iterator[dict[str, Tensor]]:
    """Consecutive groups of tensors of at most `max_bytes` together."""
    group: dict[str, Tensor] = {}
    size = 0
    for name, tensor in tensors.items():
        if group and size + tensor.nbytes > max_bytes:
            yield group
            group, size = {}, 0
        group[name] = tensor
        size += tensor.nbytes
    yield group
