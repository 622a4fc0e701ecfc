"""Reads binary glTF as far as tests need it, straight from the specification."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

_TYPES = {5121: "u1", 5125: "<u4", 5126: "<f4"}
_SIZES = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Glb:
    """The description and the arrays of a file."""

    def __init__(self, data: bytes) -> None:
        magic, version, length = struct.unpack("<4sII", data[:12])
        assert (magic, version, length) == (b"glTF", 2, len(data))
        size, kind = struct.unpack("<I4s", data[12:20])
        assert kind == b"JSON" and size % 4 == 0
        self.description: dict[str, Any] = json.loads(data[20 : 20 + size])
        binary_size, kind = struct.unpack("<I4s", data[20 + size : 28 + size])
        assert kind == b"BIN\x00" and 28 + size + binary_size == len(data)
        self._binary = data[28 + size :]

    def array(self, accessor: int) -> np.ndarray:
        """(count, components) numbers of an accessor."""
        about = self.description["accessors"][accessor]
        view = self.description["bufferViews"][about["bufferView"]]
        start = view.get("byteOffset", 0) + about.get("byteOffset", 0)
        kind, size = _TYPES[about["componentType"]], _SIZES[about["type"]]
        numbers = np.frombuffer(self._binary, kind, about["count"] * size, start)
        return numbers.reshape(-1, size)
