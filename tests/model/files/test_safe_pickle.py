"""Pickles of arrays are read right, whatever wrote them; nothing else is, and nothing runs."""

from __future__ import annotations

import io
import os
import pickle
import re
import struct
import sys
import types
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import scipy.sparse

from hierprob3d.model.files.safe_pickle import UnreadableChumpy, UnsafePickleError, load_pickle

ARRAYS = {
    "float32": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "big_endian": np.arange(3, dtype=">i4"),
    "uint32": np.array([4294967295, 0], dtype=np.uint32),
    "bool": np.array([True, False]),
    "empty": np.zeros((0, 3)),
    "scalar_array": np.array(2.5),
    "text": np.array(["left", "r"]),
    "bytes": np.array([b"lbs"]),
    "strided": np.arange(10)[::3],
}


class Python2Pickler(pickle._Pickler):
    """Writes bytes as python 2's str and numpy's modules under their old names."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)

    def save_bytes(self, obj: bytes) -> None:
        self.write(b"T" + struct.pack("<i", len(obj)) + obj)  # type: ignore[attr-defined]

    dispatch[bytes] = save_bytes


def dumps_like_python2(value: Any, protocol: int = 2) -> bytes:
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol).dump(value)
    return buffer.getvalue().replace(b"cnumpy._core.", b"cnumpy.core.")


def loads(content: bytes) -> Any:
    return load_pickle(io.BytesIO(content))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_equal(name: str, protocol: int) -> None:
    array = ARRAYS[name]
    loaded = loads(pickle.dumps({"value": array}, protocol))["value"]
    assert type(loaded) is np.ndarray
    assert loaded.dtype == array.dtype and loaded.shape == array.shape
    if array.size and array.flags.forc:
        assert loaded.flags.f_contiguous == array.flags.f_contiguous
    np.testing.assert_array_equal(loaded, array)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_containers_scalars_and_object_arrays_come_back_equal(protocol: int) -> None:
    objects = np.array([np.zeros(2), "name", None], dtype=object)
    value = {"list": [np.float32(1.5), np.int64(3)], "tuple": (1, "é"), "objects": objects}
    loaded = loads(pickle.dumps(value, protocol))
    assert loaded["list"] == [1.5, 3] and loaded["tuple"] == (1, "é")
    np.testing.assert_array_equal(loaded["objects"][0], np.zeros(2))
    assert loaded["objects"][1:].tolist() == ["name", None]


@pytest.mark.parametrize("layout", ["csc_matrix", "csr_matrix", "coo_matrix", "csc_array"])
def test_sparse_matrices_come_back_equal(layout: str) -> None:
    dense = np.array([[0.0, 2.0, 0.0], [1.0, 0.0, 3.0]])
    loaded = loads(pickle.dumps(getattr(scipy.sparse, layout)(dense), 2))
    assert scipy.sparse.issparse(loaded)
    np.testing.assert_array_equal(loaded.toarray(), dense)


def test_old_scipy_module_names_are_known() -> None:
    matrix = scipy.sparse.csc_matrix(np.eye(2))
    content = pickle.dumps(matrix, 2).replace(b"scipy.sparse._csc\n", b"scipy.sparse.csc\n")
    assert b"scipy.sparse.csc\n" in content
    np.testing.assert_array_equal(loads(content).toarray(), np.eye(2))


def test_python2_pickle_with_bytes_above_127() -> None:
    array = np.array([-1.7e-300, 3.3], dtype=np.float64)
    content = dumps_like_python2({"poses": [array], "sequence": b"caf\xe9"})
    loaded = loads(content)
    np.testing.assert_array_equal(loaded["poses"][0], array)
    assert loaded["sequence"] == "café"


@pytest.fixture
def chumpy(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """Classes that pickle under chumpy's names; chumpy itself is never needed."""
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    kinds = {}
    for module_name, name in (("chumpy.ch", "Ch"), ("chumpy.reordering", "Select"),
                              ("chumpy.ch", "MatVecMult")):  # fmt: skip
        module = sys.modules.get(module_name) or types.ModuleType(module_name)
        monkeypatch.setitem(sys.modules, module_name, module)
        kinds[name] = type(name, (), {"__module__": module_name})
        setattr(module, name, kinds[name])
    return types.SimpleNamespace(**kinds)


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_chumpy_arrays_become_numpy_arrays(chumpy: Any, protocol: int) -> None:
    numbers = np.arange(24.0).reshape(4, 6)
    plain = chumpy.Ch()
    plain.__dict__ = {"x": numbers, "_dirty_vars": {"x"}, "dterms": ("x",)}
    selected = chumpy.Select()
    selected.__dict__ = {"a": plain, "idxs": np.array([0, 7, 23, 1]), "preferred_shape": (2, 2)}
    value = {"v": plain, "part": selected}
    content = dumps_like_python2(value) if protocol == 2 else pickle.dumps(value, protocol)
    loaded = loads(content)
    assert type(loaded["v"]) is np.ndarray
    np.testing.assert_array_equal(loaded["v"], numbers)
    np.testing.assert_array_equal(loaded["part"], [[0, 7], [23, 1]])


def test_other_chumpy_expressions_do_not_hide_the_rest(chumpy: Any) -> None:
    loaded = loads(pickle.dumps({"J": chumpy.MatVecMult(), "v": np.ones(2)}, 2))
    assert loaded["J"] == UnreadableChumpy("MatVecMult")
    np.testing.assert_array_equal(loaded["v"], [1, 1])


class Attack:
    """Pickles as a call, which a plain unpickler would make."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_call_is_refused_and_not_made(tmp_path: Path, protocol: int) -> None:
    witness = tmp_path / "executed"
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    attack = Attack(os.system, f"touch {witness}")
    path.write_bytes(pickle.dumps({"v_template": attack}, protocol))
    with pytest.raises(UnsafePickleError, match=r"SMPL_NEUTRAL\.pkl was refused.*system"):
        load_pickle(path)
    assert not witness.exists()
    pickle.loads(path.read_bytes())  # the attack is real: a plain unpickler makes the call
    assert witness.exists()


@pytest.mark.parametrize(
    "function", [eval, exec, getattr, __import__, open, np.load, np.fromfile, type, compile]
)
def test_functions_of_admitted_modules_and_builtins_are_refused(function: Any) -> None:
    with pytest.raises(UnsafePickleError):
        loads(pickle.dumps(Attack(function, "1"), 2))


@pytest.mark.parametrize(
    "content",
    [
        b"cnumpy\nndarray.__class__\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__init__\x93.",
        b"cscipy.sparse\nlinalg\n.",
        b"ccopy_reg\n_reconstructor\n(cposix\nsystem\ntR.",
        b"ccopy_reg\n_reconstructor\n(c__builtin__\nobject\nNNtR.",
        b"c_codecs\nencode\n(S'a'\nS'rot13'\ntR.",
    ],
)
def test_ways_around_the_names_are_refused(content: bytes) -> None:
    with pytest.raises(UnsafePickleError):
        loads(content)


def test_structured_and_pointer_arrays_are_refused() -> None:
    with pytest.raises(UnsafePickleError, match="type"):
        loads(pickle.dumps(np.zeros(1, dtype=[("a", "f4")]), 2))
    # An object array whose content claims to be raw bytes would be read as memory addresses.
    honest = pickle.dumps(np.array([None]), 2)
    forged = re.sub(rb"\]q.Na", b"U\x08AAAAAAAA", honest, flags=re.DOTALL)
    assert forged != honest
    with pytest.raises(ValueError):
        loads(forged)


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"\x80\x02}q", b"I1\n", b"(l."])
def test_damaged_pickles_are_value_errors_or_data(content: bytes) -> None:
    if content == b"(l.":
        assert loads(content) == []
        return
    with pytest.raises(ValueError, match="not a readable pickle"):
        loads(content)


def test_truncated_arrays_are_value_errors() -> None:
    content = pickle.dumps({"a": np.arange(100.0)}, 2)
    for length in range(1, len(content) - 1, 37):
        with pytest.raises(ValueError):
            loads(content[:length])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.pkl"):
        load_pickle(tmp_path / "absent.pkl")


def test_self_containing_lists_are_value_errors() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError):
        loads(pickle.dumps(endless))


def test_3dpw_sequences_load(golden: Path) -> None:
    files = sorted((golden / "h_pw3d").rglob("*.pkl"))
    assert files
    sequence = load_pickle(files[0])
    assert {"poses", "betas", "genders", "cam_intrinsics"} <= set(sequence)
    assert sequence["poses"][0].shape[1] == 72
